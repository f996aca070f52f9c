/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_MULTI_H
#define KV_WORKER_MULTI_H

/* A session's transaction: the commands queued since MULTI, and the keys it
 * watches.  EXEC is one request to run.h: under the append lock, staged as a
 * whole and appended as one batch before the next request.  When that has to
 * be done again the queue is still there, and what the commands did to the
 * session is undone first; only multi_after ends it. */

#include "worker/call.h"

struct multi;
struct watch;

/* Between MULTI and what ends it. */
bool multi_is_open(const struct session *s);

/* A command was refused instead of queued: EXEC will refuse, too. */
void multi_spoil(struct session *s);
bool multi_is_spoiled(const struct session *s);

/* Is this request to be queued, by multi_queue? */
bool multi_takes(const struct call *c);
call_handler multi_queue;

/* What EXEC needs, beside CALL_SESSION. */
unsigned multi_needs(const struct session *s);

/* Around an EXEC (other commands: nothing happens).  Before each attempt, and
 * when it was answered. */
void multi_before(struct call *c);
void multi_after(struct call *c);

KV_CHECKED int multi_open(struct session *s);
size_t multi_count(const struct session *s);

/* Memory of what is queued. */
size_t multi_bytes(const struct session *s);

/* How many keys it watches. */
size_t multi_watched(const struct session *s);

/* Carry out the queue, with its replies as an array.  Stages all, or nothing
 * when it fails. */
KV_CHECKED int multi_run(struct call *c);

/* Where the session's watches hang; NULL when out of memory. */
struct watch **multi_watches(struct session *s);

/* Forget all, as after connecting. */
void multi_end(struct session *s);

#endif
