/* SPDX-License-Identifier: ISC */
/* The naive store: comparing it with the real one. */

#include "engine_state.h"

#include <stdlib.h>

#include "base/hash.h"
#include "engine/internal.h"
#include "engine/scan.h"

static const struct model *
state_newest(const struct model_shared *m)
{
	return &m->steps[m->newest % MODEL_STEPS];
}

static bool
state_is_visible(const struct model_key *k, uint64_t now_ms)
{
	return k->present && (k->deadline == 0 || k->deadline > now_ms);
}

static bool
state_is_value(const struct model_key *k, const struct record *r)
{
	struct buf value = { NULL, 0, 0 };
	bool same;

	state_value(k, &value);
	same = slice_equal(buf_slice(&value), r->value) &&
	    r->deadline == k->deadline;
	buf_fini(&value);
	return same;
}

/* ---- lookups ---- */

/* Is that record what the model has?  One past its deadline may have become a
 * tombstone, which says so: states that look alike are told apart. */
static bool
state_matches_key(const struct model_key *want, const struct bucket *bucket,
    const struct record *r, uint64_t now_ms)
{
	if (r == NULL || !bucket_shows(bucket, r->stamp))
		return !want->present;
	if (r->type == RECORD_PUT)
		return want->present && state_is_value(want, r);
	return want->present ==
	    ((r->flags & RECORD_EXPIRED) && !state_is_visible(want, now_ms));
}

static bool
state_matches_bucket(const struct model_bucket *want, struct engine *e,
    unsigned b)
{
	const struct bucket *bucket;
	char text[KV_KEY_MAX];
	struct record r;
	unsigned k;
	int rc;

	rc = model_bucket(e, b, &bucket);
	EXPECT(rc == KV_OK || rc == KV_ENOTFOUND);
	if ((rc == KV_OK) != want->live)
		return false;
	for (k = 0; want->live && k < MODEL_KEYS; k++) {
		const struct model_key *key = &want->keys[k];

		rc = engine_get_raw(e, bucket->bid, state_key(k, text), &r);
		EXPECT(rc == KV_OK || rc == KV_ENOTFOUND);
		if (!state_matches_key(key, bucket, rc == KV_OK ? &r : NULL,
			engine_now_ms(e)))
			return false;
		rc = engine_get(e, bucket, state_key(k, text), &r);
		if ((rc == KV_OK) != state_is_visible(key, engine_now_ms(e)))
			return false;
	}
	return true;
}

static bool
state_matches(const struct model *want, struct engine *e)
{
	unsigned b;

	for (b = 0; b < MODEL_BUCKETS; b++)
		if (!state_matches_bucket(&want->buckets[b], e, b))
			return false;
	return true;
}

void
model_find(struct model_shared *m, struct engine *e, bool power_cut)
{
	unsigned first = power_cut ? m->durable : m->newest;
	unsigned n = m->attempt > m->newest ? m->attempt : m->newest;

	EXPECT(engine_refresh(e) == KV_OK);
	while (!state_matches(&m->steps[n % MODEL_STEPS], e)) {
		EXPECT(n > first);
		n--;
	}
	engine_release(e);
	m->newest = m->attempt = n;
	if (m->durable > n)
		m->durable = n;
}

/* ---- sums ---- */

static void
check_totals(struct engine *e, const struct bucket *b,
    const struct model_bucket *want)
{
	struct totals sum = { 0 }, said;
	char text[KV_KEY_MAX];
	struct record r;
	unsigned k;

	for (k = 0; k < MODEL_KEYS; k++) {
		uint64_t digest[2];
		bool counts;
		int rc;

		rc = engine_get_raw(e, b->bid, state_key(k, text), &r);
		counts = rc == KV_OK && r.type == RECORD_PUT &&
		    bucket_shows(b, r.stamp);
		/* One past its deadline may be a tombstone already. */
		EXPECT(counts == want->keys[k].present ||
		    (!counts && !state_is_visible(&want->keys[k], e->now_ms)));
		if (!counts)
			continue;
		sum.keys++;
		sum.bytes += r.key.len + r.value.len;
		if (r.deadline != 0)
			continue;
		bucket_digest(b->bid, r.key, r.stamp, digest);
		sum.digest[0] += digest[0];
		sum.digest[1] += digest[1];
	}
	EXPECT(engine_totals(e, b, &said) == KV_OK);
	EXPECT(said.keys == sum.keys);
	EXPECT(said.bytes == sum.bytes);
	EXPECT(said.digest[0] == sum.digest[0]);
	EXPECT(said.digest[1] == sum.digest[1]);
}

/* ---- scans ---- */

struct sorted {
	struct entry {
		char text[KV_KEY_MAX];
		struct kv_slice name;
		const struct model_key *key;
	} entries[MODEL_KEYS];
	size_t count;
};

static int
entry_compare(const void *a, const void *b)
{
	const struct entry *left = a, *right = b;

	/* Sorting moves the texts: name.data does not hold before its end. */
	return slice_compare((struct kv_slice){ left->text, left->name.len },
	    (struct kv_slice){ right->text, right->name.len });
}

static void
sort_visible(const struct model_bucket *want, uint64_t now_ms,
    struct sorted *out)
{
	unsigned k;
	size_t i;

	out->count = 0;
	for (k = 0; k < MODEL_KEYS; k++) {
		struct entry *entry = &out->entries[out->count];

		if (!state_is_visible(&want->keys[k], now_ms))
			continue;
		entry->name = state_key(k, entry->text);
		entry->key = &want->keys[k];
		out->count++;
	}
	qsort(out->entries, out->count, sizeof(out->entries[0]), entry_compare);
	for (i = 0; i < out->count; i++)
		out->entries[i].name.data = out->entries[i].text;
}

static void
expect_from(struct scan *s, const struct sorted *want, size_t at, size_t most)
{
	struct record r;

	for (; at < want->count && most > 0; at++, most--) {
		EXPECT(scan_next(s, &r) == KV_OK);
		EXPECT(slice_equal(r.key, want->entries[at].name));
		EXPECT(state_is_value(want->entries[at].key, &r));
	}
	if (at == want->count) {
		EXPECT(scan_next(s, &r) == KV_ENOTFOUND);
		EXPECT(scan_next(s, &r) == KV_ENOTFOUND);
	}
}

static void
check_scan(struct model_shared *m, struct engine *e, const struct bucket *b,
    const struct model_bucket *want)
{
	static struct sorted sorted;
	char text[KV_KEY_MAX];
	struct scan *s;
	unsigned i;

	sort_visible(want, e->now_ms, &sorted);
	EXPECT(scan_open(e, b, &s) == KV_OK);
	expect_from(s, &sorted, 0, SIZE_MAX);
	for (i = 0; i < 5; i++) {
		struct kv_slice key =
		    state_key(model_random(m, MODEL_KEYS), text);
		size_t at = 0;

		if (model_random(m, 3) == 0 && key.len > 1)
			key.len--;
		while (at < sorted.count &&
		    slice_compare(sorted.entries[at].name, key) < 0)
			at++;
		EXPECT(scan_seek(s, key) == KV_OK);
		expect_from(s, &sorted, at, 1 + model_random(m, 10));
	}
	scan_close(s);
}

static void
check_buckets(struct engine *e, const struct model *want)
{
	struct kv_slice before = { "", 0 };
	unsigned b, live = 0, seen = 0;
	struct record r;
	struct scan *s;
	int rc;

	EXPECT(scan_open_buckets(e, &s) == KV_OK);
	scan_also_shadowed(s);
	while ((rc = scan_next(s, &r)) == KV_OK) {
		EXPECT(slice_compare(before, r.key) <= 0);
		before = r.key;
		for (b = 0; b < MODEL_BUCKETS; b++)
			if (slice_equal(r.key, model_bucket_name(b)) &&
			    scope_of_id(r.bid) == model_bucket_scope(b))
				break;
		EXPECT(b < MODEL_BUCKETS && want->buckets[b].live);
		seen++;
	}
	EXPECT(rc == KV_ENOTFOUND);
	for (b = 0; b < MODEL_BUCKETS; b++)
		live += want->buckets[b].live;
	EXPECT(seen == live);
	scan_close(s);
}

void
model_check(struct model_shared *m, struct engine *e)
{
	const struct model *want = state_newest(m);
	const struct bucket *bucket;
	unsigned b;

	EXPECT(engine_refresh(e) == KV_OK);
	EXPECT(state_matches(want, e));
	for (b = 0; b < MODEL_BUCKETS; b++) {
		if (!want->buckets[b].live)
			continue;
		EXPECT(model_bucket(e, b, &bucket) == KV_OK);
		check_totals(e, bucket, &want->buckets[b]);
		check_scan(m, e, bucket, &want->buckets[b]);
	}
	check_buckets(e, want);
	engine_release(e);
}

/* ---- the follower ---- */

static void
replica_apply(struct model_shared *m, const struct record *r)
{
	char text[KV_KEY_MAX];
	struct bucket row;
	unsigned b = 0, k;

	/* The tree has no order of what is local: in part it comes. */
	if (scope_of_id(r->bid) == SCOPE_LOCAL)
		return;
	while (b < MODEL_BUCKETS &&
	    engine_bucket_id(model_bucket_name(b)) != r->bid)
		b++;
	EXPECT(b < MODEL_BUCKETS);
	if (r->type == RECORD_BUCKET)
		EXPECT(schema_get_bucket(r->value, &row) == KV_OK);
	for (k = 0; k < MODEL_KEYS; k++) {
		struct replica_key *key = &m->replica[b][k];

		if (r->type == RECORD_BUCKET) {
			if (!bucket_shows(&row, key->stamp))
				key->present = false;
		} else if (slice_equal(state_key(k, text), r->key)) {
			key->present = r->type == RECORD_PUT;
			key->stamp = r->stamp;
			key->hash = hash_bytes(r->value.data, r->value.len, 0);
		}
	}
}

static void
replica_compare(struct model_shared *m, struct engine *e, unsigned b)
{
	const struct bucket *bucket;
	char text[KV_KEY_MAX];
	struct record r;
	unsigned k;

	if (!state_newest(m)->buckets[b].live ||
	    model_bucket_scope(b) == SCOPE_LOCAL)
		return;
	EXPECT(model_bucket(e, b, &bucket) == KV_OK);
	for (k = 0; k < MODEL_KEYS; k++) {
		const struct replica_key *key = &m->replica[b][k];
		int rc;

		rc = engine_get_raw(e, bucket->bid, state_key(k, text), &r);
		EXPECT(key->present ==
		    (rc == KV_OK && r.type == RECORD_PUT &&
			bucket_shows(bucket, r.stamp)));
		EXPECT(!key->present ||
		    key->hash == hash_bytes(r.value.data, r.value.len, 0));
	}
}

void
model_follow(struct model_shared *m, struct engine *e)
{
	struct feed f;
	struct record r;
	unsigned b;
	int rc;

	EXPECT(engine_refresh(e) == KV_OK);
	EXPECT(feed_seek(e, &f, m->feed_seq) == KV_OK);
	while ((rc = feed_next(e, &f, &r)) == KV_OK) {
		EXPECT(r.seq > m->feed_seq);
		EXPECT(f.seq == r.seq);
		replica_apply(m, &r);
		m->feed_seq = r.seq; /* killed in between: once more */
	}
	EXPECT(rc == KV_EAGAIN);
	EXPECT(f.position >= e->view_end);
	for (b = 0; b < MODEL_BUCKETS; b++)
		replica_compare(m, e, b);
	feed_tail(e, &f);
	EXPECT(feed_next(e, &f, &r) == KV_EAGAIN);
	EXPECT(f.seq >= m->feed_seq);
	EXPECT(feed_seek(e, &f, f.seq) == KV_OK);
	EXPECT(feed_next(e, &f, &r) == KV_EAGAIN);
	engine_release(e);
}
