/* SPDX-License-Identifier: ISC */
/* Ordered walks over the handle's snapshot. */

#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "tree/rows.h"

struct tree_scan {
	struct tree *tree;
	MDB_cursor *cursor;
	enum tree_order order;
	uint64_t bid;
	MDB_cursor_op op; /* how to get at the next entry */
	bool ended;
};

/* What differs between the orders: which database is walked, which of its keys
 * belong, and how an entry becomes a record. */
struct order_how {
	enum tree_db db;
	char kind; /* first byte of the keys in expiry */
	int (*decode)(struct tree_scan *s, MDB_val key, MDB_val value,
	    struct record *out);
};

static int decode_row(struct tree_scan *s, MDB_val key, MDB_val value,
    struct record *out);
static int decode_position(struct tree_scan *s, MDB_val key, MDB_val value,
    struct record *out);
static int decode_seq(struct tree_scan *s, MDB_val key, MDB_val value,
    struct record *out);
static int decode_expiry(struct tree_scan *s, MDB_val key, MDB_val value,
    struct record *out);

static const struct order_how hows[] = {
	[TREE_BY_KEY] = { DB_RECORDS, 0, decode_row },
	[TREE_BY_SEQ] = { DB_BYSEQ, 0, decode_seq },
	[TREE_BY_BUCKET] = { DB_BUCKETS, 0, decode_row },
	[TREE_BY_DEADLINE] = { DB_EXPIRY, 'D', decode_expiry },
	[TREE_BY_DEATH] = { DB_EXPIRY, 'T', decode_expiry },
	[TREE_BY_POSITION] = { DB_INCS, 0, decode_position },
};

/* ---- entries to records ------------------------------------------------ */

static int
decode_row(struct tree_scan *s, MDB_val key, MDB_val value, struct record *out)
{
	enum tree_db db = hows[s->order].db;

	if (rows_decode(db, key, value, out) < 0)
		return tree_corrupt(tree_db_names[db], tree_slice(key));
	return KV_OK;
}

static int
decode_position(struct tree_scan *s, MDB_val key, MDB_val value,
    struct record *out)
{
	(void)s;
	*out = (struct record){ .type = RECORD_POSITION };
	out->key = tree_slice(key);
	out->value = tree_slice(value);
	return KV_OK;
}

/* The row an entry points at; KV_ENOTFOUND when it is not that one any more. */
static int
find_current(struct tree_scan *s, const struct record *entry,
    struct record *out)
{
	int rc = rows_find(s->tree, s->tree->txn, entry, out);

	if (rc == KV_OK && out->seq != entry->seq)
		rc = KV_ENOTFOUND;
	return rc;
}

static int
decode_seq(struct tree_scan *s, MDB_val key, MDB_val value, struct record *out)
{
	struct record entry = { 0 };

	if (key.mv_size != 8 || schema_get_entry(tree_slice(value), &entry) < 0)
		return tree_corrupt("byseq", tree_slice(key));
	if (s->bid != 0 && entry.bid != s->bid)
		return KV_ENOTFOUND;
	entry.seq = bytes_get_be64(key.mv_data);
	return find_current(s, &entry, out);
}

static int
decode_expiry(struct tree_scan *s, MDB_val key, MDB_val value,
    struct record *out)
{
	struct record entry = { .type = RECORD_PUT };
	struct schema_expiry e, now;
	const char *row = value.mv_data;
	int rc;

	if (schema_get_expiry(tree_slice(key), &e) < 0 || value.mv_size < 8)
		return tree_corrupt("expiry", tree_slice(key));
	entry.seq = e.seq;
	entry.bid = bytes_get_be64(row);
	entry.key = (struct kv_slice){ row + 8, value.mv_size - 8 };
	if ((rc = find_current(s, &entry, out)) < 0)
		return rc;
	now = schema_expiry_of(out);
	return now.kind == e.kind && now.ms == e.ms ? KV_OK : KV_ENOTFOUND;
}

/* ---- the walk ---------------------------------------------------------- */

int
tree_scan_open(struct tree *t, enum tree_order order, uint64_t bid,
    struct tree_scan **out)
{
	struct kv_slice start = { "", 0 };
	struct tree_scan *s;
	int rc;

	assert(t->held);
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return KV_ENOMEM;
	s->tree = t;
	s->order = order;
	s->bid = bid;
	rc = mdb_cursor_open(t->txn, t->db[hows[order].db], &s->cursor);
	rc = tree_error("mdb_cursor_open", t->folder, rc);
	if (rc == KV_OK)
		rc = tree_scan_seek(s, start, 0);
	if (rc == KV_OK)
		*out = s;
	else
		tree_scan_close(s);
	return rc;
}

void
tree_scan_close(struct tree_scan *s)
{
	if (s == NULL)
		return;
	if (s->cursor != NULL)
		mdb_cursor_close(s->cursor);
	free(s);
}

/* Where the scan's order puts key or number. */
static MDB_val
seek_key(const struct tree_scan *s, struct kv_slice key, uint64_t number,
    char to[SCHEMA_KEY_MAX])
{
	struct schema_expiry e = { hows[s->order].kind, number, 0 };

	switch (s->order) {
	case TREE_BY_KEY:
		bytes_put_be64(to, s->bid);
		memcpy(to + 8, key.data, key.len);
		return tree_val(to, 8 + key.len);
	case TREE_BY_SEQ:
		bytes_put_be64(to, number);
		return tree_val(to, 8);
	case TREE_BY_DEADLINE:
	case TREE_BY_DEATH:
		schema_put_expiry(to, &e);
		return tree_val(to, SCHEMA_EXPIRY_KEY);
	case TREE_BY_BUCKET:
	case TREE_BY_POSITION:
		break;
	}
	return tree_val(key.data, key.len);
}

int
tree_scan_seek(struct tree_scan *s, struct kv_slice key, uint64_t number)
{
	char bytes[SCHEMA_KEY_MAX];
	MDB_val k, value;
	int rc;

	/* A longer key than any there is sorts where its beginning does, or
	 * one further: no key lies between. */
	if (key.len > KV_KEY_MAX + 1)
		key.len = KV_KEY_MAX + 1;
	k = seek_key(s, key, number, bytes);
	rc = mdb_cursor_get(s->cursor, &k, &value,
	    k.mv_size == 0 ? MDB_FIRST : MDB_SET_RANGE);
	s->op = MDB_GET_CURRENT;
	s->ended = rc == MDB_NOTFOUND;
	return s->ended ? KV_OK : tree_error("mdb_cursor_get", "scan", rc);
}

static bool
is_inside(const struct tree_scan *s, MDB_val key)
{
	const char *k = key.mv_data;

	if (s->order == TREE_BY_KEY)
		return key.mv_size >= 8 && bytes_get_be64(k) == s->bid;
	return hows[s->order].kind == 0 || k[0] == hows[s->order].kind;
}

int
tree_scan_next(struct tree_scan *s, struct record *out)
{
	MDB_val key, value;
	int rc;

	for (;;) {
		if (s->ended)
			return KV_ENOTFOUND;
		rc = mdb_cursor_get(s->cursor, &key, &value, s->op);
		s->op = MDB_NEXT;
		if (rc != 0 || !is_inside(s, key)) {
			s->ended = true;
			return rc == 0
			    ? KV_ENOTFOUND
			    : tree_error("mdb_cursor_get", "scan", rc);
		}
		rc = hows[s->order].decode(s, key, value, out);
		if (rc != KV_ENOTFOUND)
			return rc;
	}
}
