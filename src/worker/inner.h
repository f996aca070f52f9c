/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_INNER_H
#define KV_WORKER_INNER_H

/* The way in for this store's own processes, which is kv-syncd: a unix socket
 * in the folder in shared memory, without a password and for this user alone.
 * The first byte says what is to follow:
 *
 *	L	one line, 2 or 3: one request in RESP2 or RESP3; it is answered
 *		and the connection closed, unless it subscribes to something
 *	P	nothing: who is connected is told (worker/presence.h) */

#include "serve/listener.h"

struct session;
struct worker;

#define INNER_NAME_MAX 32 /* "worker.127", below the folder */

struct inner {
	struct listener listener;
	bool is_open;
};

KV_CHECKED int inner_open(struct worker *w);
void inner_close(struct worker *w);

/* The first byte.  False: close it. */
bool inner_begin(struct session *s, char how);

/* After what was done of its input: is it over? */
bool inner_is_over(const struct session *s, size_t done);

#endif
