/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_APPLY_H
#define KV_TREE_APPLY_H

/* Writes to the tree.  Only the checkpointer (or who recovers the store) comes
 * here, with a handle opened writable. */

#include "tree/tree.h"

/* One checkpoint: the newest record of every key between two log positions.
 *
 * records: at most one per (class, bid, key), in no order; class: PUT and TOMB
 * are one class, BUCKET and POSITION each their own.  The array is reordered.
 * Its slices must stay valid until the call returns.
 *
 * Applied in bounded transactions (chunk records each, synced), the last of
 * which stores `to`, so that a crash anywhere leaves a tree on which the same
 * call can simply be made again: old byseq and expiry rows go before the rows
 * that name them are replaced. */
struct apply {
	struct record *records;
	size_t count;
	const struct bucket_totals *totals; /* newest of each bucket touched */
	size_t totals_count;
	struct tree_position to;
	size_t chunk;			 /* records per transaction, 5000 */
	void (*pause)(void *user);	 /* between transactions; may be NULL */
	void *user;
};

struct bucket_totals {
	uint64_t bid;
	struct totals totals;
};

/* KV_ENOSPC when the disk or the map is full: nothing of the failed
 * transaction stays, the call may be repeated when there is room. */
KV_CHECKED int apply_checkpoint(struct tree *t, const struct apply *a);

/* A small value by name, in a synced transaction of its own. */
KV_CHECKED int apply_meta(struct tree *t, const char *name,
    struct kv_slice value);

/* Remove tombstones whose death (max of stamp's ms and deadline) lies before
 * `before_ms`, at most max; *done is how many. */
KV_CHECKED int apply_purge_tombs(struct tree *t, uint64_t before_ms, size_t max,
    size_t *done);

/* Buckets with a drop stamp newer than their last purge are remembered by
 * apply_checkpoint.  Remove up to max records hidden by such a drop (stamp at
 * or before it); *done 0 means there is nothing left to purge. */
KV_CHECKED int apply_purge_dropped(struct tree *t, size_t max, size_t *done);

#endif
