/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_TRAIL_H
#define KV_ENGINE_TRAIL_H

/* The order by seq as other hosts are told it: every change up to the end of
 * the view, durable or not (a write that is lost here comes back from who has
 * it, kv-sync.7), without what is local to this host, notes, messages.
 *
 * Unlike a feed it never ends because the log has moved on or tombstones were
 * purged: it reads on in the tree, where old versions and purged tombstones
 * are missing.  Whether that matters is for the vectors to say (kv-sync.7). */

#include "engine/engine.h"
#include "engine/tally.h"

struct trail {
	uint64_t seq;	/* of the last one handed out or passed by */
	uint64_t place; /* LSN of the next record; 0: in the tree, or not
			 * looked for yet */
};

/* What the reads of one view share; zero to begin, end it with the view. */
struct trail_view {
	struct tree_scan *scan;
	uint64_t seq; /* that it has handed out last */
};
void trail_end(struct trail_view *v);

/* KV_ENOTFOUND: none up to the end of the view, where t then stands. */
KV_CHECKED int trail_next(struct engine *e, struct trail_view *v,
    struct trail *t, struct record *out);

/* Move h (zero to begin) to the end of the view: h->seq is the highest that
 * trail_next would hand out, or one before.  What it passes in the log is
 * counted. */
KV_CHECKED int trail_head(struct engine *e, struct trail *h, struct tally *t);

#endif
