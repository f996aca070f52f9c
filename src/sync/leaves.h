/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_LEAVES_H
#define KV_SYNC_LEAVES_H

/* Where do two stores differ whose digests do?  A part of core.h. */

#include "sync/frame.h"
#include "sync/leaf.h"

struct replica;
struct replica_link;

/* Before a repair: where is the difference? */
struct repair {
	struct replica_link *link; /* NULL: no question */
	uint64_t since_ms;
	bool has_theirs;
	struct leaf_scan scan; /* ours */
	struct leaf_sums theirs;
};

/* Find out where we differ, then repair. */
KV_CHECKED int leaves_repair(struct replica *r, struct replica_link *l);
KV_CHECKED int leaves_put(struct replica_link *l, uint64_t id,
    enum frame_leaves_what what, const struct leaf_mask *mask);
KV_CHECKED int leaves_asked(struct replica *r, struct replica_link *l,
    const struct frame *f);
KV_CHECKED int leaves_sums(struct replica *r, struct replica_link *l,
    const struct frame *f);
KV_CHECKED int leaves_timers(struct replica *r, uint64_t *next_ms);
void leaves_link_gone(struct replica *r, struct replica_link *l);
void leaves_reset(struct replica *r);

#endif
