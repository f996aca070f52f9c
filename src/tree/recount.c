/* SPDX-License-Identifier: ISC */
/* Which records count, and for how much. */

#include "tree/recount.h"

#include <stdlib.h>

#include "base/bytes.h"

static int
compare_bids(const void *a, const void *b)
{
	const struct recount_bucket *x = a, *y = b;

	return (x->bid > y->bid) - (x->bid < y->bid);
}

int
recount_init(struct recount *rc, struct tree *t, MDB_txn *txn)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	struct bucket b;
	MDB_stat stat;
	int err;

	rc->count = 0;
	rc->buckets = NULL;
	if ((err = mdb_stat(txn, t->db[DB_BUCKETS], &stat)) != 0)
		return tree_error("mdb_stat", "buckets", err);
	rc->buckets = malloc((stat.ms_entries + 1) * sizeof(*rc->buckets));
	if (rc->buckets == NULL)
		return KV_ENOMEM;
	err = mdb_cursor_open(txn, t->db[DB_BUCKETS], &cursor);
	if (err != 0)
		return tree_error("mdb_cursor_open", "buckets", err);
	while (rc->count < stat.ms_entries &&
	    (err = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		if (schema_get_bucket(tree_slice(value), &b) < 0)
			continue;
		rc->buckets[rc->count++] =
		    (struct recount_bucket){ b.bid, b.dropped };
	}
	mdb_cursor_close(cursor);
	if (err != 0 && err != MDB_NOTFOUND)
		return tree_error("mdb_cursor_get", "buckets", err);
	qsort(rc->buckets, rc->count, sizeof(*rc->buckets), compare_bids);
	return KV_OK;
}

void
recount_fini(struct recount *rc)
{
	free(rc->buckets);
	rc->buckets = NULL;
}

const struct recount_bucket *
recount_find(const struct recount *rc, uint64_t bid)
{
	struct recount_bucket key = { .bid = bid };

	return bsearch(&key, rc->buckets, rc->count, sizeof(*rc->buckets),
	    compare_bids);
}

void
recount_add(const struct recount *rc, const struct record *r,
    struct totals *sum)
{
	const struct recount_bucket *b;

	if (r->type != RECORD_PUT)
		return;
	b = recount_find(rc, r->bid);
	if (b != NULL && stamp_compare(r->stamp, b->dropped) <= 0)
		return;
	sum->keys++;
	sum->bytes += r->key.len + r->value.len;
	if (r->deadline == 0)
		rc->digest(r, sum->digest);
}

int
recount_has_records(MDB_cursor *records, uint64_t bid)
{
	char bytes[8];
	MDB_val key = tree_val(bytes, sizeof(bytes)), value;
	int rc;

	bytes_put_be64(bytes, bid);
	rc = mdb_cursor_get(records, &key, &value, MDB_SET_RANGE);
	if (rc != 0)
		return tree_error("mdb_cursor_get", "records", rc);
	return key.mv_size >= 8 && memcmp(key.mv_data, bytes, 8) == 0
	    ? KV_OK
	    : KV_ENOTFOUND;
}
