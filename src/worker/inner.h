/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_INNER_H
#define KV_WORKER_INNER_H

/* The way in for this store's own processes, which is kv-syncd: a unix socket
 * in the folder in shared memory, without a password and for this user alone.
 * What comes begins with a byte that says what is to follow, and INNER_MARK
 * bytes that its sender has drawn:
 *
 *	L	one line, 2 or 3: one request in RESP2 or RESP3; it is answered,
 *		the mark sent behind the answer, and the connection closed.  A
 *		subscription has no such end
 *	P	nothing: who is connected is told (worker/presence.h)
 *
 * A worker that is killed in the midst of an answer leaves an end, too, but not
 * the mark; and nothing that an answer may hold is the mark by accident.
 *
 * What other hosts ask for and do not read counts as one client's: from half of
 * output_limit on the next of their requests waits until there is room. */

#include "serve/listener.h"

struct inner_call;
struct session;
struct worker;

#define INNER_MARK 8
#define INNER_NAME_MAX 32 /* "worker.127", below the folder */

struct inner {
	struct listener listener;
	bool is_open;
	struct inner_call *calls; /* utlist, as they came */
	size_t waiting;		  /* of these */
};

KV_CHECKED int inner_open(struct worker *w);
void inner_close(struct worker *w);

/* The first 1 + INNER_MARK bytes.  KV_EAGAIN: the session is held, and looks at
 * them again when it is its turn; other failures: close it. */
KV_CHECKED int inner_begin(struct session *s, const char *head);
/* A request is whole: does it wait for its turn?  Then the session is held, and
 * looks at it again. */
bool inner_run_waits(struct session *s);
/* The session is gone. */
void inner_end(struct session *s);

/* Before sleeping: is it the turn of one that waits? */
void inner_turn(struct worker *w);

/* After what was done of its input: is it over?  Then the mark is written. */
bool inner_finish(struct session *s, size_t done);

#endif
