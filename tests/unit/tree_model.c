/* SPDX-License-Identifier: ISC */
/* The naive model of the tree, and folders to test in. */

#include "tree_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/rng.h"

#define START ((uint64_t)1700000000000u << 16)
#define VALUE_MAX 9000
#define BYTES_MAX (MODEL_RECORDS * (VALUE_MAX + 600))

/* ---- names and values -------------------------------------------------- */

uint64_t
tree_model_random(struct model *m, uint64_t below)
{
	return rng_next(&m->random) % below;
}

uint64_t
model_bid(unsigned bucket)
{
	return hash_u64(bucket + 1);
}

static struct kv_slice
keep(struct buf *bytes, const void *data, size_t n)
{
	size_t at = bytes->len;

	assert_true(bytes->cap - bytes->len >= n); /* must not move */
	assert_int_equal(buf_append(bytes, data, n), KV_OK);
	return (struct kv_slice){ bytes->data + at, n };
}

static struct kv_slice
bucket_name(unsigned bucket, struct buf *bytes)
{
	char name[32];

	return keep(bytes, name,
	    (size_t)snprintf(name, sizeof(name), "bucket-%u", bucket));
}

/* Some of the longest length, some with a NUL, some that begin others. */
static struct kv_slice
key_name(unsigned key, struct buf *bytes)
{
	char name[KV_KEY_MAX];
	size_t n;

	memset(name, 'x', sizeof(name));
	n = (size_t)snprintf(name, sizeof(name), "%02u", key / 2);
	name[n] = key % 5 == 0 ? '\0' : 'x';
	if (key % 2 == 1)
		n = key % 7 == 0 ? sizeof(name) : n + 1 + key;
	return keep(bytes, name, n);
}

static struct kv_slice
make_value(uint64_t seq, struct buf *bytes)
{
	uint64_t h = hash_u64(seq);
	char value[VALUE_MAX];
	size_t n = h % 8 == 0 ? h / 8 % VALUE_MAX : h / 8 % 200;

	memset(value, (int)(h % 251), sizeof(value));
	return keep(bytes, value, n);
}

/* The row's record with its slices. */
static struct record
whole(const struct model *m, const struct model_row *row, unsigned bucket,
    unsigned key, struct buf *bytes)
{
	char body[SCHEMA_BUCKET_ROW];
	struct record r = row->r;

	if (r.type == RECORD_BUCKET) {
		schema_put_bucket(body, &m->bodies[bucket]);
		r.key = bucket_name(bucket, bytes);
		r.value = keep(bytes, body, sizeof(body));
		return r;
	}
	r.key = key_name(key, bytes);
	if (r.type == RECORD_PUT)
		r.value = make_value(r.seq, bytes);
	return r;
}

/* ---- writes ------------------------------------------------------------ */

void
model_init(struct model *m, uint64_t seed)
{
	unsigned i;

	memset(m, 0, sizeof(*m));
	m->random = seed;
	m->seq = START;
	for (i = 0; i < MODEL_BUCKETS; i++)
		model_create(m, i);
}

static struct stamp
next_seq(struct model *m)
{
	m->seq += 1 + tree_model_random(m, 1u << 18);
	return (struct stamp){ m->seq, MODEL_INC };
}

static void
write_row(struct model *m, unsigned bucket, unsigned key, enum record_type type,
    uint64_t deadline)
{
	struct model_row *row = &m->rows[bucket][key];
	struct stamp stamp = next_seq(m);
	unsigned flags = deadline ? RECORD_DEADLINE : 0;

	if (bucket == MODEL_BUCKETS - 1) {
		flags |= RECORD_LOCAL;
	} else if (tree_model_random(m, 4) == 0) {
		flags |= RECORD_FOREIGN | RECORD_RELAY;
		stamp.inc = OTHER_INC;
	}
	row->there = true;
	row->touched = true;
	row->r = (struct record){ .type = type, .flags = (uint8_t)flags };
	row->r.seq = m->seq;
	row->r.stamp = stamp;
	row->r.bid = model_bid(bucket);
	row->r.deadline = deadline;
}

void
model_put(struct model *m, unsigned bucket, unsigned key, uint64_t deadline)
{
	write_row(m, bucket, key, RECORD_PUT, deadline);
}

void
model_delete(struct model *m, unsigned bucket, unsigned key)
{
	write_row(m, bucket, key, RECORD_TOMB, 0);
}

static void
write_bucket(struct model *m, unsigned bucket)
{
	struct model_row *row = &m->buckets[bucket];
	struct bucket *b = &m->bodies[bucket];

	b->bid = model_bid(bucket);
	b->options = bucket == MODEL_BUCKETS - 1 ? BUCKET_LOCAL : BUCKET_STAYS;
	b->seq = m->seq;
	row->there = true;
	row->touched = true;
	row->r = (struct record){ .type = RECORD_BUCKET };
	row->r.flags = b->options & BUCKET_LOCAL ? RECORD_LOCAL : 0;
	row->r.seq = m->seq;
	row->r.stamp = bucket_is_live(b) ? b->created : b->dropped;
	row->r.bid = b->bid;
}

void
model_create(struct model *m, unsigned bucket)
{
	m->bodies[bucket].created = next_seq(m);
	write_bucket(m, bucket);
}

void
model_drop(struct model *m, unsigned bucket)
{
	m->bodies[bucket].dropped = next_seq(m);
	m->purging[bucket] = true;
	write_bucket(m, bucket);
}

static void
write_one(struct model *m)
{
	unsigned bucket = (unsigned)tree_model_random(m, MODEL_BUCKETS);
	unsigned key = (unsigned)tree_model_random(m, MODEL_KEYS);
	uint64_t what = tree_model_random(m, 100);
	uint64_t deadline = (m->seq >> 16) + tree_model_random(m, 1000);

	if (what < 50)
		model_put(m, bucket, key, 0);
	else if (what < 70)
		model_put(m, bucket, key, deadline);
	else if (what < 90)
		model_delete(m, bucket, key);
	else if (what < 95)
		write_row(m, bucket, key, RECORD_TOMB, deadline);
	else if (what < 98)
		model_create(m, bucket);
	else
		model_drop(m, bucket);
}

void
model_write(struct model *m, unsigned n)
{
	while (n-- > 0)
		write_one(m);
}

/* ---- batches ----------------------------------------------------------- */

static void
swap_records(struct record *a, struct record *b)
{
	struct record swap = *a;

	*a = *b;
	*b = swap;
}

static struct totals
count_totals(struct model *m, unsigned bucket, struct buf *bytes)
{
	struct totals sum = { 0 };
	size_t mark = bytes->len;
	unsigned key;

	for (key = 0; key < MODEL_KEYS; key++) {
		const struct model_row *row = &m->rows[bucket][key];
		struct record r;

		if (!row->there || row->r.type != RECORD_PUT ||
		    !bucket_shows(&m->bodies[bucket], row->r.stamp))
			continue;
		r = whole(m, row, bucket, key, bytes);
		sum.keys++;
		sum.bytes += r.key.len + r.value.len;
		if (r.deadline == 0)
			model_digest(&r, sum.digest);
		bytes->len = mark;
	}
	return sum;
}

void
model_take(struct model *m, struct batch *b)
{
	unsigned bucket, key;
	size_t i;

	b->count = 0;
	buf_init(&b->bytes);
	assert_int_equal(buf_reserve(&b->bytes, BYTES_MAX), KV_OK);
	for (bucket = 0; bucket < MODEL_BUCKETS; bucket++) {
		struct model_row *row = &m->buckets[bucket];

		if (row->touched)
			b->records[b->count++] =
			    whole(m, row, bucket, 0, &b->bytes);
		row->touched = false;
		for (key = 0; key < MODEL_KEYS; key++) {
			row = &m->rows[bucket][key];
			if (row->touched)
				b->records[b->count++] =
				    whole(m, row, bucket, key, &b->bytes);
			row->touched = false;
		}
		b->totals[bucket] = (struct bucket_totals){ model_bid(bucket),
			count_totals(m, bucket, &b->bytes) };
	}
	for (i = b->count; i > 1; i--)
		swap_records(&b->records[i - 1],
		    &b->records[tree_model_random(m, i)]);
	b->to.checkpointed = ++m->checkpointed;
	b->to.seq = m->seq;
}

void
batch_fini(struct batch *b)
{
	buf_fini(&b->bytes);
}

int
batch_apply(struct tree *t, struct batch *b, size_t chunk,
    void (*pause)(void *user), void *user)
{
	struct apply a = {
		.records = b->records,
		.count = b->count,
		.totals = b->totals,
		.totals_count = MODEL_BUCKETS,
		.to = b->to,
		.chunk = chunk,
		.pause = pause,
		.user = user,
	};

	return apply_checkpoint(t, &a);
}

void
model_apply(struct tree *t, struct model *m, size_t chunk)
{
	struct batch b;

	model_take(m, &b);
	assert_int_equal(batch_apply(t, &b, chunk, NULL, NULL), KV_OK);
	batch_fini(&b);
}

/* ---- purging ----------------------------------------------------------- */

void
model_tell_runs(struct tree *t)
{
	char inc[8], lineage[16];

	bytes_put_be64(inc, MODEL_INC);
	bytes_put_be64(lineage, OTHER_INC);
	bytes_put_be64(lineage + 8, UINT64_MAX);
	assert_int_equal(apply_meta(t, "inc", (struct kv_slice){ inc, 8 }),
	    KV_OK);
	assert_int_equal(apply_meta(t, "lineage",
			     (struct kv_slice){ lineage, 16 }),
	    KV_OK);
}

void
model_purge_tombs(struct model *m, uint64_t before_ms)
{
	unsigned bucket, key;

	for (bucket = 0; bucket < MODEL_BUCKETS; bucket++) {
		for (key = 0; key < MODEL_KEYS; key++) {
			struct model_row *row = &m->rows[bucket][key];

			if (row->there && row->r.type == RECORD_TOMB &&
			    stamp_ms(row->r.stamp) < before_ms &&
			    row->r.deadline < before_ms)
				row->there = false;
		}
	}
}

void
model_purge_dropped(struct model *m)
{
	unsigned bucket, key;

	for (bucket = 0; bucket < MODEL_BUCKETS; bucket++) {
		if (!m->purging[bucket])
			continue;
		for (key = 0; key < MODEL_KEYS; key++) {
			struct model_row *row = &m->rows[bucket][key];

			if (!bucket_shows(&m->bodies[bucket], row->r.stamp))
				row->there = false;
		}
		m->purging[bucket] = false;
	}
}

/* ---- everything -------------------------------------------------------- */

size_t
model_all(struct model *m, struct record all[MODEL_RECORDS],
    struct totals sums[MODEL_BUCKETS], struct buf *bytes)
{
	unsigned bucket, key;
	size_t n = 0;

	assert_int_equal(buf_reserve(bytes, BYTES_MAX), KV_OK);
	for (bucket = 0; bucket < MODEL_BUCKETS; bucket++) {
		for (key = 0; key < MODEL_KEYS; key++) {
			if (m->rows[bucket][key].there)
				all[n++] = whole(m, &m->rows[bucket][key],
				    bucket, key, bytes);
		}
		sums[bucket] = count_totals(m, bucket, bytes);
		all[n++] = whole(m, &m->buckets[bucket], bucket, 0, bytes);
	}
	return n;
}

void
model_digest(const struct record *r, uint64_t sum[2])
{
	uint64_t h = hash_bytes(r->key.data, r->key.len, r->bid);

	h = hash_u64(h ^ hash_u64(r->stamp.tick) ^ r->stamp.inc);
	sum[0] += h;
	sum[1] += hash_u64(h);
}
