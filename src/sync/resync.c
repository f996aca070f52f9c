/* SPDX-License-Identifier: ISC */
/* Reading ranges: a RESYNC after purged deletes may have been missed,
 * the copy of an empty node, and repair; one at a time.  In a range, what we
 * have and the source lacks although its vector covers it was deleted: it goes.
 * Repair never deletes: it runs when vectors are suspect.
 *
 * Progress is committed with each piece as the note "resync", so that another
 * source can go on.  The claim at the end is the minimum of the sources'. */

#include "sync/resync_note.h"

#define SETTLE_MS 10  /* between two looks */
#define AGAIN_MS 1000 /* a RESYNC that did not help is made again, later */
#define VAIN_MAX 3    /* readings that allow no claims, in a row */
#define AGAIN_MAX_MS (5 * 60 * 1000)

void
resync_free(struct replica *r)
{
	struct resync *s = &r->resync;

	place_fini(&s->lo);
	place_fini(&s->hi);
	place_fini(&s->last);
	ticks_fini(&s->vv);
	ticks_fini(&s->purged);
	ticks_fini(&s->source_purged);
	pending_fini(&s->erased);
}

static void
reset(struct resync *s)
{
	s->state = RESYNC_NONE;
	s->is_repair = s->is_begun = s->has_vv = s->has_last = false;
	s->is_done = s->is_vain = s->has_mask = false;
	s->source = NULL;
	s->source_inc = s->source_head = s->last_head = 0;
	place_clear(&s->lo);
	ticks_clear(&s->vv);
	ticks_clear(&s->purged);
}

int
resync_load(struct replica *r)
{
	struct kv_slice note;
	int rc;

	rc = r->store.ops->note(r->store.self, slice_of("resync"), &note);
	if (rc < 0)
		return rc == KV_ENOTFOUND ? KV_OK : rc;
	if ((rc = resync_note_get(note, &r->resync)) < 0)
		return rc;
	r->resync.is_begun = true;
	r->resync.state = RESYNC_WAITING;
	return KV_OK;
}

bool
resync_pauses(const struct replica *r, const struct replica_link *l,
    enum frame_stream kind)
{
	const struct resync *s = &r->resync;

	if (s->state == RESYNC_NONE || s->is_repair || kind == STREAM_RANGE ||
	    MUTATED(NO_PAUSE))
		return false;
	return s->source != l;
}

void
resync_link_gone(struct replica *r, const struct replica_link *l)
{
	struct resync *s = &r->resync;

	if (s->source != l || s->state == RESYNC_NONE)
		return;
	s->source = NULL;
	s->has_last = false;
	if (s->is_begun)
		s->state = RESYNC_WAITING;
	else
		reset(s);
}

/* ---- asking ---- */

/* The end of what is asked for: so many of our own keys further on, so that
 * comparing with them takes bounded time. */
static int
find_end(struct replica *r)
{
	struct resync *s = &r->resync;
	uint64_t bid = s->lo.bid;
	struct kv_slice key = buf_slice(&s->lo.key);
	struct sync_item item;
	uint32_t n = 0;
	bool after = false;
	int rc = KV_OK;

	place_clear(&s->hi);
	if (s->is_repair)
		return KV_OK;
	while (rc == KV_OK && n++ <= r->config.tuning.range_keys) {
		rc = r->store.ops->range(r->store.self, bid, key, after, &item);
		if (rc == KV_OK) {
			bid = item.record.bid;
			key = place_key(&item);
			after = true;
		}
	}
	if (rc == KV_OK)
		rc = place_set(&s->hi, bid, key);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
ask(struct replica *r)
{
	struct resync *s = &r->resync;
	struct frame f = { .type = FRAME_RANGE };
	int rc;

	if ((rc = find_end(r)) < 0)
		return rc;
	s->state = RESYNC_READING;
	s->has_last = s->is_past = false;
	ticks_clear(&s->source_purged);
	receive_begin(r, s->source, STREAM_RANGE);
	if (s->has_mask)
		return leaves_put(s->source, ++s->id, LEAVES_RECORDS, &s->mask);
	f.u.range.id = ++s->id;
	f.u.range.purpose = s->is_repair ? RANGE_REPAIR
	    : s->is_blank		 ? RANGE_BOOTSTRAP
					 : RANGE_RESYNC;
	f.u.range.lo_bid = s->lo.bid;
	f.u.range.lo_key = buf_slice(&s->lo.key);
	f.u.range.hi_bid = s->hi.bid;
	f.u.range.hi_key = buf_slice(&s->hi.key);
	return outbox_put(&s->source->outbox, &f);
}

int
resync_repair(struct replica *r, struct replica_link *l,
    const struct leaf_mask *mask)
{
	if (r->resync.state != RESYNC_NONE)
		return KV_OK;
	reset(&r->resync);
	r->resync.is_repair = true;
	r->resync.source = l;
	if (mask != NULL)
		r->resync.mask = *mask;
	r->resync.has_mask = mask != NULL;
	return ask(r);
}

/* Who asked for it first of all; when one has begun, any peer will do. */
static struct replica_link *
choose_source(struct replica *r, uint64_t *next_ms)
{
	struct replica_link *l, *any = NULL;

	for (l = r->links; l != NULL; l = l->next) {
		if (l->state != LINK_UP)
			continue;
		any = l;
		if (!l->needs_resync)
			continue;
		if (r->now.mono_ms >= l->resync_next_ms)
			return l;
		core_sooner(next_ms, l->resync_next_ms);
	}
	return r->resync.is_begun ? any : NULL;
}

/* What was received before stands in our tree before it is compared. */
static int
settle(struct replica *r, uint64_t *next_ms)
{
	struct resync *s = &r->resync;
	int rc = KV_OK;

	if (r->batch.is_waiting)
		rc = commit_now(r);
	if (rc == KV_OK &&
	    (s->is_blank || r->store.ops->settle(r->store.self, &s->settle)))
		return ask(r);
	core_sooner(next_ms, r->now.mono_ms + SETTLE_MS);
	return rc == KV_EAGAIN ? KV_OK : rc;
}

static void
begin(struct replica *r, struct replica_link *l)
{
	struct resync *s = &r->resync;

	s->state = RESYNC_SETTLING;
	s->is_repair = s->is_blank = false;
	s->source = l;
	s->settle = 0;
	core_event(r, REPLICA_RESYNC, l);
}

void
resync_fill(struct replica *r, struct replica_link *l)
{
	begin(r, l);
	r->resync.is_blank = true;
}

int
resync_timers(struct replica *r, uint64_t *next_ms)
{
	struct resync *s = &r->resync;
	struct replica_link *l;

	if (s->state == RESYNC_NONE || s->state == RESYNC_WAITING) {
		if ((l = choose_source(r, next_ms)) == NULL)
			return KV_OK;
		begin(r, l);
	}
	return s->state == RESYNC_SETTLING ? settle(r, next_ms) : KV_OK;
}

/* ---- the answer ---- */

int
resync_record(struct replica *r, const struct sync_item *item)
{
	struct resync *s = &r->resync;
	const struct place *at = s->has_last ? &s->last : &s->lo;
	bool is_behind = s->has_last || s->is_past;
	struct kv_slice key = place_key(item);
	uint64_t bid = item->record.bid;
	int order;

	if (s->state != RESYNC_READING)
		return KV_EPROTO;
	/* The row of the bucket that it is in, changed meanwhile. */
	if (item->record.type == RECORD_BUCKET && bid == at->bid &&
	    (is_behind || at->key.len > 0))
		return KV_OK;
	order = place_compare(at, bid, key);
	/* The record of the empty key comes behind the row, at its place. */
	if (order == 0 && s->has_last && key.len == 0)
		return KV_OK;
	if (order > 0 || (order == 0 && is_behind))
		return KV_EPROTO;
	if (!place_is_end(&s->hi) && place_compare(&s->hi, bid, key) <= 0)
		return KV_EPROTO;
	s->has_last = true;
	return place_set(&s->last, bid, key);
}

int
resync_row(struct replica *r, struct receiver *from, const struct op *op)
{
	struct resync *s = &r->resync;

	if (!(op->flags & OP_PURGED))
		return ticks_raise(&from->rows, op->row.inc, op->row.tick);
	/* One source after the other may tell of others. */
	if (s->purged.count + s->source_purged.count >= core_rows_max(r) &&
	    vector_find(&r->vector, op->row.inc) == NULL)
		return KV_OK;
	return ticks_raise(&s->source_purged, op->row.inc, op->row.tick);
}

/* ---- claims ---- */

/* What all sources had when they were read, and what any had purged. */
static int
gather(struct replica *r, struct replica_link *l, uint64_t head)
{
	struct resync *s = &r->resync;
	const struct ticks *rows = &l->from[STREAM_RANGE].rows;
	int rc = KV_OK;

	if (!s->has_vv) {
		s->source_inc = l->inc;
		s->source_head = head;
		rc = ticks_copy(&s->vv, rows);
	} else if (MUTATED(RESYNC_MAX)) {
		rc = ticks_join(&s->vv, rows);
	} else {
		ticks_lower(&s->vv, rows);
	}
	s->has_vv = true;
	s->last_head = head;
	if (s->source_inc != l->inc)
		s->source_inc = 0; /* no full cursor of several */
	return rc < 0 ? rc : ticks_join(&s->purged, &s->source_purged);
}

/* Something was purged that one source had seen and another had not, or while
 * the one source was being read: claimed with the minimum of the vectors it
 * would be above our own, and those of all who copy it from us, for ever, if
 * that run is over. */
static bool
is_in_vain(const struct replica *r)
{
	const struct resync *s = &r->resync;
	const struct item_row *row;
	size_t i;

	if (s->vain_count >= VAIN_MAX)
		return false;
	for (i = 0; i < s->purged.count; i++) {
		row = &s->purged.rows[i];
		if (row->tick > core_vv(r, row->inc) &&
		    row->tick > ticks_get(&s->vv, row->inc))
			return true;
	}
	return false;
}

static int
claim(struct replica *r)
{
	struct resync *s = &r->resync;
	struct sync_row *row;
	size_t i;
	int rc = KV_OK;

	for (i = 0; i < s->vv.count && rc == KV_OK; i++)
		rc = receive_claim(r, s->vv.rows[i].inc, s->vv.rows[i].tick, 0);
	for (i = 0; i < s->purged.count && rc == KV_OK; i++)
		if (!MUTATED(NO_PURGED_ROWS))
			rc = receive_claim(r, s->purged.rows[i].inc, 0,
			    s->purged.rows[i].tick);
	if (rc < 0 || s->source_inc == 0)
		return rc;
	if ((rc = commit_row(r, s->source_inc, &row)) < 0)
		return rc;
	if (row->full < s->source_head)
		row->full = s->source_head;
	if (row->full_head < s->last_head)
		row->full_head = s->last_head;
	return KV_OK;
}

/* Of a RESYNC: progress, or at its end the claims. */
static int
note_progress(struct replica *r, struct replica_link *l, const struct op *mark)
{
	struct resync *s = &r->resync;
	bool is_end = mark->flags & OP_END;
	struct place lo = s->lo;
	int rc;

	if ((rc = gather(r, l, mark->head)) < 0)
		return rc;
	s->lo = is_end ? s->hi : s->last;
	if (is_end)
		s->hi = lo;
	else
		s->last = lo;
	s->is_begun = true;
	r->batch.has_note = true;
	r->batch.note.len = 0;
	s->is_done = is_end && place_is_end(&s->lo);
	s->is_vain = s->is_done && is_in_vain(r);
	if (s->is_vain)
		return KV_OK;
	return s->is_done ? claim(r) : resync_note_put(&r->batch.note, s);
}

static int
take_piece(struct replica *r, struct replica_link *l, const struct op *mark)
{
	struct resync *s = &r->resync;
	struct receiver *from = &l->from[STREAM_RANGE];
	bool is_end = mark->flags & OP_END;
	int rc = KV_OK;

	if (!s->is_repair || MUTATED(REPAIR_DELETES))
		rc = absent_erase(r, from, is_end);
	if (rc < 0)
		return rc;
	if (!s->is_repair)
		receive_drop_old(r, l, &from->stage);
	if ((rc = pending_move(&r->batch.stage, &from->stage)) < 0 ||
	    (rc = pending_move(&r->batch.stage, &s->erased)) < 0)
		return rc;
	if (!s->is_repair)
		return note_progress(r, l, mark);
	s->is_done = is_end;
	if (!is_end)
		rc = place_set(&s->lo, s->last.bid, buf_slice(&s->last.key));
	return rc;
}

int
resync_mark(struct replica *r, struct replica_link *l, const struct op *mark)
{
	struct resync *s = &r->resync;
	struct receiver *from = &l->from[STREAM_RANGE];
	bool is_end = mark->flags & OP_END;
	int rc = KV_OK;

	if (s->state != RESYNC_READING || s->source != l ||
	    mark->cursor != s->id || from->is_ended)
		return link_refuse(r, l, BYE_PROTOCOL, "a MARK that cannot be");
	if (s->has_last || is_end)
		rc = take_piece(r, l, mark);
	if (rc < 0)
		return rc;
	s->is_past = s->is_past || s->has_last;
	s->has_last = false;
	from->is_ended = is_end;
	receive_marked(r, from, mark->cursor);
	return KV_OK;
}

/* ---- the end ---- */

static int
finish(struct replica *r, struct replica_link *l)
{
	struct replica_link *o;
	bool was_repair = r->resync.is_repair;

	if (!was_repair && r->resync.is_blank)
		l->has_filled = true;
	receive_end(r, l, STREAM_RANGE);
	r->wants_turn = true; /* for streams that were paused */
	reset(&r->resync);
	r->resync.vain_count = 0;
	if (was_repair)
		return KV_OK;
	for (o = r->links; o != NULL; o = o->next)
		o->needs_resync = false;
	l->resync_wait_ms = l->resync_wait_ms == 0 ? AGAIN_MS
	    : l->resync_wait_ms < AGAIN_MAX_MS / 2 ? l->resync_wait_ms * 2
						   : AGAIN_MAX_MS;
	l->resync_next_ms = r->now.mono_ms + l->resync_wait_ms;
	core_event(r, REPLICA_IN_STEP, l);
	return KV_OK;
}

/* The whole of it from this one source. */
static void
read_again(struct replica *r, struct replica_link *l)
{
	receive_end(r, l, STREAM_RANGE);
	reset(&r->resync);
	r->resync.vain_count++;
	r->resync.source = l;
	r->resync.state = RESYNC_SETTLING;
	r->resync.settle = 0;
}

int
resync_committed(struct replica *r, struct replica_link *l)
{
	struct resync *s = &r->resync;

	if (s->source != l || !l->from[STREAM_RANGE].is_ended)
		return KV_OK;
	if (s->is_vain) {
		read_again(r, l);
		return KV_OK;
	}
	return s->is_done ? finish(r, l) : ask(r);
}
