/* SPDX-License-Identifier: ISC */
/* Rows of incs that purging reads and writes. */

#include "tree/incs.h"

#include "base/bytes.h"
#include "tree/schema.h"

/* Nothing written by this run can be missing here. */
static int
incs_own(struct chunk *c, uint64_t *inc)
{
	MDB_val key = tree_val("inc", 3), value;
	int rc = mdb_get(c->txn, c->tree->db[DB_META], &key, &value);

	*inc =
	    rc == 0 && value.mv_size == 8 ? bytes_get_be64(value.mv_data) : 0;
	return rc == MDB_NOTFOUND ? KV_OK : tree_error("mdb_get", "inc", rc);
}

int
incs_gap(struct chunk *c, uint64_t *tick)
{
	MDB_cursor *cursor = chunk_cursor(c, DB_INCS);
	MDB_val key = tree_val("V", 1), value;
	struct schema_vector v;
	uint64_t own;
	int rc;

	*tick = UINT64_MAX;
	if (cursor == NULL)
		return KV_ENOMEM;
	if ((rc = incs_own(c, &own)) < 0)
		return rc;
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	while (rc == 0) {
		rc = schema_get_vector(tree_slice(key), tree_slice(value), &v);
		if (rc == KV_ENOTFOUND)
			return KV_OK; /* another kind: that was all */
		if (rc < 0)
			return tree_corrupt("incs", tree_slice(key));
		if (v.inc != own && v.vv < v.announced && v.vv < *tick)
			*tick = v.vv;
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
	}
	return rc == MDB_NOTFOUND ? KV_OK
				  : tree_error("mdb_cursor_get", "incs", rc);
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
