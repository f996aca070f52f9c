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

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "tree/order.h"
#include "tree/rows.h"

#define KEEP 1u /* item note: the tree's row stays */

/* The entries of a row that is replaced. */
struct old {
	struct schema_expiry expiry;
	bool listed; /* in byseq, under expiry.seq */
};

struct run {
	const struct apply *a;
	struct chunk chunk;
	struct order order;
	struct old *olds;
	size_t olds_count;
	struct sort_item *items, *spare; /* of the pass that runs */
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
	if ((rc = rows_decode(db, key, value, &row)) < 0)
		return rc;
	if (row.seq < r->seq) {
		run->olds[run->olds_count++] = (struct old){
			.expiry = schema_expiry_of(&row),
			.listed = rows_is_listed(&row),
		};
		return KV_OK;
	}
	item->note = KEEP;
	row.key = r->key;
	row.value = (struct kv_slice){ NULL, 0 }; /* the map's, soon gone */
	*r = row;
	return KV_OK;
}

static int
pass_read(struct run *run)
{
	size_t i;
	int rc;

	for (i = 0; i < rows_count(run); i++) {
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
	size_t i, n = 0;
	int rc;

	for (i = 0; i < run->olds_count; i++) {
		if (run->olds[i].listed)
			run->items[n++].key = run->olds[i].expiry.seq;
	}
	sort_items(run->items, run->spare, n);
	for (i = 0; i < n; i++) {
		if ((rc = rows_del_seq(&run->chunk, run->items[i].key)) < 0)
			return rc;
		if ((rc = chunk_step(&run->chunk, 0)) < 0)
			return rc;
	}
	return KV_OK;
}

/* Sort items, which stand in seq order, by (kind, ms, seq). */
static void
sort_by_expiry(struct run *run, size_t n,
    struct schema_expiry (*get)(const struct run *run, uint32_t at))
{
	size_t i;

	for (i = 0; i < n; i++)
		run->items[i].key = get(run, run->items[i].at).ms;
	sort_items(run->items, run->spare, n);
	for (i = 0; i < n; i++)
		run->items[i].key =
		    (unsigned char)get(run, run->items[i].at).kind;
	sort_items(run->items, run->spare, n);
}

static struct schema_expiry
old_expiry(const struct run *run, uint32_t at)
{
	return run->olds[at].expiry;
}

static int
forget_expiries(struct run *run)
{
	size_t i, n = 0;
	int rc;

	for (i = 0; i < run->olds_count; i++) {
		if (run->olds[i].expiry.kind == 0)
			continue;
		run->items[n++] = (struct sort_item){
			.key = run->olds[i].expiry.seq,
			.at = (uint32_t)i,
		};
	}
	sort_items(run->items, run->spare, n);
	sort_by_expiry(run, n, old_expiry);
	for (i = 0; i < n; i++) {
		rc = rows_del_expiry(&run->chunk,
		    &run->olds[run->items[i].at].expiry);
		if (rc < 0)
			return rc;
		if ((rc = chunk_step(&run->chunk, 0)) < 0)
			return rc;
	}
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
	run->chunk.wrote = true;
	value = tree_val(NULL, head + r->value.len);
	rc = mdb_cursor_put(cursor, &key, &value, how | MDB_RESERVE);
	if (rc != 0)
		return tree_error("mdb_cursor_put", "records", rc);
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

/* A drop newer than the one the row knew is remembered for purging. */
static int
write_drop(struct run *run, MDB_val name, const struct bucket *b)
{
	MDB_cursor *cursor = chunk_cursor(&run->chunk, DB_BUCKETS);
	struct bucket old = { 0 };
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
	if (stamp_compare(b->dropped, old.dropped) <= 0)
		return KV_OK;
	bytes_put_be64(bid, b->bid);
	schema_put_stamp(stamp, b->dropped);
	return chunk_put(&run->chunk, DB_DROPS, tree_val(bid, sizeof(bid)),
	    tree_val(stamp, sizeof(stamp)));
}

static int
write_buckets(struct run *run)
{
	char row[SCHEMA_BUCKET_ROW];
	size_t i;
	int rc;

	for (i = run->order.records; i < rows_count(run); i++) {
		const struct sort_item *item = &run->order.items[i];
		const struct record *r = record_of(run, item);
		MDB_val name = tree_val(r->key.data, r->key.len);
		struct bucket b;

		if (item->note == KEEP)
			continue;
		if ((rc = schema_get_bucket(r->value, &b)) < 0)
			return rc;
		b.seq = r->seq; /* not known yet when the row was encoded */
		if ((rc = write_drop(run, name, &b)) < 0)
			return rc;
		schema_put_bucket(row, &b);
		rc = chunk_put(&run->chunk, DB_BUCKETS, name,
		    tree_val(row, sizeof(row)));
		if (rc < 0)
			return rc;
		if ((rc = chunk_step(&run->chunk, sizeof(row))) < 0)
			return rc;
	}
	return KV_OK;
}

/* ---- list -------------------------------------------------------------- */

static int
list_seqs(struct run *run)
{
	size_t i, n = 0;
	int rc;

	for (i = 0; i < rows_count(run); i++) {
		const struct sort_item *item = &run->order.items[i];
		const struct record *r = record_of(run, item);

		if (rows_is_listed(r))
			run->items[n++] =
			    (struct sort_item){ .key = r->seq, .at = item->at };
	}
	sort_items(run->items, run->spare, n);
	for (i = 0; i < n; i++) {
		const struct record *r = record_of(run, &run->items[i]);

		if ((rc = rows_put_seq(&run->chunk, r)) < 0)
			return rc;
		if ((rc = chunk_step(&run->chunk, r->key.len)) < 0)
			return rc;
	}
	return KV_OK;
}

static struct schema_expiry
new_expiry(const struct run *run, uint32_t at)
{
	return schema_expiry_of(&run->a->records[at]);
}

static int
list_expiries(struct run *run)
{
	size_t i, n = 0;
	int rc;

	for (i = 0; i < rows_count(run); i++) {
		const struct sort_item *item = &run->order.items[i];
		const struct record *r = record_of(run, item);

		if (schema_expiry_of(r).kind != 0)
			run->items[n++] =
			    (struct sort_item){ .key = r->seq, .at = item->at };
	}
	sort_items(run->items, run->spare, n);
	sort_by_expiry(run, n, new_expiry);
	for (i = 0; i < n; i++) {
		const struct record *r = record_of(run, &run->items[i]);

		if ((rc = rows_put_expiry(&run->chunk, r)) < 0)
			return rc;
		if ((rc = chunk_step(&run->chunk, r->key.len)) < 0)
			return rc;
	}
	return KV_OK;
}

/* ---- close ------------------------------------------------------------- */

static int
close_totals(struct run *run)
{
	const struct apply *a = run->a;
	size_t i;
	int rc;

	for (i = 0; i < a->totals_count; i++)
		run->items[i] = (struct sort_item){
			.key = a->totals[i].bid,
			.at = (uint32_t)i,
		};
	sort_items(run->items, run->spare, a->totals_count);
	for (i = 0; i < a->totals_count; i++) {
		const struct bucket_totals *b = &a->totals[run->items[i].at];

		if ((rc = rows_put_totals(&run->chunk, b->bid, &b->totals)) < 0)
			return rc;
		if ((rc = chunk_step(&run->chunk, 0)) < 0)
			return rc;
	}
	return KV_OK;
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

	rc = tree_read_position(c->tree, c->txn, &now);
	if (rc < 0)
		return rc;
	if (to.seq < now.seq)
		to.seq = now.seq;
	if ((rc = chunk_put_position(c, &to)) < 0)
		return rc;
	if (c->stored_mark != 0 && to.seq >= c->stored_mark)
		return chunk_del_mark(c);
	return KV_OK;
}

/* ------------------------------------------------------------------------ */

static int
run_init(struct run *run, struct tree *t, const struct apply *a)
{
	struct tree_position now;
	size_t n = a->count > a->totals_count ? a->count : a->totals_count;
	int rc;

	if (a->totals_count > UINT32_MAX)
		return KV_EINVAL;
	if ((rc = order_init(&run->order, a->records, a->count)) < 0)
		return rc;
	run->olds = malloc((n + 1) * sizeof(*run->olds));
	run->items = malloc((n + 1) * sizeof(*run->items));
	run->spare = malloc((n + 1) * sizeof(*run->spare));
	if (run->olds == NULL || run->items == NULL || run->spare == NULL)
		return KV_ENOMEM;
	run->chunk.max_steps = a->chunk > 0 ? a->chunk : APPLY_CHUNK;
	run->chunk.mark = a->to.seq;
	run->chunk.pause = a->pause;
	run->chunk.user = a->user;
	if ((rc = chunk_begin(&run->chunk, t)) < 0)
		return rc;
	rc = tree_read_position(t, run->chunk.txn, &now);
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
	free(run->olds);
	free(run->items);
	free(run->spare);
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

int
apply_meta(struct tree *t, const char *name, struct kv_slice value)
{
	static const char *const own[] = { "format", "byteorder",
		TREE_META_POSITION, TREE_META_APPLYING };
	struct chunk c = { 0 };
	size_t i;
	int rc;

	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if (strcmp(name, own[i]) == 0)
			return KV_EINVAL;
	}
	if ((rc = chunk_begin(&c, t)) < 0)
		return rc;
	rc = chunk_put(&c, DB_META, tree_val(name, strlen(name)),
	    tree_val(value.data, value.len));
	if (rc == KV_OK)
		rc = chunk_commit(&c);
	chunk_abort(&c);
	return rc;
}
