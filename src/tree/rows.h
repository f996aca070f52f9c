/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_ROWS_H
#define KV_TREE_ROWS_H

/* One record among the databases: its row in `records` or `buckets`, the
 * entries in `byseq` and `expiry` that point at that row. */

#include "tree/chunk.h"
#include "tree/internal.h"

/* Where a record's row is: DB_RECORDS, DB_BUCKETS or DB_INCS. */
enum tree_db rows_db(const struct record *r);

/* The key of its row: at most SCHEMA_KEY_MAX bytes at to. */
MDB_val rows_key(const struct record *r, char to[SCHEMA_KEY_MAX]);

/* A row of DB_RECORDS or DB_BUCKETS as a record; KV_ECORRUPT, not logged.  A
 * bucket's stamp is the newer of its two, its flags are RECORD_LOCAL or 0. */
KV_CHECKED int rows_decode(enum tree_db db, MDB_val key, MDB_val value,
    struct record *out);

/* The row as it stands of the record with like's type class, bid and key; only
 * its value borrows from the map.  Damage is logged. */
KV_CHECKED int rows_find(struct tree *t, MDB_txn *txn,
    const struct record *like, struct record *out);

/* Walks that survive the end of a transaction: the first key of db at or after
 * the *len bytes at `at`, where it is copied (*len 0: the first of all). */
KV_CHECKED int rows_next_key(struct chunk *c, enum tree_db db,
    char at[SCHEMA_KEY_MAX + 1], size_t *len, MDB_val *value);

/* The same for a row of DB_RECORDS or DB_BUCKETS; `at` becomes the least key
 * after that row's, whose key out->key borrows from there. */
KV_CHECKED int rows_next(struct chunk *c, enum tree_db db,
    char at[SCHEMA_KEY_MAX + 1], size_t *len, struct record *out);

/* Is in byseq, once its checkpoint is over. */
bool rows_is_listed(const struct record *r);

/* The fields of a bucket that a record of it shows, from its row. */
void rows_fill_bucket(struct record *r, const struct bucket *b);

/* byseq and expiry entries of a row.  Removing what is not there is fine. */
KV_CHECKED int rows_put_seq(struct chunk *c, const struct record *r);
KV_CHECKED int rows_del_seq(struct chunk *c, uint64_t seq);
KV_CHECKED int rows_put_expiry(struct chunk *c, const struct record *r);
KV_CHECKED int rows_del_expiry(struct chunk *c, const struct schema_expiry *e);

/* A row of `totals`; none when all is zero. */
KV_CHECKED int rows_put_totals(struct chunk *c, uint64_t bid,
    const struct totals *totals);

/* Remove a row of DB_RECORDS and all that points at it. */
KV_CHECKED int rows_remove(struct chunk *c, const struct record *r);

#endif
