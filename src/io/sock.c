/* SPDX-License-Identifier: ISC */
/* Listening sockets, names of sockets. */

#include "io/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/num.h"
#include "io/unixpath.h"

#define SOCK_TYPE (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)

/* What a failed bind or listen means to the one who chose the address. */
static int
sock_bind_error(const char *address)
{
	switch (errno) {
	case EADDRINUSE:
		return KV_EBUSY;
	case EACCES:
	case EPERM:
		return KV_EACCESS;
	case EADDRNOTAVAIL:
		return KV_ENOTFOUND;
	default:
		return err_system("bind", address);
	}
}

static int
sock_set(int fd, int level, int option)
{
	int one = 1;

	return setsockopt(fd, level, option, &one, sizeof(one));
}

static int
sock_bind_tcp(int fd, const struct addrinfo *to, int backlog,
    const char *address)
{
	if (sock_set(fd, SOL_SOCKET, SO_REUSEADDR) < 0 ||
	    sock_set(fd, IPPROTO_TCP, TCP_NODELAY) < 0)
		return err_system("setsockopt", address);
	/* "::" means IPv6 only, so that "0.0.0.0" may stand beside it. */
	if (to->ai_family == AF_INET6 &&
	    sock_set(fd, IPPROTO_IPV6, IPV6_V6ONLY) < 0)
		return err_system("setsockopt", address);
	if (bind(fd, to->ai_addr, to->ai_addrlen) < 0 ||
	    listen(fd, backlog) < 0)
		return sock_bind_error(address);
	return KV_OK;
}

int
sock_listen_tcp(const char *address, uint16_t port, int backlog, int *out)
{
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *to;
	char service[NUM_TEXT_MAX];
	int fd, rc;

	service[num_format_u64(service, port)] = '\0';
	if (getaddrinfo(address, service, &hints, &to) != 0)
		return KV_EINVAL;
	fd = socket(to->ai_family, SOCK_TYPE, 0);
	if (fd < 0 && errno == EAFNOSUPPORT)
		rc = KV_ENOTFOUND; /* a host without IPv6 */
	else if (fd < 0)
		rc = err_system("socket", address);
	else
		rc = sock_bind_tcp(fd, to, backlog, address);
	freeaddrinfo(to);
	if (rc < 0 && fd >= 0)
		close(fd);
	else
		*out = fd;
	return rc;
}

/* Take away the socket file of a dead process.  KV_OK: the path is free. */
static int
sock_clear_path(const char *path)
{
	struct stat st;
	int fd, rc;

	if (lstat(path, &st) < 0)
		return KV_OK;
	if (!S_ISSOCK(st.st_mode))
		return KV_EEXIST;
	rc = sock_connect_unix(path, 0, &fd);
	if (rc == KV_OK)
		close(fd);
	if (rc != KV_ECLOSED)
		return rc == KV_ENOTFOUND ? KV_OK : KV_EBUSY;
	return unlink(path) < 0 ? err_system("unlink", path) : KV_OK;
}

static int
sock_bind_unix(int fd, const char *path, int backlog)
{
	struct unixpath at;
	int rc;

	if ((rc = unixpath_open(path, &at)) < 0)
		return rc;
	/* The mode of the descriptor is the mode of the file that bind makes:
	 * nobody else can connect before a chmod. */
	if (fchmod(fd, 0600) < 0)
		rc = err_system("fchmod", path);
	else if (bind(fd, (struct sockaddr *)&at.address, sizeof(at.address)) <
	    0)
		rc = sock_bind_error(path);
	else if (listen(fd, backlog) < 0)
		rc = err_system("listen", path);
	unixpath_close(&at);
	return rc;
}

int
sock_listen_unix(const char *path, int backlog, int *out)
{
	int fd, rc;

	if ((rc = sock_clear_path(path)) < 0)
		return rc;
	if ((fd = socket(AF_UNIX, SOCK_TYPE, 0)) < 0)
		return err_system("socket", path);
	if ((rc = sock_bind_unix(fd, path, backlog)) < 0)
		close(fd);
	else
		*out = fd;
	return rc;
}

union sock_any {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	struct sockaddr_storage room;
};

uint16_t
sock_port(int fd)
{
	union sock_any name = { .any = { .sa_family = AF_UNSPEC } };
	socklen_t len = sizeof(name);

	if (getsockname(fd, &name.any, &len) < 0)
		return 0;
	if (name.any.sa_family == AF_INET)
		return ntohs(name.in4.sin_port);
	if (name.any.sa_family == AF_INET6)
		return ntohs(name.in6.sin6_port);
	return 0;
}

static size_t
sock_text(const union sock_any *name, socklen_t len, char *to, size_t size)
{
	char host[NI_MAXHOST], service[NI_MAXSERV];
	int n;

	if (name->any.sa_family == AF_UNIX) {
		size_t path = len - offsetof(struct sockaddr_un, sun_path);

		n = snprintf(to, size, "unix:%.*s", (int)path,
		    name->un.sun_path);
	} else if (getnameinfo(&name->any, len, host, sizeof(host), service,
		       sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
		n = snprintf(to, size,
		    name->any.sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
		    service);
	} else {
		n = snprintf(to, size, "?");
	}
	return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

size_t
sock_peer_text(int fd, char *to, size_t size)
{
	union sock_any name = { .any = { .sa_family = AF_UNSPEC } };
	socklen_t len = sizeof(name);

	if (getpeername(fd, &name.any, &len) < 0)
		len = sizeof(sa_family_t);
	return sock_text(&name, len, to, size);
}

size_t
sock_local_text(int fd, char *to, size_t size)
{
	union sock_any name = { .any = { .sa_family = AF_UNSPEC } };
	socklen_t len = sizeof(name);

	if (getsockname(fd, &name.any, &len) < 0)
		len = sizeof(sa_family_t);
	return sock_text(&name, len, to, size);
}

bool
sock_peer_is_ours(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	    len == sizeof(peer) && (peer.uid == geteuid() || peer.uid == 0);
}

/* These fail for what is no TCP connection, and there the other end's death is
 * seen anyway. */
void
sock_keep_alive(int fd, int seconds)
{
	int on = 1, count = 3;

	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds,
	    sizeof(seconds));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds,
	    sizeof(seconds));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}
