/* SPDX-License-Identifier: ISC */
#ifndef KV_SUPERVISOR_PORT_H
#define KV_SUPERVISOR_PORT_H

/* What clients connect to: a TCP port on all addresses of `bind`, or the unix
 * socket.  kvd holds the sockets, so that nobody is refused while a worker is
 * restarted. */

#include "conf/conf.h"
#include "supervisor/sdnotify.h"

#define PORT_ADDRESSES_MAX 16
#define PORT_TEXT_MAX 256

struct port {
	struct port *prev, *next; /* utlist */
	uint16_t asked;		  /* as configured, 0: any */
	uint16_t number;	  /* 0 for the unix socket */
	bool is_unix;
	bool is_gone; /* taken out by a reload; its workers are stopping */
	char where[PORT_TEXT_MAX]; /* addresses with commas, or the path */
	int fds[PORT_ADDRESSES_MAX];
	size_t fd_count;
};

/* Open all that c asks for, or nothing.  Sockets that a service manager gave
 * are taken where port or path fits; if nobody chose the ports, each of them
 * is one.  On failure why is one line. */
KV_CHECKED int port_open_all(const struct conf *c, const struct sdnotify *n,
    struct port **list, char *why, size_t size);

/* Open one TCP port more. */
KV_CHECKED int port_open(const struct conf *c, uint16_t asked,
    struct port **out, char *why, size_t size);

/* Close its sockets here; workers have their own copies. */
void port_close(struct port *p);
void port_free(struct port *p);
void port_free_all(struct port **list);

/* "4050", or "unix": how its workers are called. */
void port_name(const struct port *p, char *to, size_t size);

#endif
