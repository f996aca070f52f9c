/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_ROWS_H
#define KV_SYNCD_ROWS_H

/* What is known of every incarnation (struct sync_row), by incarnation, from
 * three places: rows that replication committed, ticks that the checkpointer
 * purged, and the lineage, which says how far this store got under the names
 * of its own that it had before (kv-sync.7). */

#include <stdbool.h>

#include "base/record.h"
#include "sync/store.h"
#include "tree/tree.h"

struct rows; /* NULL is none */

void rows_free(struct rows **rows);

/* Memory for a row: to put it later does not fail. */
KV_CHECKED int rows_reserve(struct rows **rows, uint64_t inc);

/* The whole row; newer: false leaves one that is there. */
KV_CHECKED int rows_put(struct rows **rows, const struct sync_row *row,
    bool newer);

/* Read them as they were checkpointed, vectors and purged ticks; those that are
 * there stay, but for their purged ticks. */
KV_CHECKED int rows_read_tree(struct rows **rows, struct tree *t);
KV_CHECKED int rows_read_purged(struct rows **rows, struct tree *t);

/* Nothing of an inc of ours is missing up to its end, or up to `limit`. */
KV_CHECKED int rows_add_lineage(struct rows **rows, struct kv_slice lineage,
    uint64_t uid, uint64_t limit);

/* In no order; each() returns a negative code to stop. */
KV_CHECKED int rows_each(const struct rows *rows,
    int (*each)(void *user, const struct sync_row *row), void *user);

#endif
