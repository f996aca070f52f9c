/* SPDX-License-Identifier: ISC */
/* The stream of everything: what a peer lacks of all that we have, then our
 * vector; and when we ask a peer for his. */

#include "sync/core.h"

#define DIRECT_MS 5000 /* (b): a direct peer's row stands still */
#define LAZY_MS 30000  /* (c): what nobody can claim */

/* ---- sending ---- */

/* Our vector, our own run included. */
static int
own_vector(struct replica *r, struct ticks *out)
{
	const struct sync_row *row;
	int rc = KV_OK;
	size_t i;

	for (i = 0; i < r->vector.count && rc == KV_OK; i++) {
		row = &vector_at(&r->vector, i)->row;
		if (row->vv > 0 && row->inc != r->config.inc)
			rc = ticks_set(out, row->inc, row->vv);
	}
	if (rc == KV_OK && r->head > 0)
		rc = ticks_set(out, r->config.inc, r->head);
	return rc;
}

static int
put_vector(struct replica *r, struct replica_link *l)
{
	struct ticks rows;
	int rc;

	ticks_init(&rows);
	if ((rc = own_vector(r, &rows)) == KV_OK)
		rc = stream_rows(r, l, &l->to[STREAM_FULL], &rows, &l->vv);
	ticks_fini(&rows);
	return rc;
}

int
full_pull(struct replica *r, struct replica_link *l, const struct frame *f)
{
	int rc;

	if ((rc = announce_learn(r, l, f->u.rows.rows)) < 0)
		return rc;
	if (f->u.rows.flags & FRAME_MORE)
		return KV_OK;
	if (l->to[STREAM_FULL].is_open)
		return link_refuse(r, l, BYE_PROTOCOL, "a second PULL");
	if (stream_peer_missed(r, l))
		return stream_resync(r, l, STREAM_FULL);
	stream_begin(r, l, STREAM_FULL, f->u.rows.cursor);
	return MUTATED(CLAIM_FIRST) ? put_vector(r, l) : KV_OK;
}

static bool
wants(const struct replica *r, const struct replica_link *l,
    const struct sync_item *item)
{
	const struct record *rec = &item->record;

	(void)r;
	return rec->type == RECORD_BUCKET ||
	    ticks_get(&l->vv, rec->stamp.inc) < rec->stamp.tick;
}

static int
claim(struct replica *r, struct replica_link *l, struct sender *s)
{
	struct op mark = { .flags = OP_END,
		.cursor = r->head,
		.head = r->head };
	int rc;

	if (stream_peer_missed(r, l) && !MUTATED(NO_CLAIM_TEST))
		return stream_resync(r, l, STREAM_FULL);
	if ((rc = put_vector(r, l)) < 0)
		return rc;
	s->has_ended = true;
	return stream_mark(r, l, s, &mark);
}

int
full_fill(struct replica *r, struct replica_link *l)
{
	struct sender *s = &l->to[STREAM_FULL];
	int rc = stream_next(r, l, s, wants);

	return rc == KV_ENOTFOUND ? claim(r, l, s) : rc;
}

/* ---- asking ---- */

/* A cursor in the log of an earlier run of the peer holds, unless that run was
 * rolled back to before what we had read: then a key may have moved, in the
 * lost future, to a place that we never reached. */
static uint64_t
full_cursor(const struct replica *r, const struct replica_link *l)
{
	const struct vector_row *row = vector_find(&r->vector, l->inc);
	uint64_t end;
	size_t i;

	if (row != NULL && row->row.full > 0)
		return row->row.full;
	for (i = 0; i < l->lineage_count; i++) {
		row = vector_find(&r->vector, l->lineage[i].inc);
		if (row == NULL || row->row.full == 0)
			continue;
		end = l->lineage[i].tick;
		if (MUTATED(LINEAGE_MIN))
			return row->row.full < end ? row->row.full : end;
		if (row->row.full_head <= end || MUTATED(NO_LINEAGE_TEST))
			return row->row.full;
		return 0;
	}
	return 0;
}

/* (a) and (b): has the peer claimed something that does not come by itself? */
static int
is_due_by_row(struct replica *r, struct replica_link *l, size_t i, bool *due)
{
	uint64_t inc = l->vv.rows[i].inc;
	struct vector_row *row;
	int rc;

	if (link_find_inc(r, inc) == NULL) {
		*due = true;
		return KV_OK;
	}
	if ((rc = vector_make(&r->vector, inc, &row)) < 0)
		return rc;
	if (row->behind_ms == 0)
		row->behind_ms = r->now.mono_ms;
	if (r->now.mono_ms >= row->behind_ms + DIRECT_MS)
		*due = true;
	else
		core_sooner(&l->rows_due_ms, row->behind_ms + DIRECT_MS);
	return KV_OK;
}

/* Rows are many: they are looked at when some are told, when a link ends, and
 * when the time of one has come. */
static int
is_due_by_rows(struct replica *r, struct replica_link *l, bool *due)
{
	uint64_t inc;
	size_t i;
	int rc = KV_OK;

	if (r->now.mono_ms < l->rows_due_ms)
		return KV_OK;
	l->rows_due_ms = CORE_NEVER;
	for (i = 0; i < l->vv.count && rc == KV_OK && !*due; i++) {
		inc = l->vv.rows[i].inc;
		if (inc == l->inc || inc == r->config.inc ||
		    l->vv.rows[i].tick <= vector_vv(&r->vector, inc) ||
		    l->vv.rows[i].tick > core_drift_limit(r) ||
		    !core_has_room(r, inc))
			continue;
		rc = is_due_by_row(r, l, i, due);
	}
	if (*due)
		l->rows_due_ms = 0; /* again after the pull */
	return rc;
}

static bool
is_due_lazily(const struct replica *r, struct replica_link *l,
    uint64_t *next_ms)
{
	if (l->head <= full_cursor(r, l) || MUTATED(NO_LAZY_PULL)) {
		l->lazy_ms = 0;
		return false;
	}
	if (l->lazy_ms == 0)
		l->lazy_ms = r->now.mono_ms;
	if (r->now.mono_ms >= l->lazy_ms + LAZY_MS)
		return true;
	core_sooner(next_ms, l->lazy_ms + LAZY_MS);
	return false;
}

static int
pull(struct replica *r, struct replica_link *l, uint64_t *next_ms)
{
	/* A store with nothing in it is filled in the order of keys.  Once:
	 * what a peer claims beyond its tree, of runs that wrote nothing, only
	 * a PULL brings. */
	if (r->head == 0 && !l->has_filled) {
		resync_fill(r, l);
		core_sooner(next_ms, r->now.mono_ms);
		return KV_OK;
	}
	r->pull = l;
	l->lazy_ms = 0;
	receive_begin(r, l, STREAM_FULL);
	return announce_rows(r, l, FRAME_PULL, full_cursor(r, l));
}

int
full_timers(struct replica *r, uint64_t *next_ms)
{
	struct replica_link *l;
	bool due = false;
	int rc;

	if (r->pull != NULL || r->resync.state != RESYNC_NONE)
		return KV_OK;
	for (l = r->links; l != NULL; l = l->next) {
		if (l->state != LINK_UP || l->needs_resync)
			continue;
		if ((rc = is_due_by_rows(r, l, &due)) < 0)
			return rc;
		core_sooner(next_ms, l->rows_due_ms);
		if (due || is_due_lazily(r, l, next_ms))
			return pull(r, l, next_ms);
	}
	return KV_OK;
}
