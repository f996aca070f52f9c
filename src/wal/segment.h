/* SPDX-License-Identifier: ISC */
#ifndef KV_WAL_SEGMENT_H
#define KV_WAL_SEGMENT_H

/* A segment: size bytes of the endless log, a header in its first 4096, and
 * beside it (in memory only) its index.  LSN = number * size + offset.
 *
 * The header's random nonce enters every record's check; prev_end and
 * prev_nonce tie it to its predecessor, so headers form a chain that recovery
 * follows and bytes of a recycled file cannot join. */

#include <stdatomic.h>

#include "wal/record.h"

#define SEGMENT_MAGIC 0x6b7673656730311au
#define SEGMENT_VERSION 1
#define SEGMENT_HEADER 4096
#define SEGMENT_MAX (512ull << 20)
#define SEGMENT_BYTE_ORDER 0x01020304u

struct segment_header {
	uint64_t magic;
	uint32_t version;
	uint32_t byte_order;
	uint64_t store_id;
	uint64_t size;
	uint64_t number;
	uint64_t first_seq; /* the first record's seq is at least this */
	uint64_t prev_end;  /* LSN where the predecessor's records end */
	uint64_t prev_nonce;
	uint64_t nonce;
	uint64_t inc; /* incarnation of all records without a stamp */
	uint64_t made_ms;
	uint64_t check; /* XXH3 of the above */
};
static_assert(sizeof(struct segment_header) == 96, "layout");

/* Where a segment is mapped.  A slot serves one segment after the other. */
struct segment {
	char *base;
	_Atomic uint64_t *index;
	uint64_t index_mask; /* entries - 1 */
};

/* Fill in magic, version, order and check. */
void segment_header_seal(struct segment_header *h);

/* KV_ENOTFOUND: no header of kv.  KV_EVERSION: of another format or byte
 * order.  KV_ECORRUPT: the check is wrong. */
KV_CHECKED int segment_header_verify(const struct segment_header *h);

static inline const struct segment_header *
segment_header(const struct segment *s)
{
	return (const struct segment_header *)(const void *)s->base;
}

static inline const struct wal_record *
segment_record(const struct segment *s, uint64_t offset)
{
	return (const struct wal_record *)(const void *)(s->base + offset);
}

#endif
