/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_APPLY_H
#define KV_TREE_APPLY_H

/* Writes to the tree.  Only the checkpointer (or who recovers the store) comes
 * here, with a handle opened writable.  The handle's snapshot, held or not, is
 * left alone. */

#include "tree/tree.h"

#define APPLY_CHUNK 5000

/* One checkpoint: the newest record of every key between two log positions.
 *
 * records: at most one per (class, bid, key), in no order; class: PUT and TOMB
 * are one class, BUCKET and POSITION each their own.  The array is reused as
 * working space: its records may be changed, but the same array can be applied
 * again.  Its slices must stay valid until the call returns.
 *
 * RECORD_BUCKET: value is a bucket row (tree/schema.h), from which bid, stamp
 * and being local are taken; the row's seq is replaced by the record's.
 * RECORD_POSITION: an empty value removes the row.
 *
 * Applied in bounded transactions (at most chunk records and 2 MiB each,
 * synced), the last of which stores `to`, so that a crash anywhere leaves a
 * tree on which the same call can simply be made again: old byseq and expiry
 * rows go before the rows that name them are replaced.  What fits into one
 * transaction is one.  A row of the tree with a higher seq than its record
 * stays. */
struct apply {
	struct record *records;
	size_t count;
	const struct bucket_totals *totals; /* newest of each bucket touched */
	size_t totals_count;
	struct tree_position to;
	size_t chunk;		   /* records per transaction, 0: APPLY_CHUNK */
	void (*pause)(void *user); /* between transactions; may be NULL; must
				      not write to the tree */
	void *user;
};

struct bucket_totals {
	uint64_t bid;
	struct totals totals;
};

/* KV_ENOSPC when the disk or the map is full: nothing of the failed
 * transaction stays, the call may be repeated when there is room.  KV_EINVAL
 * for a record that none of ours can be, one that stands there twice, or a `to`
 * behind the tree; KV_ECORRUPT, KV_EVERSION for an unreadable bucket row.  Then
 * nothing was written. */
KV_CHECKED int apply_checkpoint(struct tree *t, const struct apply *a);

/* A small value by name, in a synced transaction of its own.  KV_EINVAL for
 * the names that are the tree's own (tree/schema.h). */
KV_CHECKED int apply_meta(struct tree *t, const char *name,
    struct kv_slice value);

/* Look at up to max tombstones whose death (max of stamp's ms and deadline) lies
 * before `before_ms`, oldest first, and remove those that may go (tree/incs.h);
 * *done is how many.  In the same transaction the rows 'P' of incs learn of
 * it.  *place: go on behind it, zero (or NULL) at the oldest; zero afterwards
 * when that was all. */
struct purge_place {
	uint64_t ms, seq;
};
KV_CHECKED int apply_purge_tombs(struct tree *t, uint64_t before_ms, size_t max,
    struct purge_place *place, size_t *done);

/* Remove up to max tombstones of buckets with a ttl_max that are over before
 * before_ms: older than the ttl_max and as much as clocks may differ.  No row of
 * incs learns of it.  *next_ms: where the oldest one that is left ends, 0: there
 * is none; only said when *done < max. */
KV_CHECKED int apply_purge_short(struct tree *t, uint64_t before_ms, size_t max,
    uint64_t *next_ms, size_t *done);

/* Of incarnation inc nothing is missing here up to the tick: raise its vector.
 * In a synced transaction of its own. */
KV_CHECKED int apply_seen(struct tree *t, uint64_t inc, uint64_t tick);

/* Buckets with a drop stamp newer than their last purge are remembered by
 * apply_checkpoint.  Look at up to max of their records and remove those
 * hidden by the drop (stamp at or before it), tombstones too.  *done counts
 * what was looked at and the buckets that are finished: 0 means there is
 * nothing left to purge. */
KV_CHECKED int apply_purge_dropped(struct tree *t, size_t max, size_t *done);

/* Mend a tree in which a checkpoint was broken off whose log is gone, or was
 * found shorter than it was: a copy of the tree alone, a lost log file.  To be
 * called once the log there is has been applied; does nothing unless
 * tree_unfinished() says so then.  byseq, expiry and totals are made anew from
 * the rows, which costs a walk over all of them. */
KV_CHECKED int apply_repair(struct tree *t,
    void (*digest)(const struct record *r, uint64_t sum[2]));

#endif
