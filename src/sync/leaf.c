/* SPDX-License-Identifier: ISC */
/* Leaves of digests: which key is in which, and their sums. */

#include "sync/leaf.h"

#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "sync/mutate.h"

/* ---- masks ---- */

static uint64_t
leaf_hash(uint64_t bid, struct kv_slice key)
{
	return hash_bytes(key.data, key.len, bid);
}

static bool
has_bit(const uint8_t bits[LEAF_MASK], unsigned i)
{
	return bits[i / 8] >> i % 8 & 1;
}

void
leaf_mask_all(struct leaf_mask *m)
{
	memset(m, 0xff, sizeof(*m));
}

bool
leaf_mask_has(const struct leaf_mask *m, uint64_t bid, struct kv_slice key)
{
	uint64_t h = leaf_hash(bid, key);

	return has_bit(m->bits[0], h & 0xff) &&
	    has_bit(m->bits[1], h >> 8 & 0xff);
}

unsigned
leaf_differ(const struct leaf_sums *a, const struct leaf_sums *b,
    uint8_t bits[LEAF_MASK])
{
	unsigned i, n = 0;

	memset(bits, 0, LEAF_MASK);
	for (i = 0; i < LEAF_COUNT; i++) {
		if ((a->sum[i][0] == b->sum[i][0] &&
			a->sum[i][1] == b->sum[i][1]) ||
		    (MUTATED(LEAF_LEFT_OUT) && i % 2 == 1))
			continue;
		bits[i / 8] |= (uint8_t)(1u << i % 8);
		n++;
	}
	return n;
}

/* ---- sums ---- */

void
leaf_sums_put(char to[LEAF_SUMS], const struct leaf_sums *s)
{
	unsigned i;

	for (i = 0; i < LEAF_COUNT; i++) {
		bytes_put_be64(to + 16 * i, s->sum[i][0]);
		bytes_put_be64(to + 16 * i + 8, s->sum[i][1]);
	}
}

void
leaf_sums_get(const char from[LEAF_SUMS], struct leaf_sums *s)
{
	unsigned i;

	for (i = 0; i < LEAF_COUNT; i++) {
		s->sum[i][0] = bytes_get_be64(from + 16 * i);
		s->sum[i][1] = bytes_get_be64(from + 16 * i + 8);
	}
}

static void
add(struct leaf_scan *s, const struct record *r)
{
	uint64_t h = leaf_hash(r->bid, r->key), x;
	unsigned leaf = (s->level == 1 ? h : h >> 8) & 0xff;

	if (r->type != RECORD_PUT || r->flags & RECORD_DEADLINE ||
	    s->bucket.bid != r->bid || !bucket_is_live(&s->bucket) ||
	    !bucket_shows(&s->bucket, r->stamp) ||
	    !leaf_mask_has(&s->mask, r->bid, r->key))
		return;
	x = hash_u64(hash_u64(h ^ r->stamp.tick) ^ r->stamp.inc);
	s->sums.sum[leaf][0] += x;
	s->sums.sum[leaf][1] += hash_u64(x ^ h);
}

/* ---- walking ---- */

void
leaf_scan_begin(struct leaf_scan *s, uint8_t level,
    const struct leaf_mask *mask)
{
	leaf_scan_end(s);
	s->is_open = true;
	s->level = level;
	s->mask = *mask;
}

void
leaf_scan_end(struct leaf_scan *s)
{
	place_fini(&s->at);
	memset(s, 0, sizeof(*s));
}

/* A row has the place of its bucket's empty key: that record is not handed out
 * behind it. */
static int
take_item(struct leaf_scan *s, struct sync_store store,
    const struct sync_item *item)
{
	struct kv_slice none = { "", 0 };
	struct record empty;
	int rc = KV_ENOTFOUND;

	if (item->record.type == RECORD_BUCKET) {
		s->bucket = item->bucket;
		s->bucket.bid = item->record.bid;
		rc = store.ops->get(store.self, item->record.bid, none, &empty);
		if (rc == KV_OK)
			empty.bid = item->record.bid;
	}
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	add(s, rc == KV_OK ? &empty : &item->record);
	s->is_after = true;
	return place_set(&s->at, item->record.bid, place_key(item));
}

int
leaf_scan_step(struct leaf_scan *s, struct sync_store store, unsigned records)
{
	struct sync_item item;
	int rc = KV_OK;

	if (!s->is_settled)
		s->is_settled = store.ops->settle(store.self, &s->settle);
	if (!s->is_settled)
		return KV_EAGAIN;
	while (rc == KV_OK && records-- > 0) {
		rc = store.ops->range(store.self, s->at.bid,
		    buf_slice(&s->at.key), s->is_after, &item);
		if (rc == KV_OK)
			rc = take_item(s, store, &item);
	}
	return rc == KV_OK ? KV_EAGAIN : rc == KV_ENOTFOUND ? KV_OK : rc;
}
