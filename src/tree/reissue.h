/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_REISSUE_H
#define KV_TREE_REISSUE_H

/* Numbers out of a clock that was far in the future, taken back (kv-sync.7).
 *
 * Every tick above a limit, be it a seq or in a stamp, is replaced by a lower
 * one that still lies above the limit; ticks keep their order.  So whatever was
 * newer than another stays it, and what a drop hides stays hidden.  The new
 * stamps are of another incarnation: nobody ever took the old ones in. */

#include "tree/tree.h"

struct reissue_found {
	uint64_t records; /* with a stamp above the limit */
	uint64_t places;  /* of the others, those with a seq above it */
	uint64_t buckets; /* rows with a stamp above it */
};

/* What is above the limit in the tree's snapshot.  each() is told every such
 * tick, some more than once, in no order; progress() the rows gone by.  Both
 * may be NULL. */
struct reissue_look {
	uint64_t limit;
	void (*each)(void *user, uint64_t tick);
	void (*progress)(void *user, uint64_t rows);
	void *user;
};
KV_CHECKED int reissue_look(struct tree *t, const struct reissue_look *look,
    struct reissue_found *out);

struct reissue {
	uint64_t limit;
	uint64_t (*tick)(void *user, uint64_t old); /* for those above it */
	struct stamp run;      /* inc: of the new stamps; tick: the highest
				   that tick() gives, and where the clock
				   stands from now on */
	uint64_t old_run;      /* all of its writes are here */
	uint64_t checkpointed; /* LSN */
	void (*digest)(const struct record *r, uint64_t sum[2]);
	void (*progress)(void *user, uint64_t rows);
	void *user;
};

/* Do it, in a tree of which nobody else knows: a copy (tree_copy) opened with
 * make_nosync, which is synced when this returns KV_OK and worthless when it
 * does not.  Rows of version vectors are clipped to the limit, the lineage is
 * empty, the run is meta "inc". */
KV_CHECKED int reissue_apply(struct tree *t, const struct reissue *how);

/* Between the limit and the highest seq that was taken back, old and new
 * numbers cannot be told apart: changes behind such a seq are not known.
 * KV_ENOTFOUND: it is one of those. */
KV_CHECKED int reissue_check_seq(struct tree *t, uint64_t seq);

#endif
