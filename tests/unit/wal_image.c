/* SPDX-License-Identifier: ISC */
/* A segment in private memory. */

#include "wal_image.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

void
wal_image_begin(struct wal_image *i, uint64_t number, uint64_t nonce,
    uint64_t seq)
{
	struct segment_header h = { .store_id = 77,
		.size = i->size,
		.number = number,
		.first_seq = seq + 1,
		.nonce = nonce,
		.inc = 99 };

	segment_header_seal(&h);
	memset(i->segment.base, 0, SEGMENT_HEADER);
	memcpy(i->segment.base, &h, sizeof(h));
	i->end = SEGMENT_HEADER;
	i->seq = seq;
}

void
wal_image_init(struct wal_image *i, uint64_t size, uint64_t number,
    uint64_t nonce, uint64_t seq)
{
	size_t entries = 1024;

	while (entries < size / 32)
		entries *= 2;
	i->size = size;
	i->segment.base = aligned_alloc(4096, size);
	i->segment.index = calloc(entries, sizeof(_Atomic uint64_t));
	i->segment.index_mask = entries - 1;
	if (i->segment.base == NULL || i->segment.index == NULL)
		abort();
	memset(i->segment.base, 0, size);
	wal_image_begin(i, number, nonce, seq);
}

void
wal_image_fini(struct wal_image *i)
{
	free(i->segment.base);
	free(i->segment.index);
}

/* Set what only the place in the log decides. */
static void
wal_image_finish(struct wal_image *i, struct wal_record *w, uint64_t hash,
    uint64_t chain)
{
	const struct segment_header *h = segment_header(&i->segment);

	w->seq = ++i->seq;
	w->prev = index_find(&i->segment, hash, wal_class(w->type), w->bid,
		      wal_record_key(w)) >>
	    3;
	w->bucket_prev = index_find_chain(&i->segment, chain, w->bid) >> 3;
	w->check = wal_record_check(w, h->nonce, h->number * i->size + i->end);
}

uint32_t
wal_image_add(struct wal_image *i, const struct record *r)
{
	size_t len =
	    wal_record_size(r->flags, r->marks, r->key.len, r->value.len);
	uint64_t hash = index_hash_key(WAL_IMAGE_SECRET,
	    wal_class((uint8_t)r->type), r->bid, r->key);
	uint64_t chain = index_hash_chain(WAL_IMAGE_SECRET, r->bid);
	uint32_t at = (uint32_t)i->end;

	if (i->end + len + WAL_RECORD_MIN > i->size)
		return 0;
	wal_record_encode(i->segment.base + at, r);
	wal_image_finish(i, (struct wal_record *)(void *)(i->segment.base + at),
	    hash, chain);
	index_put(&i->segment, hash, at);
	index_put_chain(&i->segment, chain, at);
	i->end += len;
	return at;
}

uint32_t
wal_image_put(struct wal_image *i, uint64_t bid, const char *key,
    const char *value, bool more)
{
	struct record r = { .type = RECORD_PUT,
		.flags = more ? RECORD_MORE : 0,
		.bid = bid,
		.key = slice_of(key),
		.value = slice_of(value) };

	return wal_image_add(i, &r);
}

void
wal_image_seal(struct wal_image *i)
{
	const struct segment_header *h = segment_header(&i->segment);
	struct record end = { .type = RECORD_END };
	struct wal_record *w =
	    (struct wal_record *)(void *)(i->segment.base + i->end);

	wal_record_encode(w, &end);
	w->seq = i->seq;
	w->check = wal_record_check(w, h->nonce, h->number * i->size + i->end);
}
