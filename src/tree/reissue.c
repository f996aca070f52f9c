/* SPDX-License-Identifier: ISC */
/* Lower ticks for those above a limit, in a copy of the tree.
 *
 * First go all entries of byseq and expiry that name a seq above the limit, so
 * that a new number never meets an old one; then rows are rewritten where they
 * stand; then apply_repair() lists and counts them as it does after a
 * checkpoint that was broken off. */

#include "tree/reissue.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "tree/apply.h"
#include "tree/meta.h"
#include "tree/rows.h"

#define VOID_MS (7 * 86400000ull) /* those further off are of the future */
#define PROGRESS_EVERY 4096

struct work {
	const struct reissue *how;
	struct chunk chunk;
	struct buf value; /* of the row being written */
	uint64_t rows;	  /* gone by */
	uint64_t highest; /* seq before */
};

/* ---- entries ----------------------------------------------------------- */

static int
delete_at(struct work *w, enum tree_db db, const char *at, size_t len)
{
	int rc = chunk_del(&w->chunk, db, tree_val(at, len));

	return rc < 0 ? rc : chunk_step(&w->chunk, 0);
}

static int
forget_seqs(struct work *w)
{
	char at[SCHEMA_KEY_MAX + 1];
	size_t len = 8;
	MDB_val value;
	int rc;

	bytes_put_be64(at, w->how->limit + 1);
	while ((rc = rows_next_key(&w->chunk, DB_BYSEQ, at, &len, &value)) ==
	    KV_OK)
		if ((rc = delete_at(w, DB_BYSEQ, at, len)) < 0)
			return rc;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
forget_expiries(struct work *w)
{
	char at[SCHEMA_KEY_MAX + 1];
	struct schema_expiry e;
	size_t len = 0;
	MDB_val value;
	int rc;

	for (;;) {
		rc = rows_next_key(&w->chunk, DB_EXPIRY, at, &len, &value);
		if (rc < 0)
			return rc == KV_ENOTFOUND ? KV_OK : rc;
		rc = schema_get_expiry((struct kv_slice){ at, len }, &e);
		if (rc < 0)
			return tree_corrupt("expiry",
			    (struct kv_slice){ at, len });
		if (e.seq > w->how->limit &&
		    (rc = delete_at(w, DB_EXPIRY, at, len)) < 0)
			return rc;
		at[len++] = '\0';
	}
}

/* ---- rows -------------------------------------------------------------- */

/* KV_OK when it was changed, KV_ENOTFOUND when it may stay. */
static int
lower(const struct work *w, uint64_t *tick)
{
	if (*tick <= w->how->limit)
		return KV_ENOTFOUND;
	*tick = w->how->tick(w->how->user, *tick);
	assert(*tick > w->how->limit && *tick <= w->how->run.tick);
	return KV_OK;
}

static bool
lower_stamp(const struct work *w, struct stamp *s)
{
	if (lower(w, &s->tick) != KV_OK)
		return false;
	s->inc = w->how->run.inc;
	return true;
}

static int
count_row(struct work *w, size_t bytes)
{
	if (++w->rows % PROGRESS_EVERY == 0 && w->how->progress != NULL)
		w->how->progress(w->how->user, w->rows);
	return chunk_step(&w->chunk, bytes);
}

/* A stamp above the limit has a seq above it.  Should it not, for whatever
 * reason, its entries still stand. */
static int
unlist(struct work *w, const struct record *old)
{
	struct schema_expiry e = schema_expiry_of(old);
	int rc;

	if (old->seq > w->how->limit)
		return KV_OK;
	if ((rc = rows_del_seq(&w->chunk, old->seq)) < 0)
		return rc;
	return rows_del_expiry(&w->chunk, &e);
}

/* The value is copied first: it may lie in the page that is written to. */
static int
write_row(struct work *w, enum tree_db db, struct kv_slice key,
    const struct record *r)
{
	size_t head = db == DB_RECORDS ? schema_row_head(r) : 0;
	int rc;

	w->value.len = 0;
	if ((rc = buf_reserve(&w->value, head + r->value.len + 1)) < 0)
		return rc;
	if (head > 0)
		schema_put_row_head(w->value.data, r);
	if (r->value.len > 0)
		memcpy(w->value.data + head, r->value.data, r->value.len);
	return chunk_put(&w->chunk, db, tree_val(key.data, key.len),
	    tree_val(w->value.data, head + r->value.len));
}

static int
change_record(struct work *w, struct kv_slice key, const struct record *old)
{
	struct record r = *old;
	unsigned flags = old->flags;
	int rc;

	if (lower_stamp(w, &r.stamp)) {
		flags &= ~(unsigned)(RECORD_FOREIGN | RECORD_RELAY);
		(void)!lower(w, &r.seq);
		if (r.stamp.tick != r.seq)
			flags |= RECORD_FOREIGN;
	} else if (lower(w, &r.seq) != KV_OK) {
		return KV_OK;
	}
	r.flags = (uint8_t)flags;
	if ((rc = unlist(w, old)) < 0)
		return rc;
	return write_row(w, DB_RECORDS, key, &r);
}

static int
change_records(struct work *w)
{
	char at[SCHEMA_KEY_MAX + 1];
	struct record r;
	size_t len = 0;
	int rc;

	for (;;) {
		rc = rows_next(&w->chunk, DB_RECORDS, at, &len, &r);
		if (rc < 0)
			return rc == KV_ENOTFOUND ? KV_OK : rc;
		rc = change_record(w, (struct kv_slice){ at, len - 1 }, &r);
		if (rc < 0 || (rc = count_row(w, r.value.len)) < 0)
			return rc;
	}
}

static int
change_bucket(struct work *w, const struct record *old)
{
	char row[SCHEMA_BUCKET_ROW];
	struct record r = *old;
	struct bucket b;
	bool changed;
	int rc;

	if ((rc = schema_get_bucket(old->value, &b)) < 0)
		return rc;
	changed = lower_stamp(w, &b.created);
	changed |= lower_stamp(w, &b.dropped);
	changed |= lower(w, &b.seq) == KV_OK;
	if (!changed)
		return KV_OK;
	schema_put_bucket(row, &b);
	r.value = (struct kv_slice){ row, sizeof(row) };
	if ((rc = unlist(w, old)) < 0)
		return rc;
	return write_row(w, DB_BUCKETS, r.key, &r);
}

static int
change_buckets(struct work *w)
{
	char at[SCHEMA_KEY_MAX + 1];
	struct record r;
	size_t len = 0;
	int rc;

	for (;;) {
		rc = rows_next(&w->chunk, DB_BUCKETS, at, &len, &r);
		if (rc < 0)
			return rc == KV_ENOTFOUND ? KV_OK : rc;
		if ((rc = change_bucket(w, &r)) < 0 ||
		    (rc = count_row(w, r.value.len)) < 0)
			return rc;
	}
}

/* ---- drops and incs: small databases ----------------------------------- */

/* Write a row whose first bytes changed, those at head. */
static int
write_head(struct work *w, enum tree_db db, struct kv_slice key,
    struct kv_slice head, MDB_val value)
{
	const char *rest = (const char *)value.mv_data + head.len;
	int rc;

	w->value.len = 0;
	if ((rc = buf_append(&w->value, head.data, head.len)) < 0 ||
	    (rc = buf_append(&w->value, rest, value.mv_size - head.len)) < 0)
		return rc;
	return chunk_put(&w->chunk, db, tree_val(key.data, key.len),
	    tree_val(w->value.data, w->value.len));
}

static int
change_drop(struct work *w, struct kv_slice key, MDB_val value)
{
	char head[SCHEMA_DROP_HEAD];
	struct stamp s;

	if (value.mv_size < sizeof(head))
		return tree_corrupt("drops", key);
	s = schema_get_stamp(value.mv_data);
	if (!lower_stamp(w, &s))
		return KV_OK;
	schema_put_stamp(head, s);
	return write_head(w, DB_DROPS, key,
	    (struct kv_slice){ head, sizeof(head) }, value);
}

static void
clip(uint64_t *tick, uint64_t limit)
{
	if (*tick > limit)
		*tick = limit;
}

/* Nothing above the limit was ever taken in by anybody, so nobody may claim
 * it, be known to claim it, or to have purged it.  Positions in the logs of
 * other hosts are no ticks of ours. */
static int
change_inc(struct work *w, struct kv_slice key, MDB_val value)
{
	char row[SCHEMA_VECTOR_ROW];
	uint64_t limit = w->how->limit, inc, purged;
	struct schema_vector v;

	if (schema_get_purged(key, tree_slice(value), &inc, &purged) == KV_OK &&
	    purged > limit) {
		bytes_put_be64(row, limit);
		return write_head(w, DB_INCS, key, (struct kv_slice){ row, 8 },
		    value);
	}
	if (schema_get_vector(key, tree_slice(value), &v) < 0)
		return KV_OK;
	if (v.vv <= limit && v.announced <= limit && v.purged <= limit)
		return KV_OK;
	clip(&v.vv, limit);
	clip(&v.announced, limit);
	clip(&v.purged, limit);
	schema_put_vector(row, &v);
	return write_head(w, DB_INCS, key,
	    (struct kv_slice){ row, sizeof(row) }, value);
}

static int
change_rows(struct work *w, enum tree_db db,
    int (*change)(struct work *w, struct kv_slice key, MDB_val value))
{
	char at[SCHEMA_KEY_MAX + 1];
	size_t len = 0;
	MDB_val value;
	int rc;

	for (;;) {
		rc = rows_next_key(&w->chunk, db, at, &len, &value);
		if (rc < 0)
			return rc == KV_ENOTFOUND ? KV_OK : rc;
		rc = change(w, (struct kv_slice){ at, len }, value);
		if (rc < 0 || (rc = chunk_step(&w->chunk, 0)) < 0)
			return rc;
		at[len++] = '\0';
	}
}

static int
change_drops(struct work *w)
{
	return change_rows(w, DB_DROPS, change_drop);
}

static int
change_incs(struct work *w)
{
	return change_rows(w, DB_INCS, change_inc);
}

/* ---- meta -------------------------------------------------------------- */

static int
put_meta(struct work *w, const char *name, struct kv_slice value)
{
	return chunk_put(&w->chunk, DB_META, tree_val(name, strlen(name)),
	    tree_val(value.data, value.len));
}

static int
put_void_seqs(struct work *w)
{
	uint64_t limit = w->how->limit, last = w->highest;
	char row[16];

	if (last - limit > VOID_MS << 16)
		last = limit + (VOID_MS << 16);
	bytes_put_be64(row, limit);
	bytes_put_be64(row + 8, last);
	return put_meta(w, META_VOID_SEQS,
	    (struct kv_slice){ row, sizeof(row) });
}

static int
change_meta(struct work *w)
{
	struct chunk *c = &w->chunk;
	struct tree_position to = { w->how->checkpointed, w->how->run.tick };
	char inc[8];
	int rc;

	bytes_put_be64(inc, w->how->run.inc);
	if ((rc = put_meta(w, "inc", (struct kv_slice){ inc, 8 })) < 0 ||
	    (rc = put_meta(w, "lineage", (struct kv_slice){ "", 0 })) < 0 ||
	    (rc = put_void_seqs(w)) < 0 ||
	    (rc = meta_lower_purged(c, to.seq)) < 0 ||
	    (rc = meta_put_position(c, &to)) < 0)
		return rc;
	return meta_put_applying(c, to.seq);
}

/* ------------------------------------------------------------------------ */

static int
change_all(struct work *w)
{
	static int (*const passes[])(struct work * w) = {
		forget_seqs,
		forget_expiries,
		change_records,
		change_buckets,
		change_drops,
		change_incs,
		change_meta,
	};
	struct tree_position before;
	size_t i;
	int rc;

	rc = meta_get_position(w->chunk.tree, w->chunk.txn, &before);
	w->highest = before.seq;
	if (w->highest < w->how->limit)
		w->highest = w->how->limit;
	for (i = 0; rc == KV_OK && i < sizeof(passes) / sizeof(passes[0]); i++)
		rc = passes[i](w);
	return rc < 0 ? rc : chunk_commit(&w->chunk);
}

int
reissue_apply(struct tree *t, const struct reissue *how)
{
	struct work w = { .how = how, .chunk.max_steps = APPLY_CHUNK };
	int rc;

	buf_init(&w.value);
	if ((rc = chunk_begin(&w.chunk, t)) == KV_OK)
		rc = change_all(&w);
	chunk_abort(&w.chunk);
	buf_fini(&w.value);
	if (rc == KV_OK)
		rc = apply_repair(t, how->digest);
	if (rc == KV_OK)
		rc = apply_seen(t, how->old_run, how->limit);
	if (rc == KV_OK)
		rc = tree_error("mdb_env_sync", t->folder,
		    mdb_env_sync(t->env, 1));
	return rc;
}
