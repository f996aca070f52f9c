/* SPDX-License-Identifier: ISC */
/* Sets of recent keys: feeding, sorting, merging, giving up. */

#include "engine/recent.h"

#include <assert.h>
#include <stdlib.h>
#include <uthash.h>

#include "base/bytes.h"

/* All keys of four full segments of 64 MiB need 12 MiB; the rest is for the
 * heads of very many small buckets. */
#define RECENT_MEMORY_MAX (64u << 20)

/* A run is over RATIO times as long as the next, so the longest possible, one
 * of INDEX_OFFSET_MASK keys, stands before at most 13 others. */
#define RECENT_RATIO 4
#define RECENT_RUNS 16

struct recent_key {
	uint64_t number;
	uint64_t bid;
	uint64_t class; /* enum wal_class, wide: no padding in a hash key */
};

struct recent_set {
	struct recent_key key;
	uint64_t nonce;
	/* WAL_KEY: offset of the newest record of the bucket's chain that was
	 * fed.  WAL_BUCKET_ROW: offset where the walk goes on. */
	uint64_t fed;
	size_t count;
	struct recent_run *runs[RECENT_RUNS]; /* longest first */
	UT_hash_handle hh;
};

struct recent {
	struct recent_set *sets; /* uthash keeps order: least used first */
	uint64_t lo;		 /* older segments have no sets */
	size_t bytes;
	struct walk_marks marks[CONTROL_SLOTS];
};

/* A record on its way into a run.  order: the eight bytes of its key behind
 * what all keys of the lot begin with; most comparisons end there. */
struct recent_item {
	uint64_t order;
	uint32_t at;
};

struct recent_lot {
	const struct segment *segment;
	struct recent_item *items;
	size_t count, cap;
	size_t shared; /* bytes that all keys begin with */
};

static struct kv_slice
recent_key_at(const struct segment *s, uint32_t at)
{
	return wal_record_key(segment_record(s, (uint64_t)at << 3));
}

/* ---- runs ---- */

void
recent_run_free(struct recent_run *run)
{
	if (run != NULL && --run->refs == 0)
		free(run);
}

static size_t
recent_run_bytes(size_t count)
{
	return sizeof(struct recent_run) + count * sizeof(uint32_t);
}

static struct recent_run *
recent_run_new(size_t count)
{
	struct recent_run *run = malloc(recent_run_bytes(count));

	if (run != NULL)
		*run = (struct recent_run){ 1, 0 };
	return run;
}

/* The union of two runs, which have no key in common. */
static struct recent_run *
recent_run_merge(const struct segment *s, const struct recent_run *a,
    const struct recent_run *b)
{
	struct recent_run *out;
	uint32_t i = 0, j = 0;

	if ((out = recent_run_new((size_t)a->count + b->count)) == NULL)
		return NULL;
	while (i < a->count && j < b->count) {
		int order = slice_compare(recent_key_at(s, a->at[i]),
		    recent_key_at(s, b->at[j]));

		out->at[out->count++] = order < 0 ? a->at[i++] : b->at[j++];
	}
	while (i < a->count)
		out->at[out->count++] = a->at[i++];
	while (j < b->count)
		out->at[out->count++] = b->at[j++];
	return out;
}

/* ---- a lot of new records becomes a run ---- */

static size_t
recent_shared(struct kv_slice a, struct kv_slice b, size_t most)
{
	size_t n = 0;

	while (n < most && n < b.len && a.data[n] == b.data[n])
		n++;
	return n;
}

/* Only the first record of a key in its segment stands for it. */
static int
recent_lot_add(struct recent_lot *lot, const struct wal_record *w,
    uint64_t offset)
{
	struct kv_slice first, key = wal_record_key(w);
	struct recent_item *items;
	size_t cap;

	if (w->prev != 0)
		return KV_OK;
	if (lot->count == lot->cap) {
		cap = lot->cap == 0 ? 64 : lot->cap * 2;
		items = realloc(lot->items, cap * sizeof(*items));
		if (items == NULL)
			return KV_ENOMEM;
		lot->items = items;
		lot->cap = cap;
	}
	lot->items[lot->count++] =
	    (struct recent_item){ 0, (uint32_t)(offset >> 3) };
	first = recent_key_at(lot->segment, lot->items[0].at);
	if (lot->count == 1)
		lot->shared = first.len;
	lot->shared = recent_shared(first, key, lot->shared);
	return KV_OK;
}

static int
recent_item_compare(const void *a, const void *b, void *user)
{
	const struct recent_item *left = a, *right = b;

	if (left->order != right->order)
		return left->order < right->order ? -1 : 1;
	return slice_compare(recent_key_at(user, left->at),
	    recent_key_at(user, right->at));
}

static uint64_t
recent_order(struct kv_slice key, size_t skip)
{
	char bytes[8] = { 0 };
	size_t n = key.len - skip;

	memcpy(bytes, key.data + skip, n < sizeof(bytes) ? n : sizeof(bytes));
	return bytes_get_be64(bytes);
}

static struct recent_run *
recent_lot_run(struct recent_lot *lot)
{
	struct segment segment = *lot->segment;
	struct recent_run *run;
	size_t i;

	if ((run = recent_run_new(lot->count)) == NULL)
		return NULL;
	for (i = 0; i < lot->count; i++)
		lot->items[i].order =
		    recent_order(recent_key_at(&segment, lot->items[i].at),
			lot->shared);
	qsort_r(lot->items, lot->count, sizeof(*lot->items),
	    recent_item_compare, &segment);
	for (i = 0; i < lot->count; i++)
		run->at[i] = lot->items[i].at;
	run->count = (uint32_t)lot->count;
	return run;
}

/* ---- sets ---- */

static void
recent_set_clear(struct recent *r, struct recent_set *set)
{
	while (set->count > 0) {
		struct recent_run *run = set->runs[--set->count];

		r->bytes -= recent_run_bytes(run->count);
		recent_run_free(run);
	}
	set->fed = 0;
}

static void
recent_set_free(struct recent *r, struct recent_set *set)
{
	recent_set_clear(r, set);
	r->bytes -= sizeof(*set);
	HASH_DEL(r->sets, set);
	free(set);
}

/* Merge the two shortest runs.  A failure leaves them as they were. */
static int
recent_set_merge(struct recent *r, struct recent_set *set,
    const struct segment *s)
{
	struct recent_run *a = set->runs[set->count - 2];
	struct recent_run *b = set->runs[set->count - 1], *run;

	if ((run = recent_run_merge(s, a, b)) == NULL)
		return KV_ENOMEM;
	r->bytes -= sizeof(struct recent_run);
	recent_run_free(a);
	recent_run_free(b);
	set->runs[--set->count - 1] = run;
	return KV_OK;
}

/* Runs of like size become one; all of them when nothing will be added. */
static int
recent_set_tidy(struct recent *r, struct recent_set *set,
    const struct segment *s, bool whole)
{
	int rc = KV_OK;

	while (rc == KV_OK && set->count >= 2) {
		uint32_t longer = set->runs[set->count - 2]->count;
		uint32_t last = set->runs[set->count - 1]->count;

		if (!whole && longer / RECENT_RATIO > last)
			break;
		rc = recent_set_merge(r, set, s);
	}
	return rc;
}

static int
recent_set_add(struct recent *r, struct recent_set *set, struct recent_lot *lot)
{
	struct recent_run *run;

	if (lot->count == 0)
		return KV_OK;
	if ((run = recent_lot_run(lot)) == NULL)
		return KV_ENOMEM;
	assert(set->count < RECENT_RUNS);
	set->runs[set->count++] = run;
	r->bytes += recent_run_bytes(run->count);
	return KV_OK;
}

/* The set, made when missing, as the one used last. */
static int
recent_set_get(struct recent *r, const struct recent_key *key, uint64_t nonce,
    struct recent_set **out)
{
	struct recent_set *set;

	HASH_FIND(hh, r->sets, key, sizeof(*key), set);
	if (set != NULL) {
		HASH_DEL(r->sets, set);
	} else {
		if ((set = calloc(1, sizeof(*set))) == NULL)
			return KV_ENOMEM;
		set->key = *key;
		r->bytes += sizeof(*set);
	}
	HASH_ADD(hh, r->sets, key, sizeof(set->key), set);
	if (set->nonce != nonce)
		recent_set_clear(r, set);
	set->nonce = nonce;
	*out = set;
	return KV_OK;
}

int
recent_new(struct recent **out)
{
	*out = calloc(1, sizeof(**out));
	return *out == NULL ? KV_ENOMEM : KV_OK;
}

struct walk_marks *
recent_marks(struct recent *r, size_t slot)
{
	return &r->marks[slot];
}

static void
recent_free_sets(struct recent *r, uint64_t before)
{
	struct recent_set *set, *next;

	HASH_ITER(hh, r->sets, set, next) {
		if (set->key.number < before)
			recent_set_free(r, set);
	}
}

void
recent_free(struct recent *r)
{
	if (r == NULL)
		return;
	recent_free_sets(r, UINT64_MAX);
	free(r);
}

/* Sets of segments that left the view go, then the ones used least. */
static void
recent_trim(struct recent *r, uint64_t lo)
{
	if (r->lo != lo)
		recent_free_sets(r, lo);
	r->lo = lo;
	while (r->sets != NULL && r->bytes > RECENT_MEMORY_MAX)
		recent_set_free(r, r->sets);
}

/* ---- feeding ---- */

/* Back along the bucket's chain to what is known. */
static int
recent_collect_keys(const struct recent_set *set, struct recent_lot *lot,
    uint64_t newest)
{
	uint64_t at = newest, before;
	int rc;

	while (at > set->fed) {
		const struct wal_record *w = segment_record(lot->segment, at);

		if (wal_class(w->type) == WAL_KEY &&
		    (rc = recent_lot_add(lot, w, at)) < 0)
			return rc;
		before = (uint64_t)w->bucket_prev << 3;
		if (before >= at)
			return KV_ECORRUPT;
		at = before;
	}
	return KV_OK;
}

/* Bucket rows have no chain: over all records, as far as there are rows. */
static int
recent_collect_rows(const struct engine *e, struct recent_set *set,
    struct recent_lot *lot, uint64_t *fed)
{
	uint64_t change = atomic_load_explicit(&e->control->bucket_change,
	    memory_order_acquire);
	const struct wal_record *w;
	struct walk walk;
	int rc;

	walk_begin(e, set->key.number, &walk);
	if (set->fed > walk.at)
		walk.at = set->fed;
	while (walk.start + walk.at < change &&
	    (rc = walk_next(&walk, &w)) != KV_ENOTFOUND) {
		if (rc == KV_OK && w->type == RECORD_BUCKET)
			rc = recent_lot_add(lot, w, walk.at - w->len);
		if (rc < 0)
			return rc;
	}
	*fed = walk.at;
	return KV_OK;
}

/* Bring the set up to date.  It is as it was when this fails, but for merges
 * that were done: a run that could not be merged is only slower. */
static int
recent_feed(struct engine *e, struct recent_set *set, const struct segment *s,
    uint64_t newest)
{
	struct recent_lot lot = { .segment = s };
	uint64_t fed = newest;
	int rc;

	/* Room first: a merge that failed before may have left none. */
	rc = recent_set_tidy(e->recent, set, s, false);
	if (rc == KV_OK)
		rc = set->key.class == WAL_KEY
		    ? recent_collect_keys(set, &lot, newest)
		    : recent_collect_rows(e, set, &lot, &fed);
	if (rc == KV_OK)
		rc = recent_set_add(e->recent, set, &lot);
	if (rc == KV_OK) {
		set->fed = fed;
		rc = recent_set_tidy(e->recent, set, s,
		    set->key.number < e->view_hi);
	}
	free(lot.items);
	return rc;
}

/* The runs of one segment, appended to out. */
static int
recent_from_segment(struct engine *e, const struct recent_key *key,
    struct recent_source *out, size_t *count)
{
	const struct segment *s = engine_segment(e, key->number);
	uint64_t newest = 0;
	struct recent_set *set;
	size_t i;
	int rc;

	assert(segment_header(s)->number == key->number);
	if (key->class == WAL_KEY) {
		newest = index_find_chain(s,
		    index_hash_chain(e->control->hash_secret, key->bid),
		    key->bid);
		if (newest == 0)
			return KV_OK;
	}
	rc = recent_set_get(e->recent, key, segment_header(s)->nonce, &set);
	if (rc < 0)
		return rc;
	if ((rc = recent_feed(e, set, s, newest)) < 0)
		return rc;
	for (i = 0; i < set->count; i++) {
		set->runs[i]->refs++;
		out[(*count)++] = (struct recent_source){ set->runs[i], s };
	}
	return KV_OK;
}

int
recent_sources(struct engine *e, enum wal_class class, uint64_t bid,
    struct recent_source **out, size_t *count)
{
	size_t most = (e->view_hi - e->view_lo + 1) * RECENT_RUNS;
	struct recent_key key = { e->view_lo, bid, class };
	struct recent_source *sources;
	int rc = KV_OK;

	*count = 0;
	recent_trim(e->recent, e->view_lo);
	if ((sources = malloc(most * sizeof(*sources))) == NULL)
		return KV_ENOMEM;
	for (; key.number <= e->view_hi && rc == KV_OK; key.number++)
		rc = recent_from_segment(e, &key, sources, count);
	if (rc < 0) {
		while (*count > 0)
			recent_run_free(sources[--*count].run);
		free(sources);
		return rc;
	}
	*out = sources;
	return KV_OK;
}
