/* SPDX-License-Identifier: ISC */
/* The checkpoint: from sorted records to rows.
 *
 * Five passes, each in the order of the keys it touches, so that neighbours
 * share pages; one after the other through bounded transactions:
 *
 *   read    the rows the records replace: which byseq and expiry entries go
 *   forget  those entries
 *   write   records, then buckets (and drops)
 *   list    the new byseq and expiry entries
 *   close   totals, positions, and last where the tree stands
 *
 * What holds after every transaction, hence after every crash: an entry in
 * byseq or expiry points at a row that it agrees with.  A row may lack its
 * entries, and "applying" in meta says so.  So the same checkpoint can be made
 * again from the start: read finds either the old row, whose entries may or may
 * not be gone, or the new one, which then only wants listing.
 *
 * A row may also be newer than its record: the checkpoint broken off came from
 * a longer log than the one that is replayed now.  The newer row stays and is
 * listed as it stands: seqs never go backwards.  Newer rows of keys that the
 * shorter log does not have are out of sight here; "applying" stays as long as
 * its seq has not been reached again, and apply_repair() mends them. */

#include "tree/apply.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/fetch.h"
#include "base/log.h"
#include "tree/entries.h"
#include "tree/limit.h"
#include "tree/meta.h"
#include "tree/order.h"
#include "tree/rows.h"

#define KEEP 1u /* item note: the tree's row stays */

struct run {
	const struct apply *a;
	struct chunk chunk;
	struct order order;
	struct entries entries; /* of the rows replaced, then of the new ones */
};

static struct record *
record_of(const struct run *run, const struct sort_item *item)
{
	return &run->a->records[item->at];
}

static size_t
rows_count(const struct run *run)
{
	return run->order.records + run->order.buckets;
}

/* Records in the order of their keys lie all over memory: have those after
 * item i fetched while it is worked on. */
static void
fetch_ahead(const struct run *run, size_t i, size_t n)
{
	const struct record *r;

	if (i + 16 < n) {
		r = record_of(run, &run->order.items[i + 16]);
		fetch(r);
		fetch((const char *)r + sizeof(*r) - 1);
	}
	if (i + 8 < n) {
		r = record_of(run, &run->order.items[i + 8]);
		fetch(r->key.data);
		fetch(r->value.data);
	}
}

/* ---- read -------------------------------------------------------------- */

static int
read_row(struct run *run, struct sort_item *item)
{
	struct record *r = record_of(run, item), row;
	enum tree_db db = rows_db(r);
	MDB_cursor *cursor = chunk_cursor(&run->chunk, db);
	char bytes[SCHEMA_KEY_MAX];
	MDB_val key = rows_key(r, bytes), value;
	int rc;

	if (cursor == NULL)
		return KV_ENOMEM;
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET);
	if (rc == MDB_NOTFOUND)
		return KV_OK;
	if (rc != 0)
		return tree_error("mdb_cursor_get", "records", rc);
	if (rows_decode(db, key, value, &row) < 0)
		return tree_corrupt(tree_db_names[db], tree_slice(key));
	if (row.seq < r->seq) {
		entries_add(&run->entries, &row, item->at);
		return KV_OK;
	}
	item->note = KEEP;
	if (row.seq > r->seq) {
		row.key = r->key;
		row.value = (struct kv_slice){ NULL, 0 }; /* soon gone */
		*r = row;
	}
	return KV_OK;
}

static int
pass_read(struct run *run)
{
	size_t i;
	int rc;

	for (i = 0; i < rows_count(run); i++) {
		fetch_ahead(run, i, rows_count(run));
		if ((rc = read_row(run, &run->order.items[i])) < 0)
			return rc;
		if ((rc = chunk_step(&run->chunk, 0)) < 0)
			return rc;
	}
	return KV_OK;
}

/* ---- forget ------------------------------------------------------------ */

static int
forget_seqs(struct run *run)
{
	size_t i, n = entries_by_seq(&run->entries);
	int rc;

	for (i = 0; i < n; i++) {
		rc = rows_del_seq(&run->chunk, entries_seq(&run->entries, i));
		if (rc < 0)
			return rc;
		if ((rc = chunk_step(&run->chunk, 0)) < 0)
			return rc;
	}
	return KV_OK;
}

static int
forget_expiries(struct run *run)
{
	size_t i, n = entries_by_expiry(&run->entries);
	int rc;

	for (i = 0; i < n; i++) {
		const struct entry *e = entries_get(&run->entries, i);

		if ((rc = rows_del_expiry(&run->chunk, &e->expiry)) < 0)
			return rc;
		if ((rc = chunk_step(&run->chunk, 0)) < 0)
			return rc;
	}
	entries_clear(&run->entries);
	return KV_OK;
}

/* ---- write ------------------------------------------------------------- */

/* *past_end: the records from here on lie behind all that the database has. */
static int
write_record(struct run *run, const struct record *r, bool *past_end)
{
	MDB_cursor *cursor = chunk_cursor(&run->chunk, DB_RECORDS);
	size_t head = schema_row_head(r);
	unsigned how = MDB_APPEND;
	char bytes[SCHEMA_KEY_MAX];
	MDB_val key = rows_key(r, bytes), found = key, value;
	int rc;

	if (cursor == NULL)
		return KV_ENOMEM;
	if (!*past_end) {
		rc = mdb_cursor_get(cursor, &found, &value, MDB_SET_RANGE);
		*past_end = rc == MDB_NOTFOUND;
		if (rc == 0)
			how = tree_val_equal(key, found) ? MDB_CURRENT : 0;
		else if (rc != MDB_NOTFOUND)
			return tree_error("mdb_cursor_get", "records", rc);
	}
	value = tree_val(NULL, head + r->value.len);
	rc = mdb_cursor_put(cursor, &key, &value, how | MDB_RESERVE);
	if (rc != 0)
		return tree_error("mdb_cursor_put", "records", rc);
	chunk_touch(&run->chunk, value.mv_data);
	schema_put_row_head(value.mv_data, r);
	if (r->value.len > 0)
		memcpy((char *)value.mv_data + head, r->value.data,
		    r->value.len);
	return KV_OK;
}

static int
write_records(struct run *run)
{
	bool past_end = false;
	size_t i;
	int rc;

	for (i = 0; i < run->order.records; i++) {
		const struct sort_item *item = &run->order.items[i];
		const struct record *r = record_of(run, item);

		fetch_ahead(run, i, run->order.records);
		if (item->note == KEEP)
			continue;
		if ((rc = write_record(run, r, &past_end)) < 0)
			return rc;
		rc = chunk_step(&run->chunk, r->key.len + r->value.len);
		if (rc < 0)
			return rc;
	}
	return KV_OK;
}

/* A drop newer than the one the row knew is remembered for purging.  b NULL:
 * the row stays, but a purge since the checkpoint was broken off may have been
 * through with its drop, and the records it hid are written once more. */
static int
write_drop(struct run *run, MDB_val name, const struct bucket *b)
{
	MDB_cursor *cursor = chunk_cursor(&run->chunk, DB_BUCKETS);
	struct bucket old = { 0 };
	struct stamp dropped, known = { 0, 0 };
	char bid[8], stamp[SCHEMA_DROP_HEAD];
	MDB_val value;
	int rc;

	if (cursor == NULL)
		return KV_ENOMEM;
	rc = mdb_cursor_get(cursor, &name, &value, MDB_SET);
	if (rc != 0 && rc != MDB_NOTFOUND)
		return tree_error("mdb_cursor_get", "buckets", rc);
	if (rc == 0 && schema_get_bucket(tree_slice(value), &old) < 0)
		return tree_corrupt("buckets", tree_slice(name));
	dropped = old.dropped;
	if (b != NULL) {
		known = old.dropped;
		dropped = b->dropped;
	}
	if (stamp_compare(dropped, known) <= 0)
		return KV_OK;
	bytes_put_be64(bid, b != NULL ? b->bid : old.bid);
	schema_put_stamp(stamp, dropped);
	return chunk_put(&run->chunk, DB_DROPS, tree_val(bid, sizeof(bid)),
	    tree_val(stamp, sizeof(stamp)));
}

static int
write_name(struct run *run, MDB_val name, uint64_t bid)
{
	char id[8];

	bytes_put_be64(id, bid);
	return chunk_put(&run->chunk, DB_NAMES, tree_val(id, sizeof(id)), name);
}

static int
write_bucket(struct run *run, const struct sort_item *item)
{
	const struct record *r = record_of(run, item);
	MDB_val name = tree_val(r->key.data, r->key.len);
	char row[SCHEMA_BUCKET_ROW];
	struct bucket b;
	int rc;

	if (item->note == KEEP)
		return write_drop(run, name, NULL);
	if ((rc = schema_get_bucket(r->value, &b)) < 0)
		return rc;
	b.seq = r->seq; /* not known yet when the row was encoded */
	if ((rc = write_drop(run, name, &b)) < 0 ||
	    (rc = limit_note(&run->chunk, name, &b)) < 0 ||
	    (rc = write_name(run, name, b.bid)) < 0)
		return rc;
	schema_put_bucket(row, &b);
	return chunk_put(&run->chunk, DB_BUCKETS, name,
	    tree_val(row, sizeof(row)));
}

static int
write_buckets(struct run *run)
{
	size_t i;
	int rc;

	for (i = run->order.records; i < rows_count(run); i++) {
		if ((rc = write_bucket(run, &run->order.items[i])) < 0)
			return rc;
		rc = chunk_step(&run->chunk, SCHEMA_BUCKET_ROW);
		if (rc < 0)
			return rc;
	}
	return KV_OK;
}

/* ---- list -------------------------------------------------------------- */

static int
list_seqs(struct run *run)
{
	const struct record *r;
	size_t i, n;
	int rc;

	for (i = 0; i < run->a->count; i++) {
		r = &run->a->records[i];
		if (r->type != RECORD_POSITION)
			entries_add(&run->entries, r, (uint32_t)i);
	}
	n = entries_by_seq(&run->entries);
	for (i = 0; i < n; i++) {
		r = &run->a->records[entries_get(&run->entries, i)->at];
		if ((rc = rows_put_seq(&run->chunk, r)) < 0)
			return rc;
		if ((rc = chunk_step(&run->chunk, r->key.len)) < 0)
			return rc;
	}
	return KV_OK;
}

static int
list_expiries(struct run *run)
{
	size_t i, n = entries_by_expiry(&run->entries);
	int rc;

	for (i = 0; i < n; i++) {
		const struct entry *e = entries_get(&run->entries, i);
		const struct record *r = &run->a->records[e->at];

		if ((rc = rows_put_expiry(&run->chunk, r)) < 0)
			return rc;
		if ((rc = chunk_step(&run->chunk, r->key.len)) < 0)
			return rc;
	}
	return KV_OK;
}

/* ---- close ------------------------------------------------------------- */

static int
put_totals(struct run *run, const struct sort_item *items)
{
	const struct bucket_totals *b;
	size_t i;
	int rc;

	for (i = 0; i < run->a->totals_count; i++) {
		b = &run->a->totals[items[i].at];
		rc = rows_put_totals(&run->chunk, b->bid, &b->totals);
		if (rc < 0)
			return rc;
		if ((rc = chunk_step(&run->chunk, 0)) < 0)
			return rc;
	}
	return KV_OK;
}

static int
close_totals(struct run *run)
{
	size_t i, n = run->a->totals_count;
	struct sort_item *items = malloc((n + 1) * sizeof(*items));
	struct sort_item *spare = malloc((n + 1) * sizeof(*spare));
	int rc = KV_ENOMEM;

	if (items != NULL && spare != NULL) {
		for (i = 0; i < n; i++)
			items[i] = (struct sort_item){
				.key = run->a->totals[i].bid,
				.at = (uint32_t)i,
			};
		sort_items(items, spare, n);
		rc = put_totals(run, items);
	}
	free(items);
	free(spare);
	return rc;
}

static int
close_positions(struct run *run)
{
	size_t i, n = rows_count(run) + run->order.positions;
	int rc;

	for (i = rows_count(run); i < n; i++) {
		const struct record *r = record_of(run, &run->order.items[i]);
		MDB_val key = tree_val(r->key.data, r->key.len);

		rc = r->value.len == 0
		    ? chunk_del(&run->chunk, DB_INCS, key)
		    : chunk_put(&run->chunk, DB_INCS, key,
			  tree_val(r->value.data, r->value.len));
		if (rc < 0)
			return rc;
		if ((rc = chunk_step(&run->chunk, r->value.len)) < 0)
			return rc;
	}
	return KV_OK;
}

static int
close_tree(struct run *run)
{
	struct tree_position to = run->a->to, now;
	struct chunk *c = &run->chunk;
	int rc;

	rc = meta_get_position(c->tree, c->txn, &now);
	if (rc < 0)
		return rc;
	if (to.seq < now.seq)
		to.seq = now.seq;
	if ((rc = meta_put_position(c, &to)) < 0)
		return rc;
	if (c->stored_mark != 0 && to.seq >= c->stored_mark)
		return meta_del_applying(c);
	return KV_OK;
}

/* ------------------------------------------------------------------------ */

static int
run_init(struct run *run, struct tree *t, const struct apply *a)
{
	struct tree_position now;
	int rc;

	if (a->totals_count > UINT32_MAX)
		return KV_EINVAL;
	if ((rc = order_init(&run->order, a->records, a->count)) < 0)
		return rc;
	if ((rc = entries_init(&run->entries, a->count)) < 0)
		return rc;
	run->chunk.max_steps = a->chunk > 0 ? a->chunk : APPLY_CHUNK;
	run->chunk.mark = a->to.seq;
	run->chunk.pause = a->pause;
	run->chunk.user = a->user;
	if ((rc = chunk_begin(&run->chunk, t)) < 0)
		return rc;
	rc = meta_get_position(t, run->chunk.txn, &now);
	if (rc == KV_OK && a->to.checkpointed < now.checkpointed) {
		log_error("refuse checkpoint to=%llu tree_at=%llu",
		    (unsigned long long)a->to.checkpointed,
		    (unsigned long long)now.checkpointed);
		rc = KV_EINVAL;
	}
	return rc;
}

static void
run_fini(struct run *run)
{
	chunk_abort(&run->chunk);
	order_fini(&run->order);
	entries_fini(&run->entries);
}

int
apply_checkpoint(struct tree *t, const struct apply *a)
{
	static int (*const passes[])(struct run * run) = {
		pass_read,
		forget_seqs,
		forget_expiries,
		write_records,
		write_buckets,
		list_seqs,
		list_expiries,
		close_totals,
		close_positions,
		close_tree,
	};
	struct run run = { .a = a };
	size_t i;
	int rc;

	if ((rc = run_init(&run, t, a)) < 0)
		goto out;
	for (i = 0; i < sizeof(passes) / sizeof(passes[0]); i++) {
		if ((rc = passes[i](&run)) < 0)
			goto out;
	}
	rc = chunk_commit(&run.chunk);
out:
	run_fini(&run);
	return rc;
}
