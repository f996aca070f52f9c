/* SPDX-License-Identifier: ISC */
/* Taking away what is dead for good: old tombstones, records that a dropped
 * bucket left behind. */

#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "tree/apply.h"
#include "tree/incs.h"
#include "tree/meta.h"
#include "tree/rows.h"

/* ---- tombstones -------------------------------------------------------- */

/* The place in expiry of the oldest tombstone of the kind that e has, behind
 * `at` (zero: of all), and its bid and key as entry, copied to bytes.
 * KV_ENOTFOUND when there is none. */
static int
next_tomb(struct chunk *c, const struct purge_place *at,
    struct schema_expiry *e, struct record *entry, char bytes[SCHEMA_KEY_MAX])
{
	struct schema_expiry from = { e->kind, at->ms, at->seq };
	MDB_cursor *cursor = chunk_cursor(c, DB_EXPIRY);
	char name[SCHEMA_EXPIRY_KEY];
	MDB_val key = tree_val(name, sizeof(name)), value;
	int rc;

	if (cursor == NULL)
		return KV_ENOMEM;
	from.seq += at->seq != 0;
	schema_put_expiry(name, &from);
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	if (rc != 0)
		return tree_error("mdb_cursor_get", "expiry", rc);
	if (schema_get_expiry(tree_slice(key), e) < 0 || value.mv_size < 8 ||
	    value.mv_size > SCHEMA_KEY_MAX)
		return tree_corrupt("expiry", tree_slice(key));
	if (e->kind != from.kind)
		return KV_ENOTFOUND;
	memcpy(bytes, value.mv_data, value.mv_size);
	*entry = (struct record){ .type = RECORD_TOMB };
	entry->bid = bytes_get_be64(bytes);
	entry->key = (struct kv_slice){ bytes + 8, value.mv_size - 8 };
	return KV_OK;
}

/* Who follows this host's changes must know, and who has them from it. */
static int
note_purged(struct chunk *c, const struct record *row)
{
	int rc = meta_note_purged(c, row->seq);

	if (rc < 0 || row->flags & RECORD_LOCAL)
		return rc;
	return incs_note_purged(c, row->stamp);
}

static int
purge_row(struct chunk *c, struct incs_limits *limits, const struct record *row,
    size_t *done)
{
	bool may;
	int rc;

	if ((rc = incs_may_purge(c, limits, row, &may)) < 0 || !may)
		return rc;
	++*done;
	if ((rc = note_purged(c, row)) < 0)
		return rc;
	return rows_remove(c, row);
}

static int
bucket_of(struct chunk *c, uint64_t bid, struct bucket *out)
{
	char id[8];
	MDB_val key = tree_val(id, sizeof(id)), name, value;
	int rc;

	*out = (struct bucket){ .bid = bid };
	bytes_put_be64(id, bid);
	rc = mdb_get(c->txn, c->tree->db[DB_NAMES], &key, &name);
	if (rc == 0)
		rc = mdb_get(c->txn, c->tree->db[DB_BUCKETS], &name, &value);
	if (rc != 0)
		return rc == MDB_NOTFOUND
		    ? KV_OK
		    : tree_error("mdb_get", "buckets", rc);
	if (schema_get_bucket(tree_slice(value), out) < 0)
		return tree_corrupt("buckets", tree_slice(name));
	return KV_OK;
}

/* The same tombstone, to be kept longer: its bucket's options changed, or the
 * clock that gave its stamp was ahead of the one it was limited by. */
static int
keep_longer(struct chunk *c, const struct record *row, const struct record *as)
{
	struct schema_expiry e = schema_expiry_of(row);
	char key[SCHEMA_KEY_MAX], head[SCHEMA_ROW_HEAD_MAX];
	int rc;

	schema_put_row_head(head, as);
	if ((rc = rows_del_expiry(c, &e)) < 0 ||
	    (rc = chunk_put(c, DB_RECORDS, rows_key(as, key),
		 tree_val(head, schema_row_head(as)))) < 0)
		return rc;
	return rows_put_expiry(c, as);
}

/* In a bucket with a ttl_max, when all that could be older is over on every
 * host by itself: nobody needs to be told of it any more, or be kept from
 * claiming. */
static int
purge_short(struct chunk *c, const struct record *row, uint64_t before_ms,
    size_t *done)
{
	struct record now = *row;
	struct bucket b;
	int rc;

	if ((rc = bucket_of(c, row->bid, &b)) < 0)
		return rc;
	++*done;
	now.flags &= (uint8_t)~RECORD_SHORT;
	bucket_limit(&b, stamp_ms(row->stamp), &now);
	if (!(now.flags & RECORD_SHORT) || now.deadline >= before_ms)
		return keep_longer(c, row, &now);
	if ((rc = meta_note_short(c, row->seq)) < 0)
		return rc;
	return rows_remove(c, row);
}

/* Only a tombstone that is still the one the entry was made for may go. */
static int
purge_tomb(struct chunk *c, struct incs_limits *limits,
    const struct schema_expiry *e, const struct record *entry,
    uint64_t before_ms, size_t *done)
{
	struct schema_expiry now;
	struct record row;
	int rc = rows_find(c->tree, c->txn, entry, &row);

	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	if (rc == KV_OK) {
		now = schema_expiry_of(&row);
		if (now.kind == e->kind && now.ms == e->ms && now.seq == e->seq)
			return e->kind == 'S'
			    ? purge_short(c, &row, before_ms, done)
			    : purge_row(c, limits, &row, done);
	}
	log_warn("forget expiry seq=%llu bid=%016llx reason=stale",
	    (unsigned long long)e->seq, (unsigned long long)entry->bid);
	++*done;
	return rows_del_expiry(c, e);
}

static int
purge_tombs(struct chunk *c, uint64_t before_ms, size_t max,
    struct purge_place *place, size_t *done)
{
	struct schema_expiry e = { .kind = 'T' };
	char bytes[SCHEMA_KEY_MAX];
	struct incs_limits limits;
	struct record entry;
	size_t n;
	int rc;

	for (n = 0; n < max; n++) {
		rc = next_tomb(c, place, &e, &entry, bytes);
		if (rc == KV_ENOTFOUND || (rc == KV_OK && e.ms >= before_ms)) {
			*place = (struct purge_place){ 0, 0 };
			return KV_OK;
		}
		if (rc == KV_OK && n == 0)
			rc = incs_read_limits(c, &limits);
		if (rc == KV_OK)
			rc =
			    purge_tomb(c, &limits, &e, &entry, before_ms, done);
		if (rc < 0 || (rc = chunk_step(c, 0)) < 0)
			return rc;
		*place = (struct purge_place){ e.ms, e.seq };
	}
	return KV_OK;
}

int
apply_purge_tombs(struct tree *t, uint64_t before_ms, size_t max,
    struct purge_place *place, size_t *done)
{
	struct chunk c = { .max_steps = APPLY_CHUNK };
	struct purge_place oldest = { 0, 0 };
	int rc;

	*done = 0;
	if ((rc = chunk_begin(&c, t)) < 0)
		return rc;
	rc = purge_tombs(&c, before_ms, max, place == NULL ? &oldest : place,
	    done);
	if (rc == KV_OK)
		rc = chunk_commit(&c);
	chunk_abort(&c);
	return rc;
}

/* None of them stays where it is: no place to go on at. */
static int
purge_shorts(struct chunk *c, uint64_t before_ms, size_t max, uint64_t *next_ms,
    size_t *done)
{
	const struct purge_place oldest = { 0, 0 };
	struct schema_expiry e = { .kind = 'S' };
	char bytes[SCHEMA_KEY_MAX];
	struct record entry;
	int rc = KV_OK;

	*next_ms = 0;
	while (*done < max) {
		rc = next_tomb(c, &oldest, &e, &entry, bytes);
		if (rc == KV_ENOTFOUND)
			return KV_OK;
		if (rc < 0)
			return rc;
		*next_ms = e.ms;
		if (e.ms >= before_ms)
			return KV_OK;
		rc = purge_tomb(c, NULL, &e, &entry, before_ms, done);
		if (rc < 0 || (rc = chunk_step(c, 0)) < 0)
			return rc;
	}
	return KV_OK;
}

int
apply_purge_short(struct tree *t, uint64_t before_ms, size_t max,
    uint64_t *next_ms, size_t *done)
{
	struct chunk c = { .max_steps = APPLY_CHUNK };
	int rc;

	*done = 0;
	if ((rc = chunk_begin(&c, t)) < 0)
		return rc;
	rc = purge_shorts(&c, before_ms, max, next_ms, done);
	if (rc == KV_OK)
		rc = chunk_commit(&c);
	chunk_abort(&c);
	return rc;
}

/* ---- dropped buckets --------------------------------------------------- */

/* A row of `drops`, with the place in `records` to go on at: its bid and the
 * first key not looked at yet. */
struct drop {
	struct stamp stamp;
	char at[SCHEMA_KEY_MAX];
	size_t at_len;
};

static int
first_drop(struct chunk *c, struct drop *out)
{
	MDB_cursor *cursor = chunk_cursor(c, DB_DROPS);
	MDB_val key, value;
	size_t resume;
	int rc;

	if (cursor == NULL)
		return KV_ENOMEM;
	if ((rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST)) != 0)
		return tree_error("mdb_cursor_get", "drops", rc);
	if (key.mv_size != 8 || value.mv_size < SCHEMA_DROP_HEAD ||
	    value.mv_size - SCHEMA_DROP_HEAD > SCHEMA_KEY_MAX - 8)
		return tree_corrupt("drops", tree_slice(key));
	resume = value.mv_size - SCHEMA_DROP_HEAD;
	out->stamp = schema_get_stamp(value.mv_data);
	memcpy(out->at, key.mv_data, 8);
	memcpy(out->at + 8, (char *)value.mv_data + SCHEMA_DROP_HEAD, resume);
	out->at_len = 8 + resume;
	return KV_OK;
}

static int
store_drop(struct chunk *c, const struct drop *d)
{
	char row[SCHEMA_DROP_HEAD + SCHEMA_KEY_MAX];

	schema_put_stamp(row, d->stamp);
	memcpy(row + SCHEMA_DROP_HEAD, d->at + 8, d->at_len - 8);
	return chunk_put(c, DB_DROPS, tree_val(d->at, 8),
	    tree_val(row, SCHEMA_DROP_HEAD + d->at_len - 8));
}

/* Look at one record, removing it when hidden, and move d->at behind it.
 * KV_ENOTFOUND at the end of the bucket. */
static int
purge_next(struct chunk *c, struct drop *d)
{
	MDB_cursor *cursor = chunk_cursor(c, DB_RECORDS);
	MDB_val key = tree_val(d->at, d->at_len), value;
	struct record r;
	int rc;

	if (cursor == NULL)
		return KV_ENOMEM;
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
	if (rc != 0)
		return tree_error("mdb_cursor_get", "records", rc);
	if (key.mv_size < 8 || key.mv_size >= SCHEMA_KEY_MAX)
		return tree_corrupt("records", tree_slice(key));
	if (memcmp(key.mv_data, d->at, 8) != 0)
		return KV_ENOTFOUND;
	memcpy(d->at, key.mv_data, key.mv_size);
	d->at_len = key.mv_size;
	if (rows_decode(DB_RECORDS, tree_val(d->at, d->at_len), value, &r) < 0)
		return tree_corrupt("records", tree_slice(key));
	if (stamp_compare(r.stamp, d->stamp) <= 0)
		rc = rows_remove(c, &r);
	d->at[d->at_len++] = '\0'; /* the least key after this one */
	return rc;
}

static int
purge_drops(struct chunk *c, size_t max, size_t *done)
{
	struct drop d = { .at_len = 0 };
	int rc = KV_OK;

	for (; *done < max; ++*done) {
		if (d.at_len == 0) {
			rc = first_drop(c, &d);
			if (rc == KV_ENOTFOUND)
				return KV_OK;
			if (rc < 0)
				return rc;
		}
		rc = purge_next(c, &d);
		if (rc == KV_ENOTFOUND) {
			d.at_len = 0;
			rc = chunk_del(c, DB_DROPS, tree_val(d.at, 8));
		}
		if (rc < 0)
			return rc;
		if ((rc = chunk_step(c, 0)) < 0)
			return rc;
	}
	return d.at_len > 0 ? store_drop(c, &d) : KV_OK;
}

int
apply_purge_dropped(struct tree *t, size_t max, size_t *done)
{
	struct chunk c = { .max_steps = APPLY_CHUNK };
	int rc;

	*done = 0;
	if ((rc = chunk_begin(&c, t)) < 0)
		return rc;
	rc = purge_drops(&c, max, done);
	if (rc == KV_OK)
		rc = chunk_commit(&c);
	chunk_abort(&c);
	return rc;
}
