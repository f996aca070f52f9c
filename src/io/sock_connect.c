/* SPDX-License-Identifier: ISC */
/* Connecting within a time limit. */

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "io/sock.h"
#include "io/unixpath.h"

#define SOCK_TYPE (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)

static int
sock_connect_error(int errnum)
{
	errno = errnum;
	switch (errnum) {
	case ECONNREFUSED:
		return KV_ECLOSED;
	case ENOENT:
		return KV_ENOTFOUND;
	case EACCES:
	case EPERM:
		return KV_EACCESS;
	case EAGAIN: /* a unix listener whose backlog is full */
	case ETIMEDOUT:
		return KV_ETIMEOUT;
	default:
		return KV_ESYSTEM;
	}
}

/* Poll for the end of a connect, over signals, within the time limit. */
static int
sock_wait_writable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	uint64_t end = clock_mono_ns() / CLOCK_NS_PER_MS;
	int n, left = timeout_ms;

	if (timeout_ms >= 0)
		end += (uint64_t)timeout_ms;
	while ((n = poll(&p, 1, left)) < 0 && errno == EINTR) {
		uint64_t now = clock_mono_ns() / CLOCK_NS_PER_MS;

		if (timeout_ms >= 0)
			left = now >= end ? 0 : (int)(end - now);
	}
	if (n < 0)
		return KV_ESYSTEM;
	return n == 0 ? KV_ETIMEOUT : KV_OK;
}

static int
sock_connect_fd(int fd, const struct sockaddr *to, socklen_t len,
    int timeout_ms)
{
	int errnum = 0, rc;
	socklen_t size = sizeof(errnum);

	if (connect(fd, to, len) == 0)
		return KV_OK;
	if (errno != EINPROGRESS && errno != EINTR)
		return sock_connect_error(errno);
	if ((rc = sock_wait_writable(fd, timeout_ms)) < 0)
		return rc;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &size) < 0)
		return KV_ESYSTEM;
	return errnum == 0 ? KV_OK : sock_connect_error(errnum);
}

static int
sock_connect_one(const struct addrinfo *to, int timeout_ms, int *out)
{
	int fd, one = 1, rc;

	if ((fd = socket(to->ai_family, SOCK_TYPE, 0)) < 0)
		return KV_ESYSTEM;
	rc = sock_connect_fd(fd, to->ai_addr, to->ai_addrlen, timeout_ms);
	if (rc == KV_OK &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		rc = KV_ESYSTEM;
	if (rc < 0)
		close(fd);
	else
		*out = fd;
	return rc;
}

int
sock_connect_tcp(const char *host, uint16_t port, int timeout_ms, int *out)
{
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *list, *to;
	char service[NUM_TEXT_MAX];
	int rc = KV_ENOTFOUND;

	service[num_format_u64(service, port)] = '\0';
	if (getaddrinfo(host, service, &hints, &list) != 0)
		return KV_ENOTFOUND;
	for (to = list; to != NULL && rc != KV_OK; to = to->ai_next)
		rc = sock_connect_one(to, timeout_ms, out);
	freeaddrinfo(list);
	return rc;
}

int
sock_connect_unix(const char *path, int timeout_ms, int *out)
{
	struct unixpath at;
	int fd, rc;

	if ((rc = unixpath_open(path, &at)) < 0)
		return rc;
	if ((fd = socket(AF_UNIX, SOCK_TYPE, 0)) < 0)
		rc = KV_ESYSTEM;
	else
		rc = sock_connect_fd(fd, (struct sockaddr *)&at.address,
		    sizeof(at.address), timeout_ms);
	unixpath_close(&at);
	if (rc < 0 && fd >= 0)
		close(fd);
	else if (rc == KV_OK)
		*out = fd;
	return rc;
}
