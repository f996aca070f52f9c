/* SPDX-License-Identifier: ISC */

/* Passwords: reading one and saying it. */

#include "secret.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define SECRET_MAX 512
#define SECRET_WAIT_S 30 /* servers slow down who guesses */

static char secret[SECRET_MAX + 2];

bool
secret_load(const char *path)
{
	FILE *f = fopen(path, "re");
	bool fine;

	if (f == NULL) {
		fprintf(stderr, "kv-bench: %s: %s\n", path, strerror(errno));
		return false;
	}
	fine = fgets(secret, sizeof(secret), f) != NULL;
	fclose(f);
	secret[strcspn(secret, "\r\n")] = '\0';
	if (!fine || secret[0] == '\0' || strlen(secret) > SECRET_MAX) {
		fprintf(stderr,
		    "kv-bench: %s: expected a line of 1 to %d bytes\n", path,
		    SECRET_MAX);
		return false;
	}
	return true;
}

/* One line, without its end. */
static int
read_line(int fd, char *to, size_t size)
{
	size_t n = 0;
	ssize_t got;

	while (n + 1 < size && (n == 0 || to[n - 1] != '\n')) {
		got = recv(fd, to + n, 1, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			errno = got == 0 ? ECONNRESET : errno;
			return -1;
		}
		n++;
	}
	to[n] = '\0';
	to[strcspn(to, "\r\n")] = '\0';
	return 0;
}

int
secret_say(int fd, bool lines)
{
	struct timeval limit = { .tv_sec = SECRET_WAIT_S };
	char text[SECRET_MAX + 64], answer[256];
	int n;

	if (secret[0] == '\0')
		return 0;
	/* A first word of AUTH would be Redis'; this one is answered by one
	 * line and makes it the line protocol. */
	n = lines
	    ? snprintf(text, sizeof(text), "PUT\r\nAUTH %s\r\n", secret)
	    : snprintf(text, sizeof(text), "*2\r\n$4\r\nAUTH\r\n$%zu\r\n%s\r\n",
		  strlen(secret), secret);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n ||
	    (lines && read_line(fd, answer, sizeof(answer)) < 0) ||
	    read_line(fd, answer, sizeof(answer)) < 0)
		return -1;
	if (strcmp(answer, "+OK") == 0 || strcmp(answer, "OK") == 0 ||
	    strcmp(answer, "ERROR there is no password") == 0 ||
	    strstr(answer, "without any password") != NULL)
		return 0;
	fprintf(stderr, "kv-bench: %s\n", answer + (answer[0] == '-'));
	errno = EACCES;
	return -1;
}
