/* SPDX-License-Identifier: ISC */
/* Records of other hosts: deciding, staging, appending. */

#include "engine/foreign.h"

#include "engine/internal.h"
#include "engine/prefetch.h"
#include "sync/merge.h"

/* So often a batch is decided without the mutex, then with it. */
#define FOREIGN_TRIES 3

static bool
foreign_is_sane(const struct engine *e, struct stamp stamp)
{
	return stamp_ms(stamp) <= e->now_ms + FOREIGN_DRIFT_MS;
}

static void
foreign_see_stamp(struct engine *e, struct stamp stamp)
{
	if (stamp.tick > e->stage.clock)
		e->stage.clock = stamp.tick;
}

/* ---- records ---- */

/* id, drop stamp and options as the view and the batch so far have them. */
static int
foreign_bucket(struct engine *e, uint64_t bid, struct bucket *out)
{
	const struct stage_bucket *staged = stage_find_bucket(e, bid);
	struct kv_slice name;
	int rc;

	*out = (struct bucket){ .bid = bid };
	if (staged != NULL) {
		out->dropped = staged->dropped;
		out->options = staged->options;
		return KV_OK;
	}
	rc = engine_bucket_by_id(e, bid, &name, out);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
foreign_stage(struct engine *e, const struct bucket *b, struct record *r,
    const struct stage_old *old)
{
	int rc;

	r->flags |= RECORD_FOREIGN;
	if (r->deadline != 0)
		r->flags |= RECORD_DEADLINE;
	if ((rc = stage_over(e, b, r, STAGE_NO_ROW, old)) < 0)
		return rc;
	e->stage.items[e->stage.count - 1].decided = true;
	foreign_see_stamp(e, r->stamp);
	return KV_OK;
}

static int
foreign_erase(struct engine *e, const struct bucket *b,
    const struct record *there, const struct stage_old *old)
{
	struct record r = { .type = RECORD_TOMB,
		.flags = there->flags & RECORD_RELAY,
		.marks = there->marks & RECORD_PREV,
		.stamp = there->stamp,
		.bid = b->bid,
		.deadline = there->deadline,
		.prev = there->prev,
		.key = there->key };

	if (there->type == RECORD_TOMB)
		return KV_OK;
	bucket_limit(b, stamp_ms(r.stamp), &r);
	return foreign_stage(e, b, &r, old);
}

static int
foreign_merge(struct engine *e, const struct bucket *b, const struct record *in,
    const struct record *there, const struct stage_old *old)
{
	struct record r = { .type = in->type,
		.marks = in->marks & RECORD_PREV,
		.stamp = in->stamp,
		.bid = b->bid,
		.deadline = in->deadline,
		.prev = in->prev,
		.key = in->key };
	int rc;

	if (!bucket_shows(b, in->stamp))
		return KV_OK;
	if (b->options & BUCKET_CONFLICTS && there != NULL &&
	    (rc = conflict_look(e, b, in, there)) < 0)
		return rc;
	if (!merge_wins(there, in))
		return KV_OK;
	r.flags = merge_relay(there, e->control->inc);
	if (in->type == RECORD_PUT)
		r.value = in->value;
	else
		r.flags |= in->flags & RECORD_EXPIRED;
	bucket_limit(b, stamp_ms(r.stamp), &r);
	return foreign_stage(e, b, &r, old);
}

static int
foreign_record(struct engine *e, const struct foreign *f)
{
	const struct record *in = &f->record, *there = NULL;
	struct record staged;
	struct stage_old old;
	struct bucket b;
	int rc;

	if (in->key.len > KV_KEY_MAX || in->flags & RECORD_LOCAL ||
	    scope_of_id(in->bid) == SCOPE_LOCAL ||
	    !foreign_is_sane(e, in->stamp))
		return KV_EINVAL;
	if ((rc = foreign_bucket(e, in->bid, &b)) < 0)
		return rc;
	if (b.options & BUCKET_LOCAL)
		return KV_OK;
	if ((rc = stage_look(e, WAL_KEY, in->bid, in->key, &old)) < 0)
		return rc;
	if (old.has) {
		there = &old.record;
	} else if (old.earlier >= 0) {
		stage_view(e, old.earlier, &staged);
		there = &staged;
	}
	if (f->how == FOREIGN_MERGE)
		return foreign_merge(e, &b, in, there, &old);
	if (there == NULL || !merge_erases(there, in->stamp))
		return KV_OK;
	return foreign_erase(e, &b, there, &old);
}

static int
foreign_stage_note(struct engine *e, const struct record *note)
{
	struct record r = { .type = RECORD_POSITION,
		.flags = RECORD_LOCAL,
		.key = note->key,
		.value = note->value };
	const struct bucket none = { .bid = 0 };

	return stage_record(e, &none, &r, STAGE_NO_ROW);
}

/* ---- bucket rows ---- */

static int
foreign_stage_row(struct engine *e, const struct bucket *row,
    struct kv_slice name, bool recount)
{
	char value[SCHEMA_BUCKET_ROW];
	const struct record r = { .type = RECORD_BUCKET,
		.bid = row->bid,
		.key = name,
		.value = { value, sizeof(value) } };
	struct totals survivors = { 0 };
	struct stage_bucket *b;
	int rc;

	if (recount && (rc = survivors_sum(e, row, &survivors)) < 0)
		return rc;
	schema_put_bucket(value, row);
	rc = stage_record(e, row, &r,
	    recount ? STAGE_MERGED_DROP : STAGE_MERGED);
	if (rc < 0)
		return rc;
	b = &e->stage.buckets[e->stage.items[e->stage.count - 1].bucket];
	b->dropped = row->dropped;
	b->options = row->options;
	if (recount) {
		b->recounted = true;
		b->survivors = survivors;
	}
	foreign_see_stamp(e, row->created);
	foreign_see_stamp(e, row->dropped);
	return KV_OK;
}

static int
foreign_row(struct engine *e, struct kv_slice name, const struct bucket *in)
{
	struct bucket mine;
	struct stamp dropped;
	int rc;

	if (name.len == 0 || name.len > KV_BUCKET_MAX ||
	    in->options & BUCKET_LOCAL || scope_of_name(name) == SCOPE_LOCAL ||
	    !foreign_is_sane(e, in->created) ||
	    !foreign_is_sane(e, in->dropped))
		return KV_EINVAL;
	rc = engine_row_in(e, SCOPE_GLOBAL, name, &mine);
	if (rc == KV_ENOTFOUND)
		mine = (struct bucket){ .bid = engine_bucket_id(name) };
	else if (rc < 0)
		return rc;
	dropped = mine.dropped;
	if (mine.options & BUCKET_LOCAL || !merge_bucket(&mine, in))
		return KV_OK;
	return foreign_stage_row(e, &mine, name,
	    stamp_compare(mine.dropped, dropped) > 0);
}

/* ---- the batch ---- */

/* Look-ups wait for memory, the next ones together. */
static void
foreign_prefetch(struct engine *e, const struct foreign *batch, size_t n)
{
	struct prefetch p = { .count = 0 };
	size_t i;

	for (i = 0; i < n && i < PREFETCH_MAX; i++) {
		const struct record *r = &batch[i].record;

		if ((r->type != RECORD_PUT && r->type != RECORD_TOMB) ||
		    r->key.len > KV_KEY_MAX)
			continue;
		p.bid[p.count] = r->bid;
		p.key[p.count++] = r->key;
	}
	if (p.count > 1)
		engine_prefetch(e, &p);
}

static int
foreign_stage_batch(struct engine *e, const struct foreign *batch, size_t n)
{
	size_t i;
	int rc = KV_OK;

	for (i = 0; rc == KV_OK && i < n; i++) {
		const struct record *r = &batch[i].record;

		if (i % PREFETCH_MAX == 0)
			foreign_prefetch(e, batch + i, n - i);
		if (batch[i].how == FOREIGN_NOTE)
			rc = foreign_stage_note(e, r);
		else if (r->type == RECORD_PUT || r->type == RECORD_TOMB)
			rc = foreign_record(e, &batch[i]);
		else if (r->type == RECORD_BUCKET &&
		    batch[i].how == FOREIGN_MERGE)
			rc = foreign_row(e, r->key, &batch[i].bucket);
		else
			rc = KV_EINVAL;
	}
	return rc;
}

static int
foreign_try(struct engine *e, const struct foreign *batch, size_t n,
    uint64_t *end)
{
	int rc = foreign_stage_batch(e, batch, n);

	if (rc == KV_OK)
		rc = engine_commit(e, end);
	else
		engine_rollback(e);
	return rc;
}

int
foreign_commit(struct engine *e, const struct foreign *batch, size_t n,
    uint64_t *end)
{
	uint64_t revealed = e->revealed;
	int rc = KV_ESTALE, tries;

	for (tries = 0; rc == KV_ESTALE && tries < FOREIGN_TRIES; tries++) {
		if (tries > 0)
			view_advance(e);
		*end = e->view_end;
		rc = foreign_try(e, batch, n, end);
	}
	if (rc == KV_ESTALE) {
		/* Keys that are written all the time: what the tree has of
		 * them was read just now, so this reads no disk. */
		engine_lock(e);
		*end = e->view_end;
		rc = foreign_try(e, batch, n, end);
		engine_unlock(e);
	}
	e->revealed = revealed; /* nobody was shown anything */
	return rc;
}

/* ---- notes ---- */

int
foreign_note(struct engine *e, bool tree, struct kv_slice key,
    struct kv_slice *value)
{
	uint64_t lsn = 0;
	struct record r;
	int rc;

	if (!tree)
		lsn = view_find(e,
		    index_hash_key(e->control->hash_secret, WAL_POSITION, 0,
			key),
		    WAL_POSITION, 0, key, e->view_end);
	if (lsn != 0)
		view_record(e, lsn, &r);
	else if ((rc = tree_get_position(e->tree, key, &r)) < 0)
		return rc;
	*value = r.value;
	return value->len == 0 ? KV_ENOTFOUND : KV_OK;
}

int
foreign_notes(struct engine *e, int (*each)(void *user, const struct record *),
    void *user)
{
	uint64_t hash = index_hash_chain(e->control->hash_secret, 0);
	uint64_t lsn = view_find_chain(e, hash, 0, e->view_end);
	struct record r;
	int rc = KV_OK;

	for (; rc == KV_OK && lsn != 0;
	     lsn = view_chain_back(e, hash, 0, lsn)) {
		view_record(e, lsn, &r);
		if (r.type == RECORD_POSITION)
			rc = each(user, &r);
	}
	return rc;
}
