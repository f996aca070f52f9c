/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_LEAF_H
#define KV_SYNC_LEAF_H

/* Digests of parts of a store (kv-sync.7): keys fall into 256 leaves by the
 * lowest byte of their hash, and again by the byte above it.  A sum is over
 * what is live and has no deadline, as that of a bucket is. */

#include "sync/place.h"
#include "sync/store.h"

#define LEAF_COUNT 256
#define LEAF_MASK (LEAF_COUNT / 8)
#define LEAF_MASKS (2 * LEAF_MASK)  /* bytes on the wire */
#define LEAF_SUMS (LEAF_COUNT * 16) /* the same */

/* Of each level which leaves; a key is in it when both of its leaves are. */
struct leaf_mask {
	uint8_t bits[2][LEAF_MASK];
};

struct leaf_sums {
	uint64_t sum[LEAF_COUNT][2];
};

void leaf_mask_all(struct leaf_mask *m);
bool leaf_mask_has(const struct leaf_mask *m, uint64_t bid,
    struct kv_slice key);

/* Set the bits of those that differ; how many these are. */
unsigned leaf_differ(const struct leaf_sums *a, const struct leaf_sums *b,
    uint8_t bits[LEAF_MASK]);

void leaf_sums_put(char to[LEAF_SUMS], const struct leaf_sums *s);
void leaf_sums_get(const char from[LEAF_SUMS], struct leaf_sums *s);

/* A walk through the tree, in steps; all zero: none. */
struct leaf_scan {
	bool is_open;
	uint8_t level; /* 1 or 2: by which byte */
	bool is_after, is_settled;
	uint64_t settle;
	struct leaf_mask mask;
	struct place at;
	struct bucket bucket; /* that it is in */
	struct leaf_sums sums;
};

void leaf_scan_begin(struct leaf_scan *s, uint8_t level,
    const struct leaf_mask *mask);
void leaf_scan_end(struct leaf_scan *s);
/* What was committed before stands in the tree first.  KV_EAGAIN: there is
 * more, and not is_settled: wait a little; KV_OK: the sums are whole. */
KV_CHECKED int leaf_scan_step(struct leaf_scan *s, struct sync_store store,
    unsigned records);

#endif
