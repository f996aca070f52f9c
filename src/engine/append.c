/* SPDX-License-Identifier: ISC */
/* Appending a batch.
 *
 * Under the mutex, in this order:
 *
 *	wal_end		after the bytes: followers of the log may go there
 *	index entries	each of them whole at any time
 *	indexed_end	readers may go there
 *
 * Whoever dies in between leaves either bytes past wal_end, which are void, or
 * records in [indexed_end, wal_end), which the next owner puts into the index
 * again (mend.c).  A roll to the next segment has one commit point too, its
 * store to wal_end. */

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "engine/internal.h"
#include "engine/soon.h"

static void
append_publish(_Atomic uint64_t *position, uint64_t to)
{
	/* Pairs with the acquire loads of views, writers and followers. */
	atomic_store_explicit(position, to, memory_order_release);
}

uint64_t
append_tick(struct control *c, uint64_t wall_ms)
{
	uint64_t now = wall_ms << 16;

	c->seq = now > c->seq ? now : c->seq + 1;
	return c->seq;
}

/* ---- the mutex ---- */

void
append_lock(struct engine *e)
{
	bool died;

	control_lock(e->control, &died);
	CRASH_POINT("append.locked");
	if (!died)
		return;
	append_repair(e);
	atomic_fetch_add(&e->control->stats.owner_deaths, 1);
	control_lock_repaired(e->control);
	log_warn("append_lock owner=died repaired=yes");
}

void
append_unlock(struct engine *e)
{
	control_unlock(e->control);
}

/* ---- segments ---- */

void
append_begin_segment(struct engine *e, uint64_t number, uint64_t prev_end,
    uint64_t prev_nonce)
{
	struct segment_header h = { .store_id = e->store_id,
		.size = e->segment_size,
		.number = number,
		.first_seq = e->control->seq + 1,
		.prev_end = prev_end,
		.prev_nonce = prev_nonce,
		.nonce = rng_u64(),
		.inc = e->control->inc,
		.made_ms = clock_wall_ms() };
	char *base = engine_segment(e, number)->base;

	segment_header_seal(&h);
	memset(base, 0, SEGMENT_HEADER);
	memcpy(base, &h, sizeof(h));
}

static void
append_end_record(struct engine *e, uint64_t lsn)
{
	const struct segment *s = engine_segment(e, engine_segment_of(e, lsn));
	struct record end = { .type = RECORD_END };
	struct wal_record w;

	wal_record_encode(&w, &end);
	w.seq = e->control->seq;
	w.check = wal_record_check(&w, segment_header(s)->nonce, lsn);
	memcpy(s->base + engine_offset_of(e, lsn), &w, sizeof(w));
}

int
append_roll(struct engine *e)
{
	struct control *c = e->control;
	uint64_t end = atomic_load_explicit(&c->wal_end, memory_order_relaxed);
	uint64_t number = engine_segment_of(e, end);
	uint64_t start = (number + 1) * e->segment_size + SEGMENT_HEADER;

	if (atomic_load(&c->memory_ready) <= number ||
	    atomic_load(&c->file_ready) <= number)
		return engine_trouble(e) != 0 ? KV_ENOSPC : KV_EAGAIN;
	append_end_record(e, end);
	CRASH_POINT("roll.ended");
	append_begin_segment(e, number + 1, end,
	    segment_header(engine_segment(e, number))->nonce);
	CRASH_POINT("roll.begun");
	append_publish(&c->wal_end, start); /* the roll is done */
	CRASH_POINT("roll.published");
	c->index_used = 0;
	append_publish(&c->segment_hi, number + 1);
	CRASH_POINT("roll.counted");
	append_publish(&c->indexed_end, start);
	atomic_fetch_add(&c->stats.rolls, 1);
	control_futex_wake(&c->checkpoint_futex);
	return KV_OK;
}

/* ---- a batch ---- */

static int
append_room(struct engine *e)
{
	struct control *c = e->control;
	uint64_t end = atomic_load_explicit(&c->wal_end, memory_order_relaxed);

	if (engine_offset_of(e, end) + e->stage.bytes.len + WAL_RECORD_MIN <=
		e->segment_size &&
	    c->index_used + stage_entries(&e->stage) <= stage_entries_max(e))
		return KV_OK;
	return append_roll(e);
}

static void
append_load_buckets(struct engine *e, uint64_t end)
{
	const struct segment *current =
	    engine_segment(e, engine_segment_of(e, end));
	size_t i;

	for (i = 0; i < e->stage.bucket_count; i++) {
		struct stage_bucket *b = &e->stage.buckets[i];
		uint64_t lsn = view_find_chain(e, b->hash, b->bid, end);

		b->totals =
		    lsn == 0 ? b->tree : engine_record_at(e, lsn)->totals;
		b->last =
		    lsn == 0 ? 0 : index_find_chain(current, b->hash, b->bid);
	}
}

/* Set the stamp that a staged bucket row was waiting for. */
static void
append_stamp_row(struct engine *e, size_t i, struct stamp stamp)
{
	struct wal_record *w = stage_bytes(&e->stage, i);
	struct record r;
	struct bucket b;
	char value[SCHEMA_BUCKET_ROW];
	int rc;

	wal_record_view(w, 0, 0, &r);
	rc = schema_get_bucket(r.value, &b);
	assert(rc == KV_OK); /* we encoded it ourselves */
	(void)rc;
	/* A drop staged before this row in the same batch has its stamp in
	 * the row it wrote, as STAGE_TICK and its place. */
	if (b.dropped.tick >= STAGE_TICK)
		b.dropped = (struct stamp){ stage_bytes(&e->stage,
						b.dropped.tick - STAGE_TICK)
						->seq,
			stamp.inc };
	if (b.created.tick >= STAGE_TICK)
		b.created = (struct stamp){ stage_bytes(&e->stage,
						b.created.tick - STAGE_TICK)
						->seq,
			stamp.inc };
	b.seq = w->seq;
	schema_put_bucket(value, &b);
	memcpy((char *)w + (r.value.data - (const char *)w), value,
	    sizeof(value));
	wal_record_seal_body(w);
}

static void
append_add_totals(struct totals *t, const struct count *before,
    const struct count *after)
{
	t->keys += (uint64_t)after->live - (uint64_t)before->live;
	t->bytes += after->bytes - before->bytes;
	t->digest[0] += after->digest[0] - before->digest[0];
	t->digest[1] += after->digest[1] - before->digest[1];
}

static void
append_sum(struct engine *e, size_t i, struct stamp stamp)
{
	struct stage *s = &e->stage;
	struct stage_item *item = &s->items[i];
	struct stage_bucket *b = &s->buckets[item->bucket];
	struct wal_record *w = stage_bytes(s, i);
	static const struct count nothing;
	const struct count *before = &item->before;
	struct bucket shows = { .bid = w->bid, .dropped = b->dropped };
	struct record r;

	if (item->row == STAGE_DROP) {
		if (b->totals.keys > 0)
			w->flags |= RECORD_DROP;
		b->totals = (struct totals){ 0 };
		b->drop = (int32_t)i;
	} else if (item->row == STAGE_MERGED_DROP) {
		if (b->totals.keys > b->survivors.keys)
			w->flags |= RECORD_DROP;
		b->totals = b->survivors;
	}
	item->after = nothing;
	if (wal_class(w->type) == WAL_KEY) {
		if (item->earlier >= 0)
			before = &s->items[item->earlier].after;
		/* What was there before a drop in this batch is gone. */
		if (b->drop >= 0 && item->earlier < b->drop)
			before = &nothing;
		wal_record_view(w, stamp.inc, 0, &r);
		r.stamp = stamp;
		stage_count(&shows, &r, &item->after);
		if (item->after.live)
			told_new(w, before, e->now_ms);
		append_add_totals(&b->totals, before, &item->after);
	}
	w->totals = b->totals;
}

/* Sums of its bucket and links to the records before it. */
static void
append_link(struct engine *e, const struct segment *seg, uint32_t base,
    size_t i, struct stamp stamp)
{
	struct stage *s = &e->stage;
	struct stage_item *item = &s->items[i];
	struct stage_bucket *b = &s->buckets[item->bucket];
	struct wal_record *w = stage_bytes(s, i);

	append_sum(e, i, stamp);
	w->prev = item->earlier >= 0
	    ? (base + s->items[item->earlier].offset) >> 3
	    : index_find(seg, item->hash, wal_class(w->type), w->bid,
		  wal_record_key(w)) >>
		3;
	w->bucket_prev = b->last >> 3;
	b->last = base + item->offset;
}

/* Everything that depends on the place in the log, in the stage's bytes. */
static void
append_finish(struct engine *e, uint64_t end, uint64_t wall_ms)
{
	struct stage *s = &e->stage;
	uint64_t start = engine_segment_of(e, end) * e->segment_size;
	const struct segment *seg =
	    engine_segment(e, engine_segment_of(e, end));
	uint64_t nonce = segment_header(seg)->nonce;
	uint32_t base = (uint32_t)(end - start);
	size_t i;

	if (s->clock > e->control->seq)
		e->control->seq = s->clock;
	for (i = 0; i < s->count; i++) {
		const struct stage_item *item = &s->items[i];
		struct wal_record *w = stage_bytes(s, i);
		uint32_t offset = base + item->offset;
		struct stamp stamp;

		w->seq = append_tick(e->control, wall_ms);
		stamp = (struct stamp){ w->seq, e->control->inc };
		if (w->flags & RECORD_FOREIGN)
			memcpy(&stamp, (char *)w + WAL_STAMP_AT, sizeof(stamp));
		if (item->row != STAGE_NO_ROW)
			append_stamp_row(e, i, stamp);
		if (item->bucket != STAGE_NO_BUCKET)
			append_link(e, seg, base, i, stamp);
		if (!(w->flags & (RECORD_LOCAL | RECORD_FOREIGN)))
			e->written = w->seq;
		if (i + 1 < s->count)
			w->flags |= RECORD_MORE;
		w->check = wal_record_check(w, nonce, start + offset);
	}
}

static void
append_index(struct engine *e, uint64_t end)
{
	struct control *c = e->control;
	struct stage *s = &e->stage;
	const struct segment *seg =
	    engine_segment(e, engine_segment_of(e, end));
	uint32_t base = (uint32_t)engine_offset_of(e, end);
	size_t i;

	for (i = 0; i < s->count; i++) {
		const struct stage_item *item = &s->items[i];
		uint32_t offset = base + item->offset;

		if (item->bucket == STAGE_NO_BUCKET)
			continue;
		c->index_used += index_put(seg, item->hash, offset);
		if (item->row != STAGE_NO_ROW) {
			c->index_used += index_put_row(seg,
			    index_hash_row(c->hash_secret,
				s->buckets[item->bucket].bid),
			    offset);
			append_publish(&c->bucket_change,
			    end + item->offset + item->len);
		}
		if (i == s->count / 2)
			CRASH_POINT("append.indexing");
	}
	for (i = 0; i < s->bucket_count; i++)
		c->index_used += index_put_chain(seg, s->buckets[i].hash,
		    s->buckets[i].last);
}

static int
append_batch(struct engine *e, uint64_t wall_ms, uint64_t *end_out)
{
	struct control *c = e->control;
	uint64_t end, after;
	int rc;

	if ((rc = append_room(e)) < 0)
		return rc;
	end = atomic_load_explicit(&c->wal_end, memory_order_relaxed);
	after = end + e->stage.bytes.len;
	if (end != e->view_end && (rc = recheck_stage(e, end)) < 0)
		return rc;
	append_load_buckets(e, end);
	append_finish(e, end, wall_ms);
	CRASH_POINT("append.finished");
	memcpy(engine_segment(e, engine_segment_of(e, end))->base +
		engine_offset_of(e, end),
	    e->stage.bytes.data, e->stage.bytes.len);
	CRASH_POINT("append.copied");
	if (e->stage.message_to > 0)
		append_publish(&c->message_end, end + e->stage.message_to);
	append_publish(&c->wal_end, after);
	CRASH_POINT("append.published");
	append_index(e, end);
	CRASH_POINT("append.indexed");
	append_publish(&c->indexed_end, after);
	CRASH_POINT("append.done");
	*end_out = after;
	return KV_OK;
}

/* Named buckets make SET look for one of the key's name; see worker. */
static void
append_note_buckets(struct engine *e)
{
	size_t i;

	for (i = 0; e->stage.rows > 0 && i < e->stage.count; i++) {
		struct record r;
		struct bucket b;

		if (e->stage.items[i].row == STAGE_NO_ROW ||
		    e->stage.items[i].row == STAGE_DROP)
			continue;
		stage_view(e, (int32_t)i, &r);
		if (schema_get_bucket(r.value, &b) == KV_OK &&
		    !(b.options & BUCKET_DATABASE) &&
		    !bucket_is_hidden(scope_bare(r.key)))
			atomic_fetch_add(&e->control->buckets, 1);
	}
}

static void
append_note_deadlines(struct engine *e, uint64_t wall_ms)
{
	struct record r;
	size_t i;

	for (i = 0; i < e->stage.count; i++) {
		wal_record_view(stage_bytes(&e->stage, i), 0, 0, &r);
		if (r.type == RECORD_PUT && r.deadline != 0)
			soon_add(e->soon, &r, wall_ms);
	}
}

int
engine_commit(struct engine *e, uint64_t *end)
{
	uint64_t wall_ms;
	int rc;

	if (e->stage.count == 0)
		return KV_OK;
	append_note_buckets(e);
	wall_ms = clock_wall_ms();
	if (!e->locked)
		append_lock(e);
	rc = append_batch(e, wall_ms, end);
	if (!e->locked)
		append_unlock(e);
	if (rc == KV_OK) {
		atomic_fetch_add_explicit(&e->control->stats.appends, 1,
		    memory_order_relaxed);
		atomic_fetch_add_explicit(&e->control->stats.records,
		    e->stage.count, memory_order_relaxed);
		e->own_end = *end;
		if (e->soon != NULL && e->stage.timed > 0)
			append_note_deadlines(e, wall_ms);
		view_advance(e);
		engine_wake_followers(e);
	} else if (rc == KV_EAGAIN)
		atomic_fetch_add(&e->control->stats.stalls, 1);
	stage_clear(&e->stage);
	return rc;
}

uint64_t
engine_written(const struct engine *e)
{
	return e->written;
}

void
engine_lock(struct engine *e)
{
	assert(!e->locked && e->stage.count == 0);
	append_lock(e);
	e->locked = true;
	view_advance(e);
}

void
engine_unlock(struct engine *e)
{
	assert(e->locked);
	e->locked = false;
	append_unlock(e);
}
