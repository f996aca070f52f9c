/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_MERGE_H
#define KV_ENGINE_MERGE_H

/* The runs of recent keys as one ordered walk, each key once.  Lives within a
 * view, like the scan it serves. */

#include <stdbool.h>

#include "engine/internal.h"

struct merge;

/* The keys of a bucket (WAL_KEY) or the names of all buckets (WAL_BUCKET_ROW,
 * bid 0) in the live segments; stands nowhere before the first seek. */
KV_CHECKED int merge_open(struct engine *e, enum wal_class class, uint64_t bid,
    struct merge **out);
void merge_close(struct merge *m);

/* Go to the first key at or after this one. */
void merge_seek(struct merge *m, struct kv_slice key);

/* Some record of the key the walk stands on, NULL at the end. */
const struct wal_record *merge_peek(const struct merge *m);
void merge_step(struct merge *m);

#endif
