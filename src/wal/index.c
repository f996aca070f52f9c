/* SPDX-License-Identifier: ISC */
/* The hash index of a segment. */

#include "wal/index.h"

#include <string.h>

#include "base/hash.h"

uint64_t
index_hash_key(uint64_t secret, enum wal_class class, uint64_t bid,
    struct kv_slice key)
{
	return hash_bytes(key.data, key.len,
	    secret ^ (bid + (uint64_t) class * 0x9e3779b97f4a7c15u));
}

uint64_t
index_hash_chain(uint64_t secret, uint64_t bid)
{
	return hash_u64(bid ^ secret);
}

uint64_t
index_hash_row(uint64_t secret, uint64_t bid)
{
	return hash_u64(~bid ^ secret);
}

static uint64_t
index_tag(uint64_t hash, bool chain)
{
	uint64_t tag = hash >> INDEX_TAG_SHIFT << INDEX_TAG_SHIFT;

	return chain ? tag | INDEX_CHAIN : tag;
}

static uint32_t
index_offset(uint64_t entry)
{
	return (uint32_t)((entry & INDEX_OFFSET_MASK) << 3);
}

static bool
index_is_key(const struct wal_record *w, enum wal_class class, uint64_t bid,
    struct kv_slice key)
{
	struct kv_slice other;

	if (w->key_len != key.len || w->bid != bid ||
	    wal_class(w->type) != class)
		return false;
	other = wal_record_key(w);
	return memcmp(other.data, key.data, key.len) == 0;
}

uint32_t
index_find(const struct segment *s, uint64_t hash, enum wal_class class,
    uint64_t bid, struct kv_slice key)
{
	uint64_t at = hash & s->index_mask, tag = index_tag(hash, false);

	for (;; at = (at + 1) & s->index_mask) {
		uint64_t entry = atomic_load_explicit(&s->index[at],
		    memory_order_acquire); /* pairs with index_store */

		if (entry == 0)
			return 0;
		if ((entry & ~INDEX_OFFSET_MASK) != tag)
			continue;
		if (index_is_key(segment_record(s, index_offset(entry)), class,
			bid, key))
			return index_offset(entry);
	}
}

/* Where the bucket's entry is, or the empty one where it would be. */
static uint64_t
index_seek_bucket(const struct segment *s, uint64_t hash, uint64_t bid,
    bool row, uint64_t *entry)
{
	uint64_t at = hash & s->index_mask, tag = index_tag(hash, true);

	for (;; at = (at + 1) & s->index_mask) {
		const struct wal_record *w;

		*entry = atomic_load_explicit(&s->index[at],
		    memory_order_acquire); /* pairs with index_store */
		if (*entry == 0)
			return at;
		if ((*entry & ~INDEX_OFFSET_MASK) != tag)
			continue;
		w = segment_record(s, index_offset(*entry));
		if (w->bid == bid && (!row || w->type == RECORD_BUCKET))
			return at;
	}
}

uint32_t
index_find_chain(const struct segment *s, uint64_t hash, uint64_t bid)
{
	uint64_t entry;

	index_seek_bucket(s, hash, bid, false, &entry);
	return index_offset(entry);
}

uint32_t
index_find_row(const struct segment *s, uint64_t hash, uint64_t bid)
{
	uint64_t entry;

	index_seek_bucket(s, hash, bid, true, &entry);
	return index_offset(entry);
}

/* Take the entry at `at` for offset, unless it leads further already. */
static bool
index_store(const struct segment *s, uint64_t at, uint64_t tag, uint64_t old,
    uint32_t offset)
{
	if (old == 0 || index_offset(old) < offset)
		atomic_store_explicit(&s->index[at], tag | (offset >> 3),
		    memory_order_release);
	return old == 0;
}

bool
index_put(const struct segment *s, uint64_t hash, uint32_t offset)
{
	const struct wal_record *w = segment_record(s, offset);
	uint64_t at = hash & s->index_mask, tag = index_tag(hash, false);
	uint64_t entry;

	for (;; at = (at + 1) & s->index_mask) {
		entry = atomic_load_explicit(&s->index[at],
		    memory_order_relaxed); /* we hold the append mutex */
		if (entry == 0)
			break;
		if ((entry & ~INDEX_OFFSET_MASK) == tag &&
		    index_is_key(segment_record(s, index_offset(entry)),
			wal_class(w->type), w->bid, wal_record_key(w)))
			break;
	}
	return index_store(s, at, tag, entry, offset);
}

static bool
index_put_bucket(const struct segment *s, uint64_t hash, uint32_t offset,
    bool row)
{
	uint64_t at, entry;

	at = index_seek_bucket(s, hash, segment_record(s, offset)->bid, row,
	    &entry);
	return index_store(s, at, index_tag(hash, true), entry, offset);
}

bool
index_put_chain(const struct segment *s, uint64_t hash, uint32_t offset)
{
	return index_put_bucket(s, hash, offset, false);
}

bool
index_put_row(const struct segment *s, uint64_t hash, uint32_t offset)
{
	return index_put_bucket(s, hash, offset, true);
}

uint64_t
index_count(const struct segment *s)
{
	uint64_t at, n = 0;

	for (at = 0; at <= s->index_mask; at++)
		n += atomic_load_explicit(&s->index[at],
			 memory_order_relaxed) != 0;
	return n;
}
