/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_REPAIR_CLOCK_H
#define KV_ENGINE_REPAIR_CLOCK_H

/* After a clock that was far in the future has been set right (kv-sync.7).
 *
 * What was stamped by it lies beyond what other hosts take in, so nobody has it
 * and it can be withdrawn: a new incarnation whose clock stands at now +
 * CLOCK_DRIFT_MS, above every sane stamp, and under which all of that is
 * written again, in its old order.  Log positions go backwards, so the lineage
 * is empty and other hosts look through all of it.
 *
 * For a store that nobody has open.  The repaired tree is built in DIR/tree.new
 * and takes the old one's place by one rename: whatever dies when, one of the
 * two is there, whole. */

#include "engine/engine.h"

#define CLOCK_DRIFT_MS 300000

struct clock_repair {
	bool dry;   /* only say what would be done */
	bool force; /* although the clock of now may be the wrong one */
	void (*progress)(void *user, uint64_t done, uint64_t of); /* or NULL */
	void *user;
};

struct clock_repaired {
	bool was_due;
	uint64_t now_ms;
	uint64_t newest_ms; /* what the store's clock stood at */
	uint64_t records;   /* that were written again */
	uint64_t places;    /* others that only got a new seq */
	uint64_t buckets;   /* rows that were written again */
	char why[160];	    /* with KV_EBUSY, KV_EINVAL: why not */
};

/* KV_ENOTFOUND: no store there; KV_EBUSY: somebody has it open; KV_EINVAL: it
 * is rather the clock of now that is wrong.  Nothing was changed then. */
KV_CHECKED int repair_clock(const struct engine_options *options,
    const struct clock_repair *how, struct clock_repaired *out);

/* How far the store's clock is ahead of the wall clock, ms; 0: it is not. */
uint64_t repair_clock_ahead(const struct engine *e, uint64_t wall_ms);

#endif
