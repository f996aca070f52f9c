/* SPDX-License-Identifier: ISC */
/* Does everything in the tree agree with everything else? */

#include <assert.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/bytes.h"
#include "tree/meta.h"
#include "tree/recount.h"
#include "tree/rows.h"

#define LINE_MAX_BYTES 512
#define PROGRESS_EVERY 4096

struct checker {
	struct tree *tree;
	const struct tree_check *how;
	struct recount recount;
	struct tree_position position;
	uint64_t done, of; /* rows */
	uint64_t listed;   /* rows that have their entry in byseq */
	uint64_t expiring; /* rows that have their entry in expiry */
	uint64_t bid;	   /* bucket that sum is of */
	bool counting;	   /* there is such a bucket */
	struct totals sum; /* of its records so far */
	int found;
	MDB_cursor *records; /* for lookups beside the walk */
};

/* ---- findings ---------------------------------------------------------- */

static int found(struct checker *ck, enum tree_db db, struct kv_slice key,
    const char *fmt, ...) KV_PRINTF(4, 5);

/* "<database> key=0x...: <what>"; returns KV_OK: the walk goes on. */
static int
found(struct checker *ck, enum tree_db db, struct kv_slice key, const char *fmt,
    ...)
{
	char line[LINE_MAX_BYTES], hex[TREE_HEX_MAX];
	va_list ap;
	int n;

	n = snprintf(line, sizeof(line), "%s key=0x%s: ", tree_db_names[db],
	    tree_hex(key, hex));
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	va_end(ap);
	if (ck->found < INT_MAX)
		ck->found++;
	ck->how->report(ck->how->user, line);
	return KV_OK;
}

static void
count_row(struct checker *ck)
{
	ck->done++;
	if (ck->how->progress != NULL && ck->done % PROGRESS_EVERY == 0)
		ck->how->progress(ck->how->user, ck->done, ck->of);
}

/* Call visit for each row of a database. */
static int
walk(struct checker *ck, enum tree_db db,
    int (*visit)(struct checker *ck, MDB_val key, MDB_val value))
{
	struct tree *t = ck->tree;
	MDB_cursor *cursor;
	MDB_val key, value;
	int rc;

	if ((rc = mdb_cursor_open(t->txn, t->db[db], &cursor)) != 0)
		return tree_error("mdb_cursor_open", tree_db_names[db], rc);
	for (;;) {
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
		if (rc != 0) {
			rc =
			    tree_error("mdb_cursor_get", tree_db_names[db], rc);
			break;
		}
		if ((rc = visit(ck, key, value)) < 0)
			break;
		count_row(ck);
	}
	mdb_cursor_close(cursor);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* ---- rows and their entries -------------------------------------------- */

static int
check_seq(struct checker *ck, enum tree_db db, const struct record *r)
{
	char name[8], head[SCHEMA_ENTRY_HEAD];
	MDB_val key = tree_val(name, sizeof(name)), value;
	const char *entry;
	int rc;

	if (r->seq > ck->position.seq)
		found(ck, db, r->key, "seq=%llu is past the tree's own %llu",
		    (unsigned long long)r->seq,
		    (unsigned long long)ck->position.seq);
	if (!rows_is_listed(r))
		return KV_OK;
	bytes_put_be64(name, r->seq);
	rc = mdb_get(ck->tree->txn, ck->tree->db[DB_BYSEQ], &key, &value);
	if (rc == MDB_NOTFOUND)
		return found(ck, db, r->key, "seq=%llu is not in byseq",
		    (unsigned long long)r->seq);
	if (rc != 0)
		return tree_error("mdb_get", "byseq", rc);
	schema_put_entry_head(head, r);
	entry = value.mv_data;
	if (value.mv_size != SCHEMA_ENTRY_HEAD + r->key.len ||
	    memcmp(entry, head, SCHEMA_ENTRY_HEAD) != 0 ||
	    memcmp(entry + SCHEMA_ENTRY_HEAD, r->key.data, r->key.len) != 0)
		return found(ck, db, r->key, "byseq has another at seq=%llu",
		    (unsigned long long)r->seq);
	ck->listed++;
	return KV_OK;
}

static int
check_expiry(struct checker *ck, const struct record *r)
{
	struct schema_expiry e = schema_expiry_of(r);
	char name[SCHEMA_EXPIRY_KEY];
	MDB_val key = tree_val(name, sizeof(name)), value;
	const char *row;
	int rc;

	if (e.kind == 0)
		return KV_OK;
	schema_put_expiry(name, &e);
	rc = mdb_get(ck->tree->txn, ck->tree->db[DB_EXPIRY], &key, &value);
	if (rc == MDB_NOTFOUND)
		return found(ck, DB_RECORDS, r->key,
		    "its end %c %llu is not in expiry", e.kind,
		    (unsigned long long)e.ms);
	if (rc != 0)
		return tree_error("mdb_get", "expiry", rc);
	row = value.mv_data;
	if (value.mv_size != 8 + r->key.len || bytes_get_be64(row) != r->bid ||
	    memcmp(row + 8, r->key.data, r->key.len) != 0)
		return found(ck, DB_RECORDS, r->key,
		    "expiry has another at its end %c %llu", e.kind,
		    (unsigned long long)e.ms);
	ck->expiring++;
	return KV_OK;
}

/* ---- totals ------------------------------------------------------------ */

static int
is_purging(struct checker *ck, uint64_t bid)
{
	char name[8];
	MDB_val key = tree_val(name, sizeof(name)), value;
	int rc;

	bytes_put_be64(name, bid);
	rc = mdb_get(ck->tree->txn, ck->tree->db[DB_DROPS], &key, &value);
	if (rc == MDB_NOTFOUND)
		return 0;
	return rc == 0 ? 1 : tree_error("mdb_get", "drops", rc);
}

/* The records of ck->bid have all been seen. */
static int
check_totals(struct checker *ck)
{
	const struct totals *sum = &ck->sum;
	struct totals row;
	char name[8];
	int rc;

	if (!ck->counting || (rc = is_purging(ck, ck->bid)) == 1)
		return KV_OK;
	if (rc < 0)
		return rc;
	rc = tree_get_totals(ck->tree, ck->bid, &row);
	if (rc == KV_ECORRUPT)
		return KV_OK; /* reported by its own walk */
	if (rc < 0)
		return rc;
	bytes_put_be64(name, ck->bid);
	if (row.keys != sum->keys || row.bytes != sum->bytes)
		return found(ck, DB_TOTALS, (struct kv_slice){ name, 8 },
		    "keys=%llu bytes=%llu counted keys=%llu bytes=%llu",
		    (unsigned long long)row.keys, (unsigned long long)row.bytes,
		    (unsigned long long)sum->keys,
		    (unsigned long long)sum->bytes);
	if (row.digest[0] != sum->digest[0] || row.digest[1] != sum->digest[1])
		return found(ck, DB_TOTALS, (struct kv_slice){ name, 8 },
		    "digest differs from the records'");
	return KV_OK;
}

/* ---- one row of each database ------------------------------------------ */

static int
visit_bucket(struct checker *ck, MDB_val key, MDB_val value)
{
	struct record r;

	if (rows_decode(DB_BUCKETS, key, value, &r) < 0)
		return found(ck, DB_BUCKETS, tree_slice(key), "unreadable");
	return check_seq(ck, DB_BUCKETS, &r);
}

static int
visit_record(struct checker *ck, MDB_val key, MDB_val value)
{
	struct record r;
	int rc;

	if (rows_decode(DB_RECORDS, key, value, &r) < 0)
		return found(ck, DB_RECORDS, tree_slice(key), "unreadable");
	if (!ck->counting || r.bid != ck->bid) {
		if ((rc = check_totals(ck)) < 0)
			return rc;
		ck->sum = (struct totals){ 0 };
		ck->bid = r.bid;
		ck->counting = true;
	}
	recount_add(&ck->recount, &r, &ck->sum);
	if ((rc = check_seq(ck, DB_RECORDS, &r)) < 0)
		return rc;
	return check_expiry(ck, &r);
}

/* The row that entry names; KV_ENOTFOUND, also when it cannot be read, which
 * its own walk reports. */
static int
find_row(struct checker *ck, const struct record *entry, struct record *row)
{
	enum tree_db db = rows_db(entry);
	char bytes[SCHEMA_KEY_MAX];
	MDB_val key, value;
	int rc;

	if (entry->key.len > KV_KEY_MAX)
		return KV_ENOTFOUND;
	key = rows_key(entry, bytes);
	rc = mdb_get(ck->tree->txn, ck->tree->db[db], &key, &value);
	if (rc != 0)
		return tree_error("mdb_get", tree_db_names[db], rc);
	return rows_decode(db, key, value, row) < 0 ? KV_ENOTFOUND : KV_OK;
}

static int
visit_seq(struct checker *ck, MDB_val key, MDB_val value)
{
	struct record entry = { 0 }, row;
	int rc;

	if (key.mv_size != 8 || schema_get_entry(tree_slice(value), &entry) < 0)
		return found(ck, DB_BYSEQ, tree_slice(key), "unreadable");
	entry.seq = bytes_get_be64(key.mv_data);
	rc = find_row(ck, &entry, &row);
	if (rc == KV_ENOTFOUND)
		return found(ck, DB_BYSEQ, tree_slice(key), "has no row");
	if (rc < 0)
		return rc;
	if (row.seq != entry.seq)
		return found(ck, DB_BYSEQ, tree_slice(key),
		    "its row has seq=%llu", (unsigned long long)row.seq);
	if (!rows_is_listed(&row))
		return found(ck, DB_BYSEQ, tree_slice(key),
		    "its row is local to this host");
	return KV_OK;
}

static int
visit_expiry(struct checker *ck, MDB_val key, MDB_val value)
{
	struct record entry = { .type = RECORD_PUT }, row;
	struct schema_expiry e, now;
	const char *v = value.mv_data;
	int rc;

	if (schema_get_expiry(tree_slice(key), &e) < 0 || value.mv_size < 8)
		return found(ck, DB_EXPIRY, tree_slice(key), "unreadable");
	entry.bid = bytes_get_be64(v);
	entry.key = (struct kv_slice){ v + 8, value.mv_size - 8 };
	rc = find_row(ck, &entry, &row);
	if (rc == KV_ENOTFOUND)
		return found(ck, DB_EXPIRY, tree_slice(key), "has no row");
	if (rc < 0)
		return rc;
	now = schema_expiry_of(&row);
	if (now.kind != e.kind || now.ms != e.ms || now.seq != e.seq)
		return found(ck, DB_EXPIRY, tree_slice(key),
		    "its row ends otherwise, or has another seq");
	return KV_OK;
}

static int
visit_totals(struct checker *ck, MDB_val key, MDB_val value)
{
	struct totals row;
	int rc;

	if (key.mv_size != 8 || schema_get_totals(tree_slice(value), &row) < 0)
		return found(ck, DB_TOTALS, tree_slice(key), "unreadable");
	rc = recount_has_records(ck->records, bytes_get_be64(key.mv_data));
	if (rc == KV_ENOTFOUND)
		return found(ck, DB_TOTALS, tree_slice(key),
		    "its bucket has no records");
	return rc;
}

static int
visit_drop(struct checker *ck, MDB_val key, MDB_val value)
{
	const struct recount_bucket *b;

	if (key.mv_size != 8 || value.mv_size < SCHEMA_DROP_HEAD ||
	    value.mv_size > SCHEMA_DROP_HEAD + KV_KEY_MAX + 1)
		return found(ck, DB_DROPS, tree_slice(key), "unreadable");
	b = recount_find(&ck->recount, bytes_get_be64(key.mv_data));
	if (b == NULL)
		return found(ck, DB_DROPS, tree_slice(key), "has no bucket");
	if (stamp_compare(b->dropped, schema_get_stamp(value.mv_data)) != 0)
		return found(ck, DB_DROPS, tree_slice(key),
		    "its bucket was dropped at another stamp");
	return KV_OK;
}

static int
visit_position(struct checker *ck, MDB_val key, MDB_val value)
{
	if (value.mv_size == 0)
		return found(ck, DB_INCS, tree_slice(key), "empty");
	return KV_OK;
}

/* ---- all --------------------------------------------------------------- */

static void
check_ids(struct checker *ck)
{
	size_t i;
	char name[8];

	for (i = 1; i < ck->recount.count; i++) {
		uint64_t bid = ck->recount.buckets[i].bid;

		if (ck->recount.buckets[i - 1].bid != bid)
			continue;
		bytes_put_be64(name, bid);
		found(ck, DB_BUCKETS, (struct kv_slice){ name, 8 },
		    "two buckets have this id");
	}
}

static int
count_rows(struct checker *ck, enum tree_db db, uint64_t *out)
{
	MDB_stat stat;
	int rc = mdb_stat(ck->tree->txn, ck->tree->db[db], &stat);

	*out = rc == 0 ? stat.ms_entries : 0;
	return tree_error("mdb_stat", tree_db_names[db], rc);
}

static int
prepare(struct checker *ck)
{
	struct tree *t = ck->tree;
	uint64_t applying, rows;
	enum tree_db db;
	int rc;

	if ((rc = meta_get_applying(t, t->txn, &applying)) < 0)
		return rc;
	if (applying != 0)
		return KV_EBUSY;
	rc = meta_get_position(t, t->txn, &ck->position);
	if (rc < 0)
		return rc;
	for (db = 0; db < DB_META; db++) {
		if ((rc = count_rows(ck, db, &rows)) < 0)
			return rc;
		ck->of += rows;
	}
	rc = mdb_cursor_open(t->txn, t->db[DB_RECORDS], &ck->records);
	if (rc != 0)
		return tree_error("mdb_cursor_open", "records", rc);
	return recount_init(&ck->recount, t, t->txn);
}

/* Each row has an entry of its own; as many entries as rows, and none can be
 * too many.  Only otherwise is it worth asking each entry. */
static int
check_entries(struct checker *ck, enum tree_db db, uint64_t matched,
    int (*visit)(struct checker *ck, MDB_val key, MDB_val value))
{
	uint64_t rows;
	int rc;

	if ((rc = count_rows(ck, db, &rows)) < 0)
		return rc;
	if (rows != matched)
		return walk(ck, db, visit);
	ck->done += rows;
	return KV_OK;
}

static int
run_checks(struct checker *ck)
{
	int rc;

	if ((rc = prepare(ck)) < 0)
		return rc;
	check_ids(ck);
	if ((rc = walk(ck, DB_BUCKETS, visit_bucket)) < 0)
		return rc;
	if ((rc = walk(ck, DB_RECORDS, visit_record)) < 0)
		return rc;
	if ((rc = check_totals(ck)) < 0)
		return rc;
	rc = check_entries(ck, DB_BYSEQ, ck->listed, visit_seq);
	if (rc < 0)
		return rc;
	rc = check_entries(ck, DB_EXPIRY, ck->expiring, visit_expiry);
	if (rc < 0)
		return rc;
	if ((rc = walk(ck, DB_TOTALS, visit_totals)) < 0)
		return rc;
	if ((rc = walk(ck, DB_DROPS, visit_drop)) < 0)
		return rc;
	return walk(ck, DB_INCS, visit_position);
}

int
tree_check(struct tree *t, const struct tree_check *check)
{
	struct checker ck = {
		.tree = t,
		.how = check,
		.recount.digest = check->digest,
	};
	int rc;

	assert(t->held);
	rc = run_checks(&ck);
	if (rc == KV_OK && check->progress != NULL)
		check->progress(check->user, ck.of, ck.of);
	recount_fini(&ck.recount);
	if (ck.records != NULL)
		mdb_cursor_close(ck.records);
	return rc < 0 ? rc : ck.found;
}
