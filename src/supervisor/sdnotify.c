/* SPDX-License-Identifier: ISC */
/* Talking to a service manager. */

#include "supervisor/sdnotify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/num.h"

static uint64_t
sdnotify_number(const char *name)
{
	const char *text = getenv(name);
	uint64_t x;

	if (text == NULL || num_parse_u64(slice_of(text), &x) < 0)
		return 0;
	return x;
}

/* Meant for this process, and not for the one that started it? */
static bool
sdnotify_is_for_us(const char *name)
{
	return getenv(name) == NULL ||
	    sdnotify_number(name) == (uint64_t)getpid();
}

void
sdnotify_init(struct sdnotify *n)
{
	static const char *const names[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC",
		"WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES" };
	const char *socket_name = getenv("NOTIFY_SOCKET");
	size_t i;

	*n = (struct sdnotify){ .watchdog_us = 0 };
	if (socket_name != NULL && strlen(socket_name) < sizeof(n->socket))
		snprintf(n->socket, sizeof(n->socket), "%s", socket_name);
	if (sdnotify_is_for_us("WATCHDOG_PID"))
		n->watchdog_us = sdnotify_number("WATCHDOG_USEC");
	if (getenv("LISTEN_PID") != NULL && sdnotify_is_for_us("LISTEN_PID") &&
	    sdnotify_number("LISTEN_FDS") < 1024)
		n->listen_fds = (int)sdnotify_number("LISTEN_FDS");
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}

void
sdnotify_send(const struct sdnotify *n, const char *fmt, ...)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t len = strlen(n->socket);
	char text[512];
	va_list ap;
	int fd;

	if (len == 0 || len >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, n->socket, len);
	if (to.sun_path[0] == '@')
		to.sun_path[0] = '\0'; /* an abstract name has no end but len */
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		return;
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
	    (struct sockaddr *)&to,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}
