/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_RECOUNT_H
#define KV_TREE_RECOUNT_H

/* Totals counted from the rows, for what checks them and what mends them. */

#include "tree/internal.h"

/* What the records of a bucket must know of it. */
struct recount_bucket {
	uint64_t bid;
	struct stamp dropped;
};

struct recount {
	struct recount_bucket *buckets; /* sorted by bid */
	size_t count;
	void (*digest)(const struct record *r, uint64_t sum[2]);
};

/* Reads all bucket rows that can be read.  recount_fini() in any case. */
KV_CHECKED int recount_init(struct recount *rc, struct tree *t, MDB_txn *txn);
void recount_fini(struct recount *rc);

/* NULL when no bucket has this id; when two have, one of them. */
const struct recount_bucket *recount_find(const struct recount *rc,
    uint64_t bid);

/* Add a record to sum if it counts. */
void recount_add(const struct recount *rc, const struct record *r,
    struct totals *sum);

/* Has the database records any row of this bucket?  KV_ENOTFOUND. */
KV_CHECKED int recount_has_records(MDB_cursor *records, uint64_t bid);

#endif
