/* SPDX-License-Identifier: ISC */
/* A checkpoint that was broken off and whose log is gone: what it left is made
 * to agree with itself again.  See apply.c for what can be wrong: rows may lack
 * their entries in byseq and expiry, and totals are not of these rows. */

#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "tree/apply.h"
#include "tree/meta.h"
#include "tree/recount.h"
#include "tree/rows.h"

struct repair {
	struct chunk chunk;
	struct recount recount;
	uint64_t bid; /* bucket that sum is of */
	bool counting;
	struct totals sum;
	uint64_t listed; /* entries added */
};

/* ---- entries ----------------------------------------------------------- */

static int
has_key(struct chunk *c, enum tree_db db, MDB_val key)
{
	MDB_cursor *cursor = chunk_cursor(c, db);
	MDB_val value;
	int rc;

	if (cursor == NULL)
		return KV_ENOMEM;
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET);
	return tree_error("mdb_cursor_get", tree_db_names[db], rc);
}

static int
list_row(struct repair *re, const struct record *r)
{
	struct schema_expiry e = schema_expiry_of(r);
	char seq[8], end[SCHEMA_EXPIRY_KEY];
	struct chunk *c = &re->chunk;
	int rc = KV_OK;

	if (rows_is_listed(r)) {
		bytes_put_be64(seq, r->seq);
		rc = has_key(c, DB_BYSEQ, tree_val(seq, sizeof(seq)));
		if (rc == KV_ENOTFOUND) {
			re->listed++;
			rc = rows_put_seq(c, r);
		}
	}
	if (rc == KV_OK && e.kind != 0) {
		schema_put_expiry(end, &e);
		rc = has_key(c, DB_EXPIRY, tree_val(end, sizeof(end)));
		if (rc == KV_ENOTFOUND)
			rc = rows_put_expiry(c, r);
	}
	return rc;
}

/* ---- passes ------------------------------------------------------------ */

static int
repair_buckets(struct repair *re)
{
	char at[SCHEMA_KEY_MAX + 1];
	struct record r;
	size_t len = 0;
	int rc;

	for (;;) {
		rc = rows_next(&re->chunk, DB_BUCKETS, at, &len, &r);
		if (rc == KV_ENOTFOUND)
			return KV_OK;
		if (rc < 0)
			return rc;
		if ((rc = list_row(re, &r)) < 0)
			return rc;
		if ((rc = chunk_step(&re->chunk, 0)) < 0)
			return rc;
	}
}

static int
store_sum(struct repair *re)
{
	if (!re->counting)
		return KV_OK;
	return rows_put_totals(&re->chunk, re->bid, &re->sum);
}

static int
repair_records(struct repair *re)
{
	char at[SCHEMA_KEY_MAX + 1];
	struct record r;
	size_t len = 0;
	int rc;

	for (;;) {
		rc = rows_next(&re->chunk, DB_RECORDS, at, &len, &r);
		if (rc == KV_ENOTFOUND)
			return store_sum(re);
		if (rc < 0)
			return rc;
		if (!re->counting || r.bid != re->bid) {
			if ((rc = store_sum(re)) < 0)
				return rc;
			re->bid = r.bid;
			re->counting = true;
			re->sum = (struct totals){ 0 };
		}
		recount_add(&re->recount, &r, &re->sum);
		if ((rc = list_row(re, &r)) < 0)
			return rc;
		if ((rc = chunk_step(&re->chunk, 0)) < 0)
			return rc;
	}
}

/* Totals of buckets without a record. */
static int
repair_totals(struct repair *re)
{
	struct chunk *c = &re->chunk;
	MDB_cursor *totals, *records;
	char name[9] = { 0 };
	MDB_val key, value;
	size_t len = 8;
	int rc;

	for (;;) {
		totals = chunk_cursor(c, DB_TOTALS);
		records = chunk_cursor(c, DB_RECORDS);
		if (totals == NULL || records == NULL)
			return KV_ENOMEM;
		key = tree_val(name, len);
		rc = mdb_cursor_get(totals, &key, &value, MDB_SET_RANGE);
		if (rc == MDB_NOTFOUND)
			return KV_OK;
		if (rc != 0)
			return tree_error("mdb_cursor_get", "totals", rc);
		if (key.mv_size != 8)
			return tree_corrupt("totals", tree_slice(key));
		memcpy(name, key.mv_data, 8);
		len = 9; /* a NUL behind: the least key after this one */
		rc = recount_has_records(records, bytes_get_be64(name));
		if (rc == KV_ENOTFOUND)
			rc = chunk_del(c, DB_TOTALS, tree_val(name, 8));
		if (rc < 0 || (rc = chunk_step(c, 0)) < 0)
			return rc;
	}
}

static int
repair_close(struct repair *re)
{
	struct chunk *c = &re->chunk;
	struct tree_position p;
	int rc;

	if ((rc = meta_get_position(c->tree, c->txn, &p)) < 0)
		return rc;
	if (p.seq < c->stored_mark)
		p.seq = c->stored_mark;
	if ((rc = meta_put_position(c, &p)) < 0)
		return rc;
	return meta_del_applying(c);
}

static int
repair_all(struct repair *re)
{
	int rc;

	rc = recount_init(&re->recount, re->chunk.tree, re->chunk.txn);
	if (rc < 0)
		return rc;
	if ((rc = repair_buckets(re)) < 0)
		return rc;
	if ((rc = repair_records(re)) < 0)
		return rc;
	if ((rc = repair_totals(re)) < 0)
		return rc;
	if ((rc = repair_close(re)) < 0)
		return rc;
	return chunk_commit(&re->chunk);
}

int
apply_repair(struct tree *t,
    void (*digest)(const struct record *r, uint64_t sum[2]))
{
	struct repair re = {
		.chunk.max_steps = APPLY_CHUNK,
		.recount.digest = digest,
	};
	int rc;

	if ((rc = chunk_begin(&re.chunk, t)) < 0)
		return rc;
	if (re.chunk.stored_mark != 0) {
		rc = repair_all(&re);
		log_warn("repair tree=%s entries_added=%llu result=%d",
		    t->folder, (unsigned long long)re.listed, rc);
	}
	recount_fini(&re.recount);
	chunk_abort(&re.chunk);
	return rc;
}
