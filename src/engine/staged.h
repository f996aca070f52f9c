/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_STAGED_H
#define KV_ENGINE_STAGED_H

/* What is staged, for reads that walk or count: the third source of a scan,
 * beside the tree and the recent keys, and what to add to a bucket's sums. */

#include "engine/internal.h"

struct staged;

/* The newest staged record of each key of a bucket, or of the row of each
 * bucket (WAL_BUCKET_ROW, any bid), as staged by now.  Stands nowhere before
 * the first seek; empty once the batch is committed or rolled back. */
KV_CHECKED int staged_open(const struct engine *e, enum wal_class class,
    uint64_t bid, struct staged **out);
void staged_close(struct staged *s);
void staged_seek(const struct engine *e, struct staged *s, struct kv_slice key);
bool staged_peek(const struct engine *e, const struct staged *s,
    struct record *out);
void staged_step(struct staged *s);

/* Keys and bytes of the bucket after the batch; the digest stays what it is.
 * What was counted once is not counted again. */
void staged_totals(struct engine *e, uint64_t bid, struct totals *t);

#endif
