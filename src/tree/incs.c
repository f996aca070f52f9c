/* SPDX-License-Identifier: ISC */
/* Rows of incs that purging reads and writes. */

#include "tree/incs.h"

#include <string.h>

#include "base/bytes.h"
#include "tree/apply.h"
#include "tree/schema.h"

static int
incs_meta(struct chunk *c, const char *name, struct kv_slice *out)
{
	MDB_val key = tree_val(name, strlen(name)), value;
	int rc = mdb_get(c->txn, c->tree->db[DB_META], &key, &value);

	*out = rc == 0 ? tree_slice(value) : (struct kv_slice){ NULL, 0 };
	return rc == MDB_NOTFOUND ? KV_OK : tree_error("mdb_get", name, rc);
}

static int
incs_read_runs(struct chunk *c, struct incs_limits *out)
{
	struct kv_slice own, rows;
	int rc;

	if ((rc = incs_meta(c, "inc", &own)) < 0 ||
	    (rc = incs_meta(c, "lineage", &rows)) < 0)
		return rc;
	if (own.len == 8)
		out->own = bytes_get_be64(own.data);
	while (out->lineage_count < SCHEMA_LINEAGE_MAX &&
	    schema_take_lineage(&rows, &out->lineage[out->lineage_count]))
		out->lineage_count++;
	return KV_OK;
}

static int
incs_read_gap(struct chunk *c, struct incs_limits *out)
{
	MDB_cursor *cursor = chunk_cursor(c, DB_INCS);
	MDB_val key = tree_val("V", 1), value;
	struct schema_vector v;
	int rc;

	if (cursor == NULL)
		return KV_ENOMEM;
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	while (rc == 0) {
		rc = schema_get_vector(tree_slice(key), tree_slice(value), &v);
		if (rc == KV_ENOTFOUND)
			return KV_OK; /* another kind: that was all */
		if (rc < 0)
			return tree_corrupt("incs", tree_slice(key));
		if (v.inc != out->own && v.vv < v.announced && v.vv < out->gap)
			out->gap = v.vv;
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	return rc == MDB_NOTFOUND ? KV_OK
				  : tree_error("mdb_cursor_get", "incs", rc);
}

int
incs_read_limits(struct chunk *c, struct incs_limits *out)
{
	int rc;

	*out = (struct incs_limits){ .gap = UINT64_MAX };
	rc = incs_read_runs(c, out);
	return rc < 0 ? rc : incs_read_gap(c, out);
}

/* The row of inc; all zero where there is none. */
static int
incs_vector(struct chunk *c, uint64_t inc, struct schema_vector *out)
{
	char name[SCHEMA_INC_KEY];
	MDB_val key = tree_val(name, sizeof(name)), value;
	int rc;

	*out = (struct schema_vector){ .inc = inc };
	schema_put_inc(name, 'V', inc);
	rc = mdb_get(c->txn, c->tree->db[DB_INCS], &key, &value);
	if (rc == MDB_NOTFOUND)
		return KV_OK;
	if (rc != 0)
		return tree_error("mdb_get", "incs", rc);
	if (schema_get_vector((struct kv_slice){ name, sizeof(name) },
		tree_slice(value), out) < 0)
		return tree_corrupt("incs",
		    (struct kv_slice){ name, sizeof(name) });
	return KV_OK;
}

/* How far we have seen all that inc wrote. */
static int
incs_seen(struct chunk *c, const struct incs_limits *l, uint64_t inc,
    uint64_t *tick)
{
	struct schema_vector v;
	size_t i;
	int rc;

	*tick = UINT64_MAX;
	if (inc == l->own)
		return KV_OK;
	if ((rc = incs_vector(c, inc, &v)) < 0)
		return rc;
	for (i = 0; i < l->lineage_count; i++)
		if (l->lineage[i].inc == inc && l->lineage[i].tick > v.vv)
			v.vv = l->lineage[i].tick;
	*tick = v.vv;
	return KV_OK;
}

int
incs_may_purge(struct chunk *c, struct incs_limits *l,
    const struct record *tomb, bool *may)
{
	uint64_t inc = tomb->stamp.inc;
	int rc;

	*may = true;
	if (tomb->flags & RECORD_LOCAL)
		return KV_OK;
	if (!l->has_last || l->last.inc != inc) {
		if ((rc = incs_seen(c, l, inc, &l->last.tick)) < 0)
			return rc;
		l->last.inc = inc;
		l->has_last = true;
	}
	*may = tomb->stamp.tick <= l->gap && tomb->stamp.tick <= l->last.tick;
	return KV_OK;
}

static int
incs_raise_in(struct chunk *c, uint64_t inc, uint64_t tick)
{
	char name[SCHEMA_INC_KEY], row[SCHEMA_VECTOR_ROW];
	struct schema_vector v;
	int rc;

	if ((rc = incs_vector(c, inc, &v)) < 0 || v.vv >= tick)
		return rc;
	v.vv = tick;
	schema_put_inc(name, 'V', inc);
	schema_put_vector(row, &v);
	return chunk_put(c, DB_INCS, tree_val(name, sizeof(name)),
	    tree_val(row, sizeof(row)));
}

int
apply_seen(struct tree *t, uint64_t inc, uint64_t tick)
{
	struct chunk c = { 0 };
	int rc;

	if ((rc = chunk_begin(&c, t)) < 0)
		return rc;
	if ((rc = incs_raise_in(&c, inc, tick)) == KV_OK)
		rc = chunk_commit(&c);
	chunk_abort(&c);
	return rc;
}

int
incs_note_purged(struct chunk *c, struct stamp stamp)
{
	char name[SCHEMA_INC_KEY], tick[8];
	MDB_val key = tree_val(name, sizeof(name)), value;
	int rc;

	schema_put_inc(name, 'P', stamp.inc);
	rc = mdb_get(c->txn, c->tree->db[DB_INCS], &key, &value);
	if (rc != 0 && rc != MDB_NOTFOUND)
		return tree_error("mdb_get", "incs", rc);
	if (rc == 0 && value.mv_size == 8 &&
	    bytes_get_be64(value.mv_data) >= stamp.tick)
		return KV_OK;
	bytes_put_be64(tick, stamp.tick);
	return chunk_put(c, DB_INCS, key, tree_val(tick, sizeof(tick)));
}
