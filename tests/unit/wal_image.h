/* SPDX-License-Identifier: ISC */
#ifndef KV_TESTS_WAL_IMAGE_H
#define KV_TESTS_WAL_IMAGE_H

/* A segment in private memory, filled as an appender would. */

#include <stdbool.h>

#include "wal/index.h"

#define WAL_IMAGE_SECRET 0x5eedull

struct wal_image {
	struct segment segment;
	uint64_t size;
	uint64_t end; /* offset of the next record */
	uint64_t seq; /* last one given */
};

/* seq: the last one before this segment. */
void wal_image_init(struct wal_image *i, uint64_t size, uint64_t number,
    uint64_t nonce, uint64_t seq);
void wal_image_fini(struct wal_image *i);

/* Write another header over the one there is; the records stay. */
void wal_image_begin(struct wal_image *i, uint64_t number, uint64_t nonce,
    uint64_t seq);

/* Append r with the next seq, link and index it; returns its offset, 0 when
 * the segment is full. */
uint32_t wal_image_add(struct wal_image *i, const struct record *r);

/* The same from texts. */
uint32_t wal_image_put(struct wal_image *i, uint64_t bid, const char *key,
    const char *value, bool more);

void wal_image_seal(struct wal_image *i);

#endif
