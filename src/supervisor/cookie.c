/* SPDX-License-Identifier: ISC */
/* kvd -n: what kv-syncd says of the cookie. */

#include "supervisor/cookie.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "io/spawn.h"
#include "supervisor/programs.h"

#define COOKIE_PROGRAM "kv-syncd"
#define COOKIE_LIMIT_MS 10000

/* The child gets the configuration as any other does (io/parent.h). */
static int
cookie_send(const struct conf *c, int fd)
{
	struct buf message;
	int rc;

	buf_init(&message);
	if ((rc = buf_append(&message, "config\n", 7)) == KV_OK &&
	    (rc = conf_write(c, &message)) == KV_OK &&
	    send(fd, message.data, message.len, MSG_NOSIGNAL) < 0)
		rc = err_system("send", COOKIE_PROGRAM);
	buf_fini(&message);
	return rc;
}

static int
cookie_spawn(int control, pid_t *pid)
{
	char folder[PATH_MAX], path[PATH_MAX];
	char name[] = COOKIE_PROGRAM, check[] = "check";
	char *argv[] = { name, check, NULL };
	struct spawn what = { .path = path,
		.argv = argv,
		.fds = &control,
		.fd_count = 1 };
	int rc;

	if ((rc = programs_folder(folder)) < 0)
		return rc;
	return programs_find(folder, name, path) ? spawn_process(&what, pid)
						 : KV_ENOTFOUND;
}

/* "ready" or "failed why"; a child that says nothing has logged why. */
static int
cookie_hear(int fd, bool *missing, struct conf_error *e)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char text[1025];
	ssize_t n;

	if (poll(&p, 1, COOKIE_LIMIT_MS) <= 0)
		return error_set(e, KV_ETIMEOUT,
		    "cookie_file: " COOKIE_PROGRAM " does not answer");
	if ((n = recv(fd, text, sizeof(text) - 1, 0)) < 0)
		n = 0;
	text[n] = '\0';
	*missing = strcmp(text, "ready missing") == 0;
	if (*missing || strcmp(text, "ready") == 0)
		return KV_OK;
	if (strncmp(text, "failed ", 7) == 0)
		return error_set(e, KV_EINVAL, "%s", text + 7);
	return KV_ESYSTEM;
}

static int
cookie_talk(const struct conf *c, int pair[2], bool *missing,
    struct conf_error *e)
{
	pid_t pid;
	int rc;

	rc = cookie_spawn(pair[1], &pid);
	close(pair[1]);
	if (rc < 0)
		return rc;
	if ((rc = cookie_send(c, pair[0])) == KV_OK)
		rc = cookie_hear(pair[0], missing, e);
	kill(pid, SIGKILL); /* it has said what there was to say */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return rc;
}

int
cookie_ask(const struct conf *c, bool *missing, struct conf_error *e)
{
	int pair[2], rc;

	e->text[0] = '\0';
	*missing = false;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_system("socketpair", COOKIE_PROGRAM);
	rc = cookie_talk(c, pair, missing, e);
	close(pair[0]);
	return rc;
}
