/* SPDX-License-Identifier: ISC */
/* Sorted arrays: records by (bid, key), buckets by bid, rows as they came. */

#include "state.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"

#define ROOM_MIN 16u

/* ---- arrays that grow ---- */

/* The old array stays as it was: who holds a record of it may read on. */
static void *
grown(struct arena *arena, const void *old, unsigned *room, size_t size,
    unsigned need)
{
	unsigned n = *room < ROOM_MIN ? ROOM_MIN : *room;
	char *p;

	while (n < need)
		n *= 2;
	p = arena_take(arena, n * size);
	if (*room > 0)
		memcpy(p, old, *room * size);
	*room = n;
	return p;
}

static void
need_records(struct sim_state *t, unsigned n)
{
	if (n > t->record_room)
		t->records = grown(t->arena, t->records, &t->record_room,
		    sizeof(*t->records), n);
}

static void
need_buckets(struct sim_state *t, unsigned n)
{
	if (n > t->bucket_room)
		t->buckets = grown(t->arena, t->buckets, &t->bucket_room,
		    sizeof(*t->buckets), n);
}

static void
need_rows(struct sim_state *t, unsigned n)
{
	if (n > t->row_room)
		t->rows =
		    grown(t->arena, t->rows, &t->row_room, sizeof(*t->rows), n);
}

void
state_copy(struct sim_state *to, const struct sim_state *from)
{
	if (to->arena == NULL)
		to->arena = from->arena;
	memcpy(to, from, offsetof(struct sim_state, arena));
	need_buckets(to, from->bucket_count);
	need_records(to, from->record_count);
	need_rows(to, from->row_count);
	if (from->bucket_count > 0)
		memcpy(to->buckets, from->buckets,
		    from->bucket_count * sizeof(to->buckets[0]));
	if (from->record_count > 0)
		memcpy(to->records, from->records,
		    from->record_count * sizeof(to->records[0]));
	if (from->row_count > 0)
		memcpy(to->rows, from->rows,
		    from->row_count * sizeof(to->rows[0]));
}

static void
move_slice(struct arena *into, struct kv_slice *s)
{
	*s = arena_copy(into, *s);
}

void
state_move(struct sim_state *t, struct arena *into)
{
	struct sim_state was = *t;
	unsigned i;

	t->arena = into;
	t->bucket_room = t->record_room = t->row_room = 0;
	state_copy(t, &was);
	t->arena = was.arena;
	for (i = 0; i < t->note_count; i++) {
		move_slice(into, &t->notes[i].name);
		move_slice(into, &t->notes[i].value);
	}
	for (i = 0; i < t->bucket_count; i++)
		move_slice(into, &t->buckets[i].name);
	for (i = 0; i < t->record_count; i++) {
		move_slice(into, &t->records[i].key);
		move_slice(into, &t->records[i].value);
	}
}

/* ---- places ---- */

static int
place_compare(const struct record *r, uint64_t bid, struct kv_slice key)
{
	if (r->bid != bid)
		return r->bid < bid ? -1 : 1;
	return slice_compare(r->key, key);
}

unsigned
state_place(const struct sim_state *t, uint64_t bid, struct kv_slice key)
{
	unsigned lo = 0, hi = t->record_count, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (place_compare(&t->records[mid], bid, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct record *
sim_find(const struct sim_state *t, uint64_t bid, struct kv_slice key)
{
	unsigned i = state_place(t, bid, key);

	if (i < t->record_count && place_compare(&t->records[i], bid, key) == 0)
		return &t->records[i];
	return NULL;
}

struct record *
state_enter(struct sim_state *t, const struct record *r)
{
	unsigned i = state_place(t, r->bid, r->key);
	struct record *at;

	need_records(t, t->record_count + 1);
	at = &t->records[i];
	if (i < t->record_count && place_compare(at, r->bid, r->key) == 0)
		return at;
	memmove(at + 1, at, (t->record_count - i) * sizeof(*at));
	t->record_count++;
	*at = (struct record){ .bid = r->bid, .key = r->key };
	return at;
}

void
state_remove(struct sim_state *t, const struct record *r)
{
	unsigned i = state_place(t, r->bid, r->key);
	struct record *at = &t->records[i];

	assert(i < t->record_count);
	t->record_count--;
	memmove(at, at + 1, (t->record_count - i) * sizeof(*at));
}

uint64_t
sim_bucket_id(struct kv_slice name)
{
	return hash_bytes(name.data, name.len, 0);
}

unsigned
state_bucket_place(const struct sim_state *t, uint64_t bid)
{
	unsigned lo = 0, hi = t->bucket_count, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (t->buckets[mid].row.bid < bid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct sim_bucket *
sim_bucket(const struct sim_state *t, uint64_t bid)
{
	unsigned i = state_bucket_place(t, bid);

	if (i < t->bucket_count && t->buckets[i].row.bid == bid)
		return &t->buckets[i];
	return NULL;
}

struct sim_bucket *
state_bucket(struct sim_state *t, struct kv_slice name)
{
	const struct sim_bucket *b = sim_bucket(t, sim_bucket_id(name));

	return b == NULL ? NULL : &t->buckets[b - t->buckets];
}

struct sim_bucket *
state_enter_bucket(struct sim_state *t, struct kv_slice name)
{
	uint64_t bid = sim_bucket_id(name);
	struct sim_bucket *b = state_bucket(t, name);
	unsigned i;

	if (b != NULL)
		return b;
	need_buckets(t, t->bucket_count + 1);
	i = state_bucket_place(t, bid);
	b = &t->buckets[i];
	memmove(b + 1, b, (t->bucket_count - i) * sizeof(*b));
	t->bucket_count++;
	*b = (struct sim_bucket){ .name = name, .row = { .bid = bid } };
	return b;
}

bool
sim_is_killed(const struct sim_state *t, const struct record *r)
{
	const struct sim_bucket *b = sim_bucket(t, r->bid);

	return b != NULL && !bucket_shows(&b->row, r->stamp);
}

bool
sim_bucket_lives(const struct sim_state *t, uint64_t bid)
{
	const struct sim_bucket *b = sim_bucket(t, bid);

	return b != NULL && bucket_is_live(&b->row);
}

const struct sync_row *
sim_row(const struct sim_state *t, uint64_t inc)
{
	unsigned i;

	for (i = 0; i < t->row_count; i++) {
		if (t->rows[i].inc == inc)
			return &t->rows[i];
	}
	return NULL;
}

struct sync_row *
state_row(struct sim_state *t, uint64_t inc)
{
	unsigned i;

	for (i = 0; i < t->row_count; i++) {
		if (t->rows[i].inc == inc)
			return &t->rows[i];
	}
	need_rows(t, t->row_count + 1);
	t->rows[t->row_count++] = (struct sync_row){ .inc = inc };
	return &t->rows[i];
}

static uint64_t
mix(uint64_t a, uint64_t b)
{
	return hash_u64(a ^ hash_u64(b));
}

uint64_t
sim_digest(const struct sim_state *t)
{
	const struct record *r;
	const struct bucket *b;
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < t->record_count; i++) {
		r = &t->records[i];
		if (r->type == RECORD_PUT && r->deadline == 0 &&
		    !(r->flags & RECORD_LOCAL) && sim_bucket_lives(t, r->bid) &&
		    !sim_is_killed(t, r))
			sum +=
			    mix(mix(hash_bytes(r->key.data, r->key.len, r->bid),
				    r->stamp.tick),
				r->stamp.inc);
	}
	for (i = 0; i < t->bucket_count; i++) {
		b = &t->buckets[i].row;
		if (!(b->options & BUCKET_LOCAL))
			sum += mix(mix(b->bid, b->created.tick),
			    mix(b->dropped.tick, b->dropped.inc));
	}
	return sum;
}
