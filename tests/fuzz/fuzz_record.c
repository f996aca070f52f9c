/* SPDX-License-Identifier: ISC */
/* Any bytes as a segment's image.
 *
 * The first byte is the mode.  Even: the rest is the image as it lies on a
 * disk.  Odd: the checks are made right first, because no fuzzer finds a hash;
 * bit 1 leaves the header's, bit 2 each record's, bit 3 each body's wrong. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "wal/replay.h"

#define BLOCK 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	const char *image;
	size_t size;
	uint64_t end;
	uint64_t seq;
	uint64_t records;
};

/* What recovery does with a record: all its bytes are read. */
static void
note(void *user, const struct wal_record *w, uint64_t offset)
{
	struct seen *seen = user;
	struct record r;
	uint64_t sum = 0;
	size_t i;

	assert((const char *)w == seen->image + offset);
	assert(offset >= seen->end && offset + w->len <= seen->size);
	assert(w->seq > seen->seq);
	wal_record_view(w, 1, offset, &r);
	for (i = 0; i < r.key.len; i++)
		sum += (unsigned char)r.key.data[i];
	for (i = 0; i < r.value.len; i++)
		sum += (unsigned char)r.value.data[i];
	seen->end = offset + w->len;
	seen->seq = w->seq + (sum & 0);
	seen->records++;
}

static void
mend_records(char *image, size_t size, uint8_t mode)
{
	const struct segment_header *h = (void *)image;
	size_t at = SEGMENT_HEADER;

	while (size - at >= WAL_RECORD_MIN) {
		struct wal_record *w = (void *)(image + at);
		size_t head = sizeof(*w) + 24, len;

		w->key_len %= KV_KEY_MAX + 1;
		w->value_len %= BLOCK;
		len = wal_record_size(w->flags, w->marks, w->key_len,
		    w->value_len);
		if (len > size - at || head > size - at)
			return;
		w->len = (uint32_t)len;
		if (!(mode & 8))
			wal_record_seal_body(w);
		if (!(mode & 4))
			w->check = wal_record_check(w, h->nonce,
			    h->number * h->size + at);
		at += len;
	}
}

static void
replay(char *image, size_t size)
{
	struct seen seen = { image, size, SEGMENT_HEADER, 0, 0 };
	const struct segment_header *h = (void *)image;
	struct replay out;

	if (segment_header_verify(h) < 0 || h->first_seq == 0)
		return;
	seen.seq = h->first_seq - 1;
	replay_segment(image, size, note, &seen, &out);
	assert(out.records == seen.records);
	assert(out.end == seen.end && out.end <= size);
	assert(out.last_seq == seen.seq);
	assert(!(out.sealed && out.torn));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t mode = size > 0 ? data[0] : 0;
	size_t header = sizeof(struct segment_header), have, room;
	char *image;

	if (size < 1 + header)
		return 0;
	data++;
	size--;
	/* The header's block is mostly zeros: records follow at once. */
	have = size - header;
	room = SEGMENT_HEADER + (have & ~(size_t)7);
	if ((image = aligned_alloc(8, room)) == NULL)
		return 0;
	memset(image, 0, SEGMENT_HEADER);
	memcpy(image, data, header);
	memcpy(image + SEGMENT_HEADER, data + header, room - SEGMENT_HEADER);
	if ((mode & 3) == 1)
		segment_header_seal((void *)image);
	if (mode & 1)
		mend_records(image, room, mode);
	replay(image, room);
	free(image);
	return 0;
}
