/* SPDX-License-Identifier: ISC */
/* Segment headers. */

#include "wal/segment.h"

#include "base/hash.h"

static uint64_t
segment_header_check(const struct segment_header *h)
{
	return hash_bytes(h, offsetof(struct segment_header, check), 0);
}

void
segment_header_seal(struct segment_header *h)
{
	h->magic = SEGMENT_MAGIC;
	h->version = SEGMENT_VERSION;
	h->byte_order = SEGMENT_BYTE_ORDER;
	h->check = segment_header_check(h);
}

int
segment_header_verify(const struct segment_header *h)
{
	if (h->magic != SEGMENT_MAGIC)
		return h->magic == __builtin_bswap64(SEGMENT_MAGIC)
		    ? KV_EVERSION
		    : KV_ENOTFOUND;
	if (h->version != SEGMENT_VERSION ||
	    h->byte_order != SEGMENT_BYTE_ORDER)
		return KV_EVERSION;
	return h->check == segment_header_check(h) ? KV_OK : KV_ECORRUPT;
}
