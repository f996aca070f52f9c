/* SPDX-License-Identifier: ISC */
/* The view: one consistent snapshot of log and tree, and lookups in it.
 *
 * Order of a refresh, and why it is consistent.  The pin is set first and
 * looked at again, so the segments from view_lo on stay.  The tree's snapshot
 * is taken next: it holds everything before view_lo, because segment_lo moves
 * only after the tree's commit.  S = indexed_end is loaded last, so the tree
 * never holds a record at or past S.  What both hold is asked of the log
 * first. */

#include <stdatomic.h>

#include "base/clock.h"
#include "engine/staged.h"

static void
view_pin(struct engine *e)
{
	struct control *c = e->control;
	uint64_t lo = atomic_load(&c->segment_lo);

	for (;;) {
		/* Sequentially consistent with the checkpointer's store to
		 * segment_lo and its reading of the pins: one of the two sees
		 * the other. */
		atomic_store(&e->process->pin, lo);
		e->view_lo = atomic_load(&c->segment_lo);
		if (e->view_lo == lo)
			return;
		lo = e->view_lo;
	}
}

void
view_advance(struct engine *e)
{
	struct control *c = e->control;

	/* bucket_change before S: a row that came in between is seen, and is
	 * read once more at the next change.  A change that lies past S is
	 * being appended: what this view reads is from before it. */
	e->view_change =
	    atomic_load_explicit(&c->bucket_change, memory_order_acquire);
	e->view_end =
	    atomic_load_explicit(&c->indexed_end, memory_order_acquire);
	if (e->view_change > e->view_end)
		e->view_change = e->view_end;
	e->view_hi = engine_segment_of(e, e->view_end);
	e->log_empty = false;
}

int
engine_refresh(struct engine *e)
{
	uint64_t checkpointed;
	int rc;

	view_pin(e);
	checkpointed = atomic_load_explicit(&e->control->checkpointed,
	    memory_order_acquire);
	if ((rc = tree_renew(e->tree)) < 0) {
		atomic_store(&e->process->pin, CONTROL_NO_PIN);
		return rc;
	}
	view_advance(e);
	e->log_empty = checkpointed == e->view_end;
	e->now_ms = clock_wall_ms();
	e->viewing = true;
	bucket_cache_trim(e);
	return KV_OK;
}

void
engine_release(struct engine *e)
{
	if (!e->viewing)
		return;
	e->viewing = false;
	tree_release(e->tree);
	atomic_store_explicit(&e->process->pin, CONTROL_NO_PIN,
	    memory_order_release);
}

uint64_t
engine_now_ms(const struct engine *e)
{
	return e->now_ms;
}

void
view_record(const struct engine *e, uint64_t lsn, struct record *out)
{
	const struct segment *s = engine_segment(e, engine_segment_of(e, lsn));

	wal_record_view(segment_record(s, engine_offset_of(e, lsn)),
	    segment_header(s)->inc, lsn, out);
}

uint64_t
view_find(const struct engine *e, uint64_t hash, enum wal_class class,
    uint64_t bid, struct kv_slice key, uint64_t before)
{
	uint64_t number = engine_segment_of(e, before);

	for (;; number--) {
		const struct segment *s = engine_segment(e, number);
		uint64_t start = number * e->segment_size;
		uint64_t at = index_find(s, hash, class, bid, key);

		while (at != 0 && start + at >= before)
			at = (uint64_t)segment_record(s, at)->prev << 3;
		if (at != 0)
			return start + at;
		if (number <= e->view_lo)
			return 0;
	}
}

uint64_t
view_find_chain(const struct engine *e, uint64_t hash, uint64_t bid,
    uint64_t before)
{
	uint64_t number = engine_segment_of(e, before);

	for (;; number--) {
		const struct segment *s = engine_segment(e, number);
		uint64_t start = number * e->segment_size;
		uint64_t at = index_find_chain(s, hash, bid);

		while (at != 0 && start + at >= before)
			at = (uint64_t)segment_record(s, at)->bucket_prev << 3;
		if (at != 0)
			return start + at;
		if (number <= e->view_lo)
			return 0;
	}
}

uint64_t
view_chain_back(const struct engine *e, uint64_t hash, uint64_t bid,
    uint64_t lsn)
{
	uint64_t number = engine_segment_of(e, lsn), at;

	at = (uint64_t)engine_record_at(e, lsn)->bucket_prev << 3;
	if (at != 0)
		return number * e->segment_size + at;
	while (number-- > e->view_lo) {
		at = index_find_chain(engine_segment(e, number), hash, bid);
		if (at != 0)
			return number * e->segment_size + at;
	}
	return 0;
}

int
view_get_raw(struct engine *e, uint64_t hash, uint64_t bid, struct kv_slice key,
    struct record *out)
{
	uint64_t lsn = 0;

	if (!e->log_empty)
		lsn = view_find(e, hash, WAL_KEY, bid, key, e->view_end);
	if (lsn == 0)
		return tree_hot_get(e->hot, e->tree, hash, bid, key, out);
	view_record(e, lsn, out);
	view_reveal(e, out->end);
	return KV_OK;
}

static int
view_get(struct engine *e, uint64_t bid, struct kv_slice key,
    struct record *out)
{
	uint64_t hash =
	    index_hash_key(e->control->hash_secret, WAL_KEY, bid, key);
	int32_t item;

	if (key.len > KV_KEY_MAX)
		return KV_ENOTFOUND;
	if (e->stage.count > 0 &&
	    (item = stage_find(e, hash, WAL_KEY, bid, key)) >= 0) {
		stage_view(e, item, out);
		return KV_OK;
	}
	return view_get_raw(e, hash, bid, key, out);
}

int
engine_get_raw(struct engine *e, uint64_t bid, struct kv_slice key,
    struct record *out)
{
	return view_get(e, bid, key, out);
}

int
engine_get(struct engine *e, const struct bucket *b, struct kv_slice key,
    struct record *out)
{
	int rc = view_get(e, b->bid, key, out);

	if (rc < 0)
		return rc;
	if (out->type != RECORD_PUT || record_is_expired(out, e->now_ms) ||
	    !bucket_shows(b, out->stamp))
		return KV_ENOTFOUND;
	return KV_OK;
}

int
engine_totals(struct engine *e, const struct bucket *b, struct totals *out)
{
	const struct wal_record *w;
	uint64_t lsn = 0;
	int rc;

	if (!e->log_empty)
		lsn = view_find_chain(e,
		    index_hash_chain(e->control->hash_secret, b->bid), b->bid,
		    e->view_end);
	if (lsn == 0) {
		if ((rc = tree_get_totals(e->tree, b->bid, out)) < 0)
			return rc;
	} else {
		w = engine_record_at(e, lsn);
		*out = w->totals;
		view_reveal(e, lsn + w->len);
	}
	if (e->stage.count > 0)
		staged_totals(e, b->bid, out);
	return KV_OK;
}

uint64_t
engine_position(const struct engine *e)
{
	return e->view_end;
}

bool
engine_remembers(const struct engine *e, uint64_t position)
{
	return position >= e->view_lo * e->segment_size;
}

bool
engine_bucket_changed(const struct engine *e, uint64_t bid, uint64_t since)
{
	return view_find_chain(e,
		   index_hash_chain(e->control->hash_secret, bid), bid,
		   e->view_end) >= since;
}

uint64_t
engine_revealed(struct engine *e)
{
	uint64_t end = e->revealed;

	e->revealed = 0;
	return end > engine_durable(e) ? end : 0;
}

struct tree *
engine_tree(struct engine *e)
{
	return e->tree;
}

const struct control *
engine_control(const struct engine *e)
{
	return e->control;
}

struct control_process *
engine_process(struct engine *e)
{
	return e->process;
}

const char *
engine_folder(const struct engine *e)
{
	return e->shm;
}

unsigned
engine_slot(const struct engine *e)
{
	return e->slot;
}
