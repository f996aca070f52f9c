/* SPDX-License-Identifier: ISC */
/* What clients, time and bad luck do to the array store. */

#include <limits.h>
#include <string.h>

#include "state.h"
#include "sync/mutate.h"
#include "tick.h"

void
sim_store_init(struct sim_store *s, struct arena *arena, uint64_t uid)
{
	memset(s, 0, sizeof(*s));
	s->arena = arena;
	s->now.arena = s->synced.arena = s->tree.arena = arena;
	s->uid = uid;
}

void
sim_store_copy(struct sim_store *to, const struct sim_store *from)
{
	struct sim_state now = to->now, synced = to->synced, tree = to->tree;
	struct sim_watch watch = to->watch;

	*to = *from;
	to->watch = watch;
	to->now = now;
	to->synced = synced;
	to->tree = tree;
	state_copy(&to->now, &from->now);
	state_copy(&to->synced, &from->synced);
	state_copy(&to->tree, &from->tree);
}

void
sim_store_move(struct sim_store *s, struct arena *into)
{
	state_move(&s->now, into);
	state_move(&s->synced, into);
	state_move(&s->tree, into);
}

uint64_t
tick_next(struct sim_store *s)
{
	uint64_t wall = s->wall_ms << 16, *clock = &s->now.clock;

	*clock = wall > *clock ? wall : *clock + 1;
	return *clock;
}

uint64_t
tick_stamp(struct sim_store *s, uint64_t seq)
{
	uint64_t wall = s->wall_ms << 16;

	if (!MUTATED(WALL_CLOCK))
		return seq;
	s->slow_clock = wall > s->slow_clock ? wall : s->slow_clock + 1;
	return s->slow_clock;
}

void
tick_absorb(struct sim_store *s, uint64_t tick)
{
	if (MUTATED(WALL_CLOCK))
		return;
	if (s->now.clock < tick)
		s->now.clock = tick;
	if (s->now.highest < tick)
		s->now.highest = tick;
}

/* ---- a process comes and goes ---- */

static void
lineage_push(struct sim_store *s, struct sim_row row)
{
	unsigned n = s->lineage_count;

	if (n == SIM_LINEAGE)
		n--;
	memmove(s->lineage + 1, s->lineage, n * sizeof(s->lineage[0]));
	s->lineage[0] = row;
	s->lineage_count = n + 1;
}

void
sim_store_start(struct sim_store *s, uint64_t inc, uint64_t wall_ms)
{
	sim_store_renew(s, inc, wall_ms, s->now.clock);
}

void
sim_store_renew(struct sim_store *s, uint64_t inc, uint64_t wall_ms,
    uint64_t end)
{
	struct sync_row *row;

	s->wall_ms = wall_ms;
	s->fuse = 0;
	s->is_burnt = s->is_reading = s->wants_tree = false;
	s->is_slow = s->is_full = s->has_no_snapshot = false;
	s->cut = 0;
	if (MUTATED(SAME_INC) && s->inc != 0) {
		s->start = 0;
		return;
	}
	if (s->inc != 0) {
		lineage_push(s, (struct sim_row){ s->inc, end });
		row = state_row(&s->now, s->inc);
		if (row->vv < end)
			row->vv = end;
		if (row->announced < row->vv)
			row->announced = row->vv;
		row->uid = s->uid;
	}
	s->inc = inc;
	s->start = s->now.clock;
	s->slow_clock = 0;
	s->well_seq = tick_next(s);
	s->now.position++;
	sim_sync(s);
}

void
sim_sync(struct sim_store *s)
{
	if (!s->is_burnt && !s->is_slow)
		state_copy(&s->synced, &s->now);
}

void
sim_crash(struct sim_store *s, bool power)
{
	if (power)
		state_copy(&s->now, &s->synced);
	else
		state_copy(&s->synced, &s->now);
	s->is_burnt = s->is_reading = s->wants_tree = false;
	s->is_slow = s->is_full = s->has_no_snapshot = false;
	s->cut = 0;
	s->refuse = KV_OK;
	s->fuse = 0;
}

/* ---- clients ---- */

static int
local_write(struct sim_store *s, struct kv_slice bucket, struct record *r)
{
	struct sim_bucket *b = state_bucket(&s->now, bucket);
	const struct record *there;
	struct record *at, was;
	uint64_t seq;

	if (b == NULL || !bucket_is_live(&b->row))
		return KV_ENOTFOUND;
	if (s->refuse < 0)
		return s->refuse;
	r->bid = b->row.bid;
	if ((there = sim_find(&s->now, r->bid, r->key)) != NULL)
		was = *there;
	seq = tick_next(s);
	r->stamp = (struct stamp){ tick_stamp(s, seq), s->inc };
	if (seq < r->stamp.tick) /* MUTATE_WALL_CLOCK */
		s->now.clock = seq = r->stamp.tick;
	r->seq = seq;
	bucket_limit(&b->row, s->wall_ms, r);
	if (b->row.options & BUCKET_CONFLICTS)
		rivals_note(s, there, r);
	if (b->row.options & BUCKET_LOCAL)
		r->flags |= RECORD_LOCAL;
	else
		s->now.head = seq;
	at = state_enter(&s->now, r);
	*at = *r;
	s->now.position++;
	if (s->watch.wrote != NULL && !(r->flags & RECORD_LOCAL))
		s->watch.wrote(s->watch.user, at, there == NULL ? NULL : &was);
	return KV_OK;
}

int
sim_put(struct sim_store *s, struct kv_slice bucket, struct kv_slice key,
    struct kv_slice value, uint64_t deadline)
{
	struct record r = { .type = RECORD_PUT, .deadline = deadline };

	r.flags = deadline != 0 ? RECORD_DEADLINE : 0;
	r.key = arena_copy(s->arena, key);
	r.value = arena_copy(s->arena, value);
	return local_write(s, bucket, &r);
}

int
sim_del(struct sim_store *s, struct kv_slice bucket, struct kv_slice key)
{
	const struct record *was =
	    sim_find(&s->now, sim_bucket_id(bucket), key);
	struct record r = { .type = RECORD_TOMB };

	if (was == NULL || was->type != RECORD_PUT ||
	    sim_is_killed(&s->now, was))
		return KV_ENOTFOUND;
	r.key = was->key;
	return local_write(s, bucket, &r);
}

static int
local_bucket(struct sim_store *s, struct kv_slice name, uint32_t options,
    bool drop)
{
	struct sim_bucket *b = state_bucket(&s->now, name);
	struct stamp stamp;
	uint64_t seq;

	if (drop != (b != NULL && bucket_is_live(&b->row)))
		return KV_ENOTFOUND;
	if (s->refuse < 0)
		return s->refuse;
	if (b == NULL)
		b = state_enter_bucket(&s->now, arena_copy(s->arena, name));
	seq = tick_next(s);
	stamp = (struct stamp){ seq, s->inc };
	if (drop) {
		b->row.dropped = stamp;
	} else {
		b->row.created = stamp;
		b->row.options = options;
	}
	b->row.seq = seq;
	if (!(b->row.options & BUCKET_LOCAL))
		s->now.head = seq;
	s->now.position++;
	return KV_OK;
}

int
sim_create(struct sim_store *s, struct kv_slice bucket, uint32_t options)
{
	return local_bucket(s, bucket, options, false);
}

int
sim_drop(struct sim_store *s, struct kv_slice bucket)
{
	return local_bucket(s, bucket, 0, true);
}

/* ---- the checkpointer ---- */

void
sim_checkpoint(struct sim_store *s, unsigned records)
{
	const struct sim_state *from = &s->synced;
	const struct record *r, *there;
	unsigned i, moved = 0;

	if (s->is_full)
		return;
	for (i = 0; records != UINT_MAX && i < from->record_count; i++) {
		r = &from->records[i];
		there = sim_find(&s->tree, r->bid, r->key);
		if (there != NULL && there->seq == r->seq)
			continue;
		s->is_half = true;
		if (moved++ == records)
			return;
		*state_enter(&s->tree, r) = *r;
	}
	state_copy(&s->tree, from);
	s->is_half = false;
	s->wants_tree = s->wants_tree && from->position < s->now.position;
}

/* A row of the tree is gone; so is what we see of it, unless it changed. */
void
store_forget(struct sim_store *s, const struct record *gone)
{
	struct sim_state *each[] = { &s->now, &s->synced, &s->tree };
	const struct record *r, copy = *gone;
	size_t i;

	for (i = 0; i < 3; i++) {
		r = sim_find(each[i], copy.bid, copy.key);
		if (r != NULL && r->seq == copy.seq)
			state_remove(each[i], r);
	}
}

static void
note_purged(struct sim_store *s, struct stamp stamp)
{
	struct sim_state *each[] = { &s->now, &s->synced, &s->tree };
	struct sync_row *row;
	size_t i;

	for (i = 0; i < 3; i++) {
		row = state_row(each[i], stamp.inc);
		if (row->purged < stamp.tick)
			row->purged = stamp.tick;
	}
}

/* Something older than this is known to be missing here: tombstones that may
 * be newer than it have to stay. */
static uint64_t
first_gap(const struct sim_store *s)
{
	uint64_t gap = UINT64_MAX;
	const struct sync_row *row;
	unsigned i;

	for (i = 0; i < s->tree.row_count; i++) {
		row = &s->tree.rows[i];
		if (row->inc != s->inc && row->vv < row->announced &&
		    row->vv < gap)
			gap = row->vv;
	}
	return MUTATED(NO_GAP_RULE) ? UINT64_MAX : gap;
}

/* May it go?  Only what our own vector covers: a purged row above it would have
 * us and our peers read each other's ranges for ever, when that run is over
 * and its end is lost. */
static bool
may_go(const struct sim_store *s, const struct record *r, uint64_t gap)
{
	const struct sync_row *row = sim_row(&s->tree, r->stamp.inc);

	if (r->stamp.inc != s->inc && (row == NULL || row->vv < r->stamp.tick))
		return false;
	return r->stamp.tick <= gap;
}

static uint64_t
death_ms(const struct record *r)
{
	uint64_t ms = stamp_ms(r->stamp);

	return r->deadline > ms ? r->deadline : ms;
}

void
sim_purge(struct sim_store *s, uint64_t before_ms)
{
	uint64_t gap = first_gap(s);
	struct record r;
	unsigned i = 0;

	if (s->is_half)
		return;
	while (i < s->tree.record_count) {
		r = s->tree.records[i];
		if (r.type != RECORD_TOMB || r.flags & RECORD_SHORT ||
		    death_ms(&r) >= before_ms || !may_go(s, &r, gap)) {
			i++;
			continue;
		}
		if (s->watch.purged != NULL && !(r.flags & RECORD_LOCAL))
			s->watch.purged(s->watch.user, &r);
		note_purged(s, r.stamp);
		store_forget(s, &r);
		s->purges++;
	}
}

void
sim_sweep(struct sim_store *s)
{
	struct record r;
	unsigned i = 0;

	while (!s->is_half && i < s->tree.record_count) {
		r = s->tree.records[i];
		if (sim_is_killed(&s->tree, &r))
			store_forget(s, &r);
		else
			i++;
	}
}

void
sim_expire(struct sim_store *s)
{
	struct record *r;
	unsigned i;

	short_limit_all(s);
	for (i = 0; s->refuse == KV_OK && i < s->now.record_count; i++) {
		r = &s->now.records[i];
		if (r->type != RECORD_PUT || !record_is_expired(r, s->wall_ms))
			continue;
		if (s->watch.expired != NULL)
			s->watch.expired(s->watch.user, r);
		r->type = RECORD_TOMB;
		r->flags |= RECORD_EXPIRED | RECORD_FOREIGN;
		r->value = (struct kv_slice){ "", 0 };
		short_limit(&s->now, stamp_ms(r->stamp), r);
		r->seq = tick_next(s);
		s->now.position++;
		if (!(r->flags & RECORD_LOCAL))
			s->now.head = r->seq;
	}
}
