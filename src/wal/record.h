/* SPDX-License-Identifier: ISC */
#ifndef KV_WAL_RECORD_H
#define KV_WAL_RECORD_H

/* A record's bytes in the log, the same in memory and on disk, in the byte
 * order of the machine (the segment header says which).  Eight-byte aligned:
 *
 *     head 80 | [tick 8, inc 8] | [deadline 8] | [prev tick 8, inc 8] | key |
 *     value | zeros
 *
 * The stamp is left out when it is (seq, the segment's incarnation), which is
 * every record written on this host.
 *
 * check: XXH3 over the head behind it and the optional fields, seeded with the
 * segment's nonce and the record's own LSN, so that bytes of a recycled file,
 * or of another place, never pass.  It covers body, which is XXH3 over key
 * and value and is computed before the append lock is taken. */

#include <assert.h>

#include "base/record.h"

struct wal_record {
	uint32_t check;
	uint32_t body;
	uint32_t len; /* of everything, a multiple of 8 */
	uint16_t key_len;
	uint8_t type;
	uint8_t flags;
	uint64_t seq;
	uint64_t bid;
	uint32_t value_len;
	uint32_t prev; /* offset / 8 in the segment of the record before it */
	uint32_t bucket_prev; /* of the same key, of the same bucket; 0: none */
	uint8_t cause;	      /* of the writer's numbers, 0: unknown */
	uint8_t marks;	      /* of enum record_mark */
	uint16_t reserved;
	struct totals totals; /* of the bucket, after this record */
};

static_assert(sizeof(struct wal_record) == 80, "layout");
static_assert(offsetof(struct wal_record, seq) == 16, "layout");
static_assert(offsetof(struct wal_record, totals) == 48, "layout");

#define WAL_RECORD_MIN sizeof(struct wal_record)
#define WAL_STAMP_AT sizeof(struct wal_record)

/* Bytes that a record of these needs.  Key and value within limits. */
static inline size_t
wal_record_size(uint8_t flags, uint8_t marks, size_t key_len, size_t value_len)
{
	size_t n = sizeof(struct wal_record) + key_len + value_len;

	if (marks & RECORD_PREV)
		n += sizeof(struct stamp);
	if (flags & RECORD_FOREIGN)
		n += sizeof(struct stamp);
	if (flags & RECORD_DEADLINE)
		n += sizeof(uint64_t);
	return (n + 7) & ~(size_t)7;
}

/* Encode everything but check, seq, prev, bucket_prev and totals at `to`
 * (wal_record_size bytes, aligned).  RECORD_FOREIGN takes r->stamp. */
void wal_record_encode(void *to, const struct record *r);

/* Compute body again after the value was changed in place. */
void wal_record_seal_body(struct wal_record *w);

/* The check for these final bytes at this place. */
uint32_t wal_record_check(const struct wal_record *w, uint64_t nonce,
    uint64_t lsn);

/* Is this a whole, genuine record?  room: bytes from w to the end of what may
 * be read.  KV_ECORRUPT when not.  Trusts nothing. */
KV_CHECKED int wal_record_verify(const struct wal_record *w, size_t room,
    uint64_t nonce, uint64_t lsn);

static inline struct kv_slice
wal_record_key(const struct wal_record *w)
{
	const char *at = (const char *)w + sizeof(*w);

	if (w->flags & RECORD_FOREIGN)
		at += sizeof(struct stamp);
	if (w->flags & RECORD_DEADLINE)
		at += sizeof(uint64_t);
	if (w->marks & RECORD_PREV)
		at += sizeof(struct stamp);
	return (struct kv_slice){ at, w->key_len };
}

/* The record as a value; slices borrow from w.  inc is the segment's. */
void wal_record_view(const struct wal_record *w, uint64_t inc, uint64_t lsn,
    struct record *out);

/* Keys are one name space per class and bucket.  A message has no key that
 * anyone looks for: no index entry, no bucket. */
enum wal_class { WAL_KEY, WAL_BUCKET_ROW, WAL_POSITION, WAL_MESSAGE };

static inline enum wal_class
wal_class(uint8_t type)
{
	if (type == RECORD_BUCKET)
		return WAL_BUCKET_ROW;
	if (type == RECORD_MESSAGE)
		return WAL_MESSAGE;
	return type == RECORD_POSITION ? WAL_POSITION : WAL_KEY;
}

#endif
