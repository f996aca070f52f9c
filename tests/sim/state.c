/* SPDX-License-Identifier: ISC */
/* Sorted arrays: records by (bid, key), buckets by bid, rows as they came. */

#include "state.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"

void
state_copy(struct sim_state *to, const struct sim_state *from)
{
	memcpy(to, from, offsetof(struct sim_state, buckets));
	memcpy(to->buckets, from->buckets,
	    from->bucket_count * sizeof(to->buckets[0]));
	memcpy(to->records, from->records,
	    from->record_count * sizeof(to->records[0]));
	memcpy(to->rows, from->rows, from->row_count * sizeof(to->rows[0]));
}

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
	struct record *at = &t->records[i];

	if (i < t->record_count && place_compare(at, r->bid, r->key) == 0)
		return at;
	assert(t->record_count < SIM_RECORDS);
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

struct sim_bucket *
state_bucket(struct sim_state *t, struct kv_slice name)
{
	unsigned i;

	for (i = 0; i < t->bucket_count; i++) {
		if (slice_equal(t->buckets[i].name, name))
			return &t->buckets[i];
	}
	return NULL;
}

struct sim_bucket *
state_enter_bucket(struct sim_state *t, struct kv_slice name)
{
	uint64_t bid = sim_bucket_id(name);
	struct sim_bucket *b = state_bucket(t, name);
	unsigned i;

	if (b != NULL)
		return b;
	assert(t->bucket_count < SIM_BUCKETS);
	for (i = t->bucket_count; i > 0; i--) {
		if (t->buckets[i - 1].row.bid < bid)
			break;
		t->buckets[i] = t->buckets[i - 1];
	}
	t->bucket_count++;
	b = &t->buckets[i];
	*b = (struct sim_bucket){ .name = name, .row = { .bid = bid } };
	return b;
}

const struct sim_bucket *
sim_bucket(const struct sim_state *t, uint64_t bid)
{
	unsigned i;

	for (i = 0; i < t->bucket_count; i++) {
		if (t->buckets[i].row.bid == bid)
			return &t->buckets[i];
	}
	return NULL;
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
	assert(t->row_count < SIM_ROWS);
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
