/* SPDX-License-Identifier: ISC */
/* Listening sockets, opened here or by a service manager. */

#include "supervisor/port.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/err.h"
#include "io/sock.h"
#include "supervisor/holder.h"

#define PORT_RANDOM_TRIES 16

void
port_close(struct port *p)
{
	if (p->fd_count > 0 && p->is_unix)
		unlink(p->where);
	while (p->fd_count > 0)
		close(p->fds[--p->fd_count]);
}

void
port_free(struct port *p)
{
	if (p == NULL)
		return;
	port_close(p);
	free(p);
}

void
port_free_all(struct port **list)
{
	struct port *p, *next;

	DL_FOREACH_SAFE(*list, p, next)
		port_free(p);
	*list = NULL;
}

void
port_name(const struct port *p, char *to, size_t size)
{
	if (p->is_unix)
		snprintf(to, size, "unix");
	else
		snprintf(to, size, "%u", p->number);
}

static KV_PRINTF(3, 4) void port_say(char *why, size_t size, const char *fmt,
    ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
}

static void
port_explain(const struct conf *c, uint16_t number, const char *address, int rc,
    char *why, size_t size)
{
	char holder[96];

	switch (rc) {
	case KV_EBUSY:
		holder_of_port(number, holder, sizeof(holder));
		port_say(why, size, "port %u is in use%s", number, holder);
		break;
	case KV_EACCESS:
		port_say(why, size, "port %u (%s): not allowed to listen on it",
		    number, conf_origin(c, CONF_PORT));
		break;
	case KV_ENOTFOUND:
		port_say(why, size,
		    "bind: \"%s\" (%s): this host has no such address", address,
		    conf_origin(c, CONF_BIND));
		break;
	default:
		port_say(why, size, "port %u on %s: cannot listen: %s", number,
		    address, err_text(rc));
		break;
	}
}

static int
port_add_address(struct port *p, const char *address, int fd)
{
	size_t len = strlen(p->where);
	int n;

	if (p->fd_count == PORT_ADDRESSES_MAX) {
		close(fd);
		return KV_ETOOBIG;
	}
	p->fds[p->fd_count++] = fd;
	n = snprintf(p->where + len, sizeof(p->where) - len, "%s%s",
	    len == 0 ? "" : ",", address);
	return n < 0 ? KV_ESYSTEM : KV_OK;
}

/* Listen on every address; the first one decides the number of port 0. */
static int
port_bind(struct port *p, const struct conf *c, char *why, size_t size)
{
	struct kv_slice rest = slice_of(conf_text(c, CONF_BIND)), item;
	int backlog = (int)conf_u64(c, CONF_BACKLOG), fd, rc;
	char address[64];

	p->number = p->asked;
	while (value_next(&rest, &item)) {
		snprintf(address, sizeof(address), "%.*s", (int)item.len,
		    item.data);
		rc = sock_listen_tcp(address, p->number, backlog, &fd);
		if (rc == KV_OK) {
			p->number = sock_port(fd);
			rc = port_add_address(p, address, fd);
		}
		if (rc < 0) {
			port_explain(c, p->number, address, rc, why, size);
			return rc;
		}
	}
	return KV_OK;
}

int
port_open(const struct conf *c, uint16_t asked, struct port **out, char *why,
    size_t size)
{
	struct port *p;
	int rc, tries = 0;

	/* A random port of one address may be taken on another one. */
	do {
		if ((p = calloc(1, sizeof(*p))) == NULL) {
			port_say(why, size, "out of memory");
			return KV_ENOMEM;
		}
		p->asked = asked;
		if ((rc = port_bind(p, c, why, size)) == KV_OK)
			*out = p;
		else
			port_free(p);
	} while (rc == KV_EBUSY && asked == 0 && ++tries < PORT_RANDOM_TRIES);
	return rc;
}

static int
port_open_unix(const struct conf *c, struct port **list, char *why, size_t size)
{
	const char *path = conf_text(c, CONF_UNIX_SOCKET);
	struct port *p;
	int fd, rc;

	if (path[0] == '\0')
		return KV_OK;
	if (strlen(path) >= PORT_TEXT_MAX)
		rc = KV_ETOOBIG;
	else
		rc =
		    sock_listen_unix(path, (int)conf_u64(c, CONF_BACKLOG), &fd);
	if (rc < 0) {
		port_say(why, size, "unix_socket: \"%s\" (%s): %s", path,
		    conf_origin(c, CONF_UNIX_SOCKET),
		    rc == KV_EBUSY ? "another process serves it"
				   : err_text(rc));
		return rc;
	}
	if ((p = calloc(1, sizeof(*p))) == NULL) {
		close(fd);
		port_say(why, size, "out of memory");
		return KV_ENOMEM;
	}
	p->fds[0] = fd;
	p->is_unix = true;
	p->fd_count = 1;
	snprintf(p->where, sizeof(p->where), "%s", path);
	DL_APPEND(*list, p);
	return KV_OK;
}

/* ---- sockets of a service manager ---- */

static struct port *
port_find(struct port *list, uint16_t number)
{
	struct port *p;

	DL_FOREACH(list, p) {
		if (p->number == number)
			return p;
	}
	return NULL;
}

static bool
port_is_wanted(const struct conf *c, uint16_t number)
{
	uint16_t ports[VALUE_PORTS_MAX];
	size_t i, count = conf_ports(c, ports);

	if (conf_rank(c, CONF_PORT) == CONF_BY_DEFAULT)
		return true;
	for (i = 0; i < count; i++) {
		if (ports[i] == number)
			return true;
	}
	return false;
}

static int
port_adopt(const struct conf *c, int fd, struct port **list)
{
	char text[SOCK_TEXT_MAX], *colon;
	uint16_t number = sock_port(fd);
	struct port *p;

	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_system("fcntl", "LISTEN_FDS");
	if (number == 0 || !port_is_wanted(c, number)) {
		close(fd);
		return KV_OK;
	}
	if ((p = port_find(*list, number)) == NULL) {
		if ((p = calloc(1, sizeof(*p))) == NULL)
			return KV_ENOMEM;
		p->asked = p->number = number;
		DL_APPEND(*list, p);
	}
	sock_local_text(fd, text, sizeof(text));
	if ((colon = strrchr(text, ':')) != NULL)
		*colon = '\0';
	return port_add_address(p, text, fd);
}

static int
port_adopt_all(const struct conf *c, const struct sdnotify *n,
    struct port **list)
{
	int i, rc = KV_OK;

	for (i = 0; i < n->listen_fds && rc == KV_OK; i++)
		rc = port_adopt(c, SDNOTIFY_LISTEN_FD + i, list);
	return rc;
}

int
port_open_all(const struct conf *c, const struct sdnotify *n,
    struct port **list, char *why, size_t size)
{
	uint16_t ports[VALUE_PORTS_MAX];
	size_t i, count = conf_ports(c, ports);
	struct port *p;
	int rc;

	*list = NULL;
	if ((rc = port_adopt_all(c, n, list)) < 0)
		port_say(why, size, "LISTEN_FDS: %s", err_text(rc));
	if (*list != NULL && conf_rank(c, CONF_PORT) == CONF_BY_DEFAULT)
		count = 0;
	for (i = 0; i < count && rc == KV_OK; i++) {
		if (ports[i] != 0 && port_find(*list, ports[i]) != NULL)
			continue;
		rc = port_open(c, ports[i], &p, why, size);
		if (rc == KV_OK)
			DL_APPEND(*list, p);
	}
	if (rc == KV_OK)
		rc = port_open_unix(c, list, why, size);
	if (rc < 0)
		port_free_all(list);
	return rc;
}
