/* SPDX-License-Identifier: ISC */
#ifndef KV_WAL_INDEX_H
#define KV_WAL_INDEX_H

/* The index of a segment: open addressing with linear probing, 8 bytes an
 * entry, written by the holder of the append mutex, read without locks.
 *
 *     tag 37 | chain 1 | offset / 8 26          0: empty, ends a probe
 *
 * An entry leads to the newest record of its key in the segment; chain marks
 * the entry of a bucket: one leads to that bucket's newest record, one to its
 * newest row.  Older ones follow through bucket_prev and prev.  Entries are only ever added or
 * moved on to a newer record, with a release store that pairs with the acquire
 * load of the reader; the record's bytes are published before. */

#include <stdbool.h>

#include "base/fetch.h"
#include "wal/segment.h"

#define INDEX_OFFSET_BITS 26
#define INDEX_OFFSET_MASK ((1ull << INDEX_OFFSET_BITS) - 1)
#define INDEX_CHAIN (1ull << INDEX_OFFSET_BITS)
#define INDEX_TAG_SHIFT (INDEX_OFFSET_BITS + 1)
static_assert((SEGMENT_MAX >> 3) <= (1ull << INDEX_OFFSET_BITS), "offsets fit");

/* Hash of a key or of a bucket's chain; secret is the store's. */
uint64_t index_hash_key(uint64_t secret, enum wal_class class, uint64_t bid,
    struct kv_slice key);
uint64_t index_hash_chain(uint64_t secret, uint64_t bid);
uint64_t index_hash_row(uint64_t secret, uint64_t bid);

static inline void
index_prefetch(const struct segment *s, uint64_t hash)
{
	uintptr_t at = (uintptr_t)s->index + ((hash & s->index_mask) << 3);

	fetch((const void *)at);
}

/* The same for the record that the hash most likely leads to; false: none. */
static inline bool
index_prefetch_record(const struct segment *s, uint64_t hash)
{
	uint64_t entry = atomic_load_explicit(&s->index[hash & s->index_mask],
	    memory_order_relaxed);
	const char *record;

	if (entry >> INDEX_TAG_SHIFT != hash >> INDEX_TAG_SHIFT)
		return false;
	record = s->base + ((entry & INDEX_OFFSET_MASK) << 3);
	fetch(record);
	fetch(record + sizeof(struct wal_record)); /* its key */
	return true;
}

/* Offset of the newest record of the key (of the bucket) in the segment, 0
 * when there is none. */
uint32_t index_find(const struct segment *s, uint64_t hash,
    enum wal_class class, uint64_t bid, struct kv_slice key);
uint32_t index_find_chain(const struct segment *s, uint64_t hash, uint64_t bid);
/* The newest row of the bucket, by id. */
uint32_t index_find_row(const struct segment *s, uint64_t hash, uint64_t bid);

/* Enter the record at offset as the newest of its key (of its bucket).
 * Returns true when an empty entry was taken.  Entering one twice, or one
 * that is older than what is there, changes nothing. */
bool index_put(const struct segment *s, uint64_t hash, uint32_t offset);
bool index_put_chain(const struct segment *s, uint64_t hash, uint32_t offset);
bool index_put_row(const struct segment *s, uint64_t hash, uint32_t offset);

/* Entries in use; counts them all. */
uint64_t index_count(const struct segment *s);

#endif
