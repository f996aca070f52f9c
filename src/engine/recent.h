/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_RECENT_H
#define KV_ENGINE_RECENT_H

/* The keys of the live segments, in order: what the index, a hash, cannot
 * give.  Private to each process and fed from the log when a scan asks.
 *
 * A set belongs to a segment and a bucket; its keys are sorted runs of record
 * offsets, one per key: that of the key's first record in the segment, which
 * is the one without `prev`.  Runs of like size are merged (Bentley, Saxe
 * 1980, "Decomposable searching problems"), so n records cost O(n log n) in
 * total however often a scan asks, and a seek is a few binary searches.
 *
 * Offsets are good while the view pins the segment.  A set remembers the
 * nonce of its segment, so that it is never used for the next in its slot. */

#include "engine/internal.h"
#include "engine/walk.h"

struct recent;

KV_CHECKED int recent_new(struct recent **out);
void recent_free(struct recent *r);

/* What walks remember of the segments in a slot; see walk.h. */
struct walk_marks *recent_marks(struct recent *r, size_t slot);

/* Sorted, each key once.  Shared by the set and the scans that walk it. */
struct recent_run {
	unsigned refs;
	uint32_t count;
	uint32_t at[]; /* offset / 8 in the segment */
};

void recent_run_free(struct recent_run *run);

/* A run and where it is from. */
struct recent_source {
	struct recent_run *run;
	const struct segment *segment;
};

/* The runs that hold all keys of the bucket (WAL_KEY) in the segments of the
 * view, or the names of all buckets (WAL_BUCKET_ROW; bid is 0).  Keys newer
 * than the view may be among them.  The caller frees *out (free) and each run
 * in it. */
KV_CHECKED int recent_sources(struct engine *e, enum wal_class class,
    uint64_t bid, struct recent_source **out, size_t *count);

#endif
