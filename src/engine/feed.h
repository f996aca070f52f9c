/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_FEED_H
#define KV_ENGINE_FEED_H

/* Following the log: every change, in seq order, once it may be shown.  A feed
 * is a place; it holds no memory of the log between calls, so a slow follower
 * never keeps a segment: it is told KV_ENOTFOUND when its place is gone. */

#include "engine/engine.h"

struct feed {
	uint64_t position; /* LSN of the next record */
	uint64_t seq;	   /* of the last record handed out */
	bool messages;	   /* set it to be handed RECORD_MESSAGE as well */
	bool forgets;	   /* its bucket has a ttl_max */
};

/* Stand at the end: only what comes is handed out, without messages. */
void feed_tail(struct engine *e, struct feed *f);

/* Stand behind seq: the first record handed out is the first with a higher
 * one; without messages.  KV_ENOTFOUND when the log no longer reaches back that
 * far, and when that seq is not one of this log's: it is of a tail that was
 * lost, or of before kv repair-clock. */
KV_CHECKED int feed_seek(struct engine *e, struct feed *f, uint64_t seq);

/* The same of one bucket's changes: where it has a ttl_max, deletions are
 * forgotten sooner; where it is local, all that the log no longer has. */
KV_CHECKED int feed_seek_in(struct engine *e, struct feed *f, uint64_t seq,
    const struct bucket *b);

/* The next record, within a view; slices borrow until release.  KV_EAGAIN: at
 * the end (see feed_want), KV_ENOTFOUND: the place was recycled, the follower
 * missed changes. */
KV_CHECKED int feed_next(struct engine *e, struct feed *f, struct record *out);

/* Before sleeping: be woken when there is more; true when there is. */
bool feed_want(struct engine *e, const struct feed *f);

#endif
