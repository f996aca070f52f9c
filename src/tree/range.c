/* SPDX-License-Identifier: ISC */
/* Rows and records of all buckets, in the order of their ids. */

#include "tree/range.h"

#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/scope.h"
#include "tree/rows.h"

struct tree_range {
	struct tree *tree;
	MDB_cursor *names, *records;
	bool standing; /* records' cursor stands on `last` */
	MDB_val last;
};

int
tree_range_open(struct tree *t, struct tree_range **out)
{
	struct tree_range *r;
	int rc;

	assert(t->held);
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return KV_ENOMEM;
	r->tree = t;
	rc = mdb_cursor_open(t->txn, t->db[DB_NAMES], &r->names);
	if (rc == 0)
		rc = mdb_cursor_open(t->txn, t->db[DB_RECORDS], &r->records);
	if (rc != 0) {
		tree_range_close(r);
		return tree_error("mdb_cursor_open", t->folder, rc);
	}
	*out = r;
	return KV_OK;
}

void
tree_range_close(struct tree_range *r)
{
	if (r == NULL)
		return;
	if (r->names != NULL)
		mdb_cursor_close(r->names);
	if (r->records != NULL)
		mdb_cursor_close(r->records);
	free(r);
}

/* The row of the first bucket at or past bid. */
static int
range_row(struct tree_range *r, uint64_t bid, struct record *out)
{
	char id[8];
	MDB_val key = tree_val(id, sizeof(id)), name, value;
	int rc;

	bytes_put_be64(id, bid);
	rc = mdb_cursor_get(r->names, &key, &name, MDB_SET_RANGE);
	if (rc != 0)
		return tree_error("mdb_cursor_get", "names", rc);
	rc = mdb_get(r->tree->txn, r->tree->db[DB_BUCKETS], &name, &value);
	if (rc == MDB_NOTFOUND || (rc == 0 && key.mv_size != 8))
		return tree_corrupt("names", tree_slice(key));
	if (rc != 0)
		return tree_error("mdb_get", "buckets", rc);
	if (rows_decode(DB_BUCKETS, name, value, out) < 0)
		return tree_corrupt("buckets", tree_slice(name));
	return KV_OK;
}

/* The first record at or past (bid, key). */
static int
range_record(struct tree_range *r, uint64_t bid, struct kv_slice key,
    bool after, struct record *out)
{
	char bytes[8 + KV_KEY_MAX + 1];
	MDB_val k = tree_val(bytes, 8 + key.len), value;
	int rc;

	bytes_put_be64(bytes, bid);
	if (key.len > 0)
		memcpy(bytes + 8, key.data, key.len);
	if (after && r->standing && tree_val_equal(k, r->last)) {
		rc = mdb_cursor_get(r->records, &k, &value, MDB_NEXT);
	} else {
		bytes[k.mv_size] = '\0'; /* the least key after it */
		k.mv_size += after;
		rc = mdb_cursor_get(r->records, &k, &value, MDB_SET_RANGE);
	}
	r->standing = rc == 0;
	if (rc != 0)
		return tree_error("mdb_cursor_get", "records", rc);
	r->last = k;
	if (rows_decode(DB_RECORDS, k, value, out) < 0)
		return tree_corrupt("records", tree_slice(k));
	return KV_OK;
}

int
tree_range_next(struct tree_range *r, uint64_t bid, struct kv_slice key,
    bool after, struct record *out)
{
	struct record row;
	int rc, found;

	if (key.len > KV_KEY_MAX)
		return KV_EINVAL;
	for (;;) {
		bool behind_row = after || key.len > 0;

		found = range_record(r, bid, key, after, out);
		if (found < 0 && found != KV_ENOTFOUND)
			return found;
		if (behind_row && found == KV_OK && out->bid == bid &&
		    !(out->flags & RECORD_LOCAL))
			return KV_OK;
		if (behind_row && bid == UINT64_MAX)
			return KV_ENOTFOUND;
		rc = range_row(r, bid + behind_row, &row);
		if (rc < 0 && rc != KV_ENOTFOUND)
			return rc;
		if (rc == KV_OK && (found < 0 || row.bid <= out->bid))
			*out = row;
		else if (found < 0)
			return KV_ENOTFOUND;
		if (!(out->flags & RECORD_LOCAL))
			return KV_OK;
		if (scope_of_id(out->bid) == SCOPE_LOCAL)
			return KV_ENOTFOUND; /* and so is what follows */
		bid = out->bid + 1; /* all of it is local, of an older make */
		key.len = 0;
		after = false;
	}
}

int
tree_last_seq(struct tree *t, uint64_t *seq)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	int rc;

	assert(t->held);
	*seq = 0;
	if ((rc = mdb_cursor_open(t->txn, t->db[DB_BYSEQ], &cursor)) != 0)
		return tree_error("mdb_cursor_open", "byseq", rc);
	rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
	if (rc == 0 && key.mv_size == 8)
		*seq = bytes_get_be64(key.mv_data);
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? KV_OK
				  : tree_error("mdb_cursor_get", "byseq", rc);
}

static bool
count_is_of(MDB_val value, uint64_t inc)
{
	const char *v = value.mv_data;

	/* Type, flags, incarnation: see schema.h. */
	return inc == 0 ||
	    (value.mv_size >= 10 &&
		((uint8_t)v[0] == RECORD_BUCKET ||
		    (uint8_t)v[1] & RECORD_RELAY ||
		    bytes_get_be64(v + 2) == inc));
}

int
tree_count_since(struct tree *t, uint64_t seq, uint64_t until, uint64_t inc,
    uint64_t most, uint64_t *n)
{
	MDB_cursor *cursor;
	MDB_stat stat;
	MDB_val key, value;
	char from[8];
	int rc;

	assert(t->held);
	*n = 0;
	if (seq == 0 && inc == 0) {
		rc = mdb_stat(t->txn, t->db[DB_BYSEQ], &stat);
		*n = rc == 0 ? stat.ms_entries : 0;
		return tree_error("mdb_stat", "byseq", rc);
	}
	if ((rc = mdb_cursor_open(t->txn, t->db[DB_BYSEQ], &cursor)) != 0)
		return tree_error("mdb_cursor_open", "byseq", rc);
	bytes_put_be64(from, seq + 1);
	key = (MDB_val){ sizeof(from), from };
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	while (rc == 0 && most-- > 0 && key.mv_size == 8 &&
	    bytes_get_be64(key.mv_data) <= until) {
		*n += count_is_of(value, inc);
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? KV_OK
				  : tree_error("mdb_cursor_get", "byseq", rc);
}
