/* SPDX-License-Identifier: ISC */
/* One record among the databases. */

#include "tree/rows.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

enum tree_db
rows_db(const struct record *r)
{
	if (r->type == RECORD_BUCKET)
		return DB_BUCKETS;
	return r->type == RECORD_POSITION ? DB_INCS : DB_RECORDS;
}

MDB_val
rows_key(const struct record *r, char to[SCHEMA_KEY_MAX])
{
	if (rows_db(r) != DB_RECORDS)
		return tree_val(r->key.data, r->key.len);
	bytes_put_be64(to, r->bid);
	memcpy(to + 8, r->key.data, r->key.len);
	return tree_val(to, 8 + r->key.len);
}

void
rows_fill_bucket(struct record *r, const struct bucket *b)
{
	r->type = RECORD_BUCKET;
	r->flags = b->options & BUCKET_LOCAL ? RECORD_LOCAL : 0;
	r->bid = b->bid;
	r->stamp = bucket_is_live(b) ? b->created : b->dropped;
	r->deadline = 0;
}

int
rows_decode(enum tree_db db, MDB_val key, MDB_val value, struct record *out)
{
	struct kv_slice k = tree_slice(key), v = tree_slice(value);
	struct bucket b;

	if (db == DB_BUCKETS) {
		if (schema_get_bucket(v, &b) < 0)
			return KV_ECORRUPT;
		rows_fill_bucket(out, &b);
		out->seq = b.seq;
		out->key = k;
		out->value = v;
		out->end = 0;
		return KV_OK;
	}
	if (k.len < 8 || schema_get_row(v, out) < 0)
		return KV_ECORRUPT;
	out->bid = bytes_get_be64(k.data);
	out->key = (struct kv_slice){ k.data + 8, k.len - 8 };
	return KV_OK;
}

int
rows_find(struct tree *t, MDB_txn *txn, const struct record *like,
    struct record *out)
{
	enum tree_db db = rows_db(like);
	char bytes[SCHEMA_KEY_MAX];
	MDB_val key, value;
	int rc;

	key = rows_key(like, bytes);
	if ((rc = mdb_get(txn, t->db[db], &key, &value)) != 0)
		return tree_error("mdb_get", "records", rc);
	if (rows_decode(db, key, value, out) < 0)
		return tree_corrupt(tree_db_names[db], tree_slice(key));
	out->key = like->key; /* what was decoded lies in bytes */
	return KV_OK;
}

int
rows_next_key(struct chunk *c, enum tree_db db, char at[SCHEMA_KEY_MAX + 1],
    size_t *len, MDB_val *value)
{
	MDB_cursor *cursor = chunk_cursor(c, db);
	MDB_val key = tree_val(at, *len);
	int rc;

	if (cursor == NULL)
		return KV_ENOMEM;
	rc = mdb_cursor_get(cursor, &key, value,
	    *len == 0 ? MDB_FIRST : MDB_SET_RANGE);
	if (rc != 0)
		return tree_error("mdb_cursor_get", tree_db_names[db], rc);
	if (key.mv_size > SCHEMA_KEY_MAX)
		return tree_corrupt(tree_db_names[db], tree_slice(key));
	memcpy(at, key.mv_data, key.mv_size);
	*len = key.mv_size;
	return KV_OK;
}

int
rows_next(struct chunk *c, enum tree_db db, char at[SCHEMA_KEY_MAX + 1],
    size_t *len, struct record *out)
{
	MDB_val value;
	int rc;

	if ((rc = rows_next_key(c, db, at, len, &value)) < 0)
		return rc;
	if (rows_decode(db, tree_val(at, *len), value, out) < 0)
		return tree_corrupt(tree_db_names[db],
		    (struct kv_slice){ at, *len });
	at[(*len)++] = '\0';
	return KV_OK;
}

bool
rows_is_listed(const struct record *r)
{
	return r->type != RECORD_POSITION && !(r->flags & RECORD_LOCAL);
}

/* New entries are mostly the highest: appended pages are left full and the
 * search from the root is saved.  value is room to be filled in. */
static int
append(struct chunk *c, enum tree_db db, MDB_val key, MDB_val *value)
{
	MDB_cursor *cursor = chunk_cursor(c, db);
	MDB_val k = key;
	int rc = MDB_KEYEXIST;

	if (cursor == NULL)
		return ENOMEM;
	if (!c->inner[db])
		rc =
		    mdb_cursor_put(cursor, &k, value, MDB_APPEND | MDB_RESERVE);
	if (rc == MDB_KEYEXIST) {
		c->inner[db] = true;
		k = key;
		rc = mdb_cursor_put(cursor, &k, value, MDB_RESERVE);
	}
	if (rc == 0)
		chunk_touch(c, value->mv_data);
	return rc;
}

int
rows_put_seq(struct chunk *c, const struct record *r)
{
	char seq[8];
	MDB_val key = tree_val(seq, sizeof(seq)), value;
	int rc;

	bytes_put_be64(seq, r->seq);
	value = tree_val(NULL, SCHEMA_ENTRY_HEAD + r->key.len);
	if ((rc = append(c, DB_BYSEQ, key, &value)) != 0)
		return tree_error("mdb_cursor_put", "byseq", rc);
	schema_put_entry_head(value.mv_data, r);
	memcpy((char *)value.mv_data + SCHEMA_ENTRY_HEAD, r->key.data,
	    r->key.len);
	return KV_OK;
}

int
rows_del_seq(struct chunk *c, uint64_t seq)
{
	char bytes[8];

	bytes_put_be64(bytes, seq);
	return chunk_del(c, DB_BYSEQ, tree_val(bytes, sizeof(bytes)));
}

int
rows_put_expiry(struct chunk *c, const struct record *r)
{
	struct schema_expiry e = schema_expiry_of(r);
	char name[SCHEMA_EXPIRY_KEY];
	MDB_val key = tree_val(name, sizeof(name)), value;
	int rc;

	if (e.kind == 0)
		return KV_OK;
	schema_put_expiry(name, &e);
	value = tree_val(NULL, 8 + r->key.len);
	if ((rc = append(c, DB_EXPIRY, key, &value)) != 0)
		return tree_error("mdb_cursor_put", "expiry", rc);
	bytes_put_be64(value.mv_data, r->bid);
	memcpy((char *)value.mv_data + 8, r->key.data, r->key.len);
	return KV_OK;
}

int
rows_del_expiry(struct chunk *c, const struct schema_expiry *e)
{
	char bytes[SCHEMA_EXPIRY_KEY];

	if (e->kind == 0)
		return KV_OK;
	schema_put_expiry(bytes, e);
	return chunk_del(c, DB_EXPIRY, tree_val(bytes, sizeof(bytes)));
}

int
rows_put_totals(struct chunk *c, uint64_t bid, const struct totals *totals)
{
	char name[8], row[SCHEMA_TOTALS_ROW];
	MDB_val key = tree_val(name, sizeof(name));

	bytes_put_be64(name, bid);
	schema_put_totals(row, totals);
	if (totals->keys == 0 && totals->bytes == 0 && totals->digest[0] == 0 &&
	    totals->digest[1] == 0)
		return chunk_del(c, DB_TOTALS, key);
	return chunk_put(c, DB_TOTALS, key, tree_val(row, sizeof(row)));
}

int
rows_remove(struct chunk *c, const struct record *r)
{
	struct schema_expiry e = schema_expiry_of(r);
	char bytes[SCHEMA_KEY_MAX];
	int rc;

	if ((rc = rows_del_expiry(c, &e)) < 0)
		return rc;
	if (rows_is_listed(r) && (rc = rows_del_seq(c, r->seq)) < 0)
		return rc;
	return chunk_del(c, DB_RECORDS, rows_key(r, bytes));
}
