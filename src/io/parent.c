/* SPDX-License-Identifier: ISC */
/* A child's end of the control socket. */

#include "io/parent.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/err.h"

int
parent_receive(enum parent_verb *verb, struct buf *body)
{
	static const char reload[] = "reload\n";
	size_t skip = sizeof(reload) - 1;
	ssize_t n;
	int rc;

	body->len = 0;
	if ((rc = buf_reserve(body, PARENT_MESSAGE_MAX)) < 0)
		return rc;
	n = recv(PARENT_FD, body->data, PARENT_MESSAGE_MAX, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return KV_EAGAIN;
	if (n < 0 && errno != ECONNRESET)
		return err_system("recv", "control");
	body->len = n < 0 ? 0 : (size_t)n;
	*verb = PARENT_OTHER;
	if (n <= 0 || slice_equal(buf_slice(body), slice_of("stop"))) {
		*verb = PARENT_STOP;
	} else if (body->len >= skip && memcmp(body->data, reload, skip) == 0) {
		*verb = PARENT_RELOAD;
		buf_consume(body, skip);
	}
	return KV_OK;
}

static KV_PRINTF(2, 0) void parent_send(const char *verb, const char *fmt,
    va_list ap)
{
	char text[1024];
	size_t len = (size_t)snprintf(text, sizeof(text), "%s", verb);
	int n = vsnprintf(text + len, sizeof(text) - len, fmt, ap);

	if (n > 0)
		len += (size_t)n;
	if (len > sizeof(text) - 1)
		len = sizeof(text) - 1;
	/* A kvd that is gone, or does not read, need not know. */
	(void)send(PARENT_FD, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void
parent_ready(void)
{
	/* It fails when kvd is gone, which the descriptor tells, too. */
	(void)send(PARENT_FD, "ready", 5, MSG_NOSIGNAL);
}

void
parent_checked(bool missing)
{
	const char *text = missing ? "ready missing" : "ready";

	(void)send(PARENT_FD, text, strlen(text), MSG_NOSIGNAL);
}

void
parent_shutdown(void)
{
	(void)send(PARENT_FD, "shutdown", 8, MSG_NOSIGNAL);
}

void
parent_failed(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	parent_send("failed ", fmt, ap);
	va_end(ap);
}

size_t
parent_listeners(void)
{
	int fd = PARENT_LISTEN_FD, listens = 0;
	socklen_t len = sizeof(listens);

	/* A library that LD_PRELOAD brought may have opened what it likes. */
	while (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 &&
	    listens != 0)
		fd++;
	return (size_t)(fd - PARENT_LISTEN_FD);
}
