/* SPDX-License-Identifier: ISC */
/* Rows of meta that say where a bucket's records are still to be looked at. */

#include "tree/limit.h"

#include <string.h>

#include "base/bytes.h"
#include "tree/chunk.h"

#define PREFIX "limit"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define LIMIT_NAME (PREFIX_LEN + 8)

static MDB_val
limit_name(uint64_t bid, char to[LIMIT_NAME])
{
	memcpy(to, PREFIX, PREFIX_LEN);
	bytes_put_be64(to + PREFIX_LEN, bid);
	return tree_val(to, LIMIT_NAME);
}

int
limit_note(struct chunk *c, MDB_val name, const struct bucket *b)
{
	char key[LIMIT_NAME];
	struct bucket old = { 0 };
	MDB_val value;
	int rc;

	if (bucket_ttl_ms(b) == 0)
		return KV_OK;
	rc = mdb_get(c->txn, c->tree->db[DB_BUCKETS], &name, &value);
	if (rc != 0 && rc != MDB_NOTFOUND)
		return tree_error("mdb_get", "buckets", rc);
	if (rc == 0 && schema_get_bucket(tree_slice(value), &old) < 0)
		return tree_corrupt("buckets", tree_slice(name));
	if (bucket_ttl_ms(&old) != 0 && bucket_ttl_ms(&old) <= bucket_ttl_ms(b))
		return KV_OK;
	return chunk_put(c, DB_META, limit_name(b->bid, key), tree_val("", 0));
}

/* Records without a deadline are those that sums are of. */
static int
limit_is_broken(struct chunk *c, uint64_t bid, bool *broken)
{
	char id[8];
	MDB_val key = tree_val(id, sizeof(id)), value;
	struct totals t;
	int rc;

	*broken = false;
	bytes_put_be64(id, bid);
	rc = mdb_get(c->txn, c->tree->db[DB_TOTALS], &key, &value);
	if (rc != 0)
		return rc == MDB_NOTFOUND ? KV_OK
					  : tree_error("mdb_get", "totals", rc);
	if (schema_get_totals(tree_slice(value), &t) < 0)
		return tree_corrupt("totals", tree_slice(key));
	*broken = t.digest[0] != 0 || t.digest[1] != 0;
	return KV_OK;
}

static int
limit_look_at(struct chunk *c, MDB_val row)
{
	char name[LIMIT_NAME];
	struct bucket b;
	bool broken;
	int rc;

	if (schema_get_bucket(tree_slice(row), &b) < 0 ||
	    bucket_ttl_ms(&b) == 0)
		return KV_OK;
	if ((rc = limit_is_broken(c, b.bid, &broken)) < 0 || !broken)
		return rc;
	return chunk_put(c, DB_META, limit_name(b.bid, name), tree_val("", 0));
}

int
limit_look(struct tree *t)
{
	struct chunk c = { 0 };
	MDB_cursor *cursor;
	MDB_val key, value;
	int rc;

	if ((rc = chunk_begin(&c, t)) < 0)
		return rc;
	rc = KV_ENOMEM;
	if ((cursor = chunk_cursor(&c, DB_BUCKETS)) != NULL)
		rc = tree_error("mdb_cursor_get", "buckets",
		    mdb_cursor_get(cursor, &key, &value, MDB_FIRST));
	while (rc == KV_OK && (rc = limit_look_at(&c, value)) == KV_OK)
		rc = tree_error("mdb_cursor_get", "buckets",
		    mdb_cursor_get(cursor, &key, &value, MDB_NEXT));
	if (rc == KV_ENOTFOUND)
		rc = chunk_commit(&c);
	chunk_abort(&c);
	return rc;
}

static int
limit_read(MDB_cursor *cursor, struct limit *out)
{
	char name[LIMIT_NAME];
	MDB_val key = limit_name(0, name), value;
	int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

	if (rc != 0)
		return tree_error("mdb_cursor_get", "meta", rc);
	if (key.mv_size < PREFIX_LEN ||
	    memcmp(key.mv_data, PREFIX, PREFIX_LEN) != 0)
		return KV_ENOTFOUND;
	if (key.mv_size != LIMIT_NAME || value.mv_size > sizeof(out->key))
		return tree_corrupt("meta", tree_slice(key));
	out->bid = bytes_get_be64((char *)key.mv_data + PREFIX_LEN);
	out->len = value.mv_size;
	memcpy(out->key, value.mv_data, value.mv_size);
	return KV_OK;
}

int
limit_first(struct tree *t, struct limit *out)
{
	MDB_cursor *cursor;
	int rc;

	assert(t->held);
	rc = mdb_cursor_open(t->txn, t->db[DB_META], &cursor);
	if (rc != 0)
		return tree_error("mdb_cursor_open", "meta", rc);
	rc = limit_read(cursor, out);
	mdb_cursor_close(cursor);
	return rc;
}

int
limit_move(struct tree *t, const struct limit *l, bool end)
{
	struct chunk c = { 0 };
	char name[LIMIT_NAME];
	MDB_val key = limit_name(l->bid, name);
	int rc;

	if ((rc = chunk_begin(&c, t)) < 0)
		return rc;
	rc = end ? chunk_del(&c, DB_META, key)
		 : chunk_put(&c, DB_META, key, tree_val(l->key, l->len));
	if (rc == KV_OK)
		rc = chunk_commit(&c);
	chunk_abort(&c);
	return rc;
}
