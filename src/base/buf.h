/* SPDX-License-Identifier: ISC */
#ifndef KV_BASE_BUF_H
#define KV_BASE_BUF_H

/* A growing byte buffer that owns its memory.  The body is public because
 * parsers and encoders work in it in place. */

#include <string.h>

#include "kv_types.h"

struct buf {
	char *data; /* NULL while cap is 0 */
	size_t len; /* bytes in use */
	size_t cap; /* bytes there are */
};

void buf_init(struct buf *b);
void buf_fini(struct buf *b);

/* Make room for n more bytes after len.  KV_ENOMEM leaves b as it was. */
KV_CHECKED int buf_grow(struct buf *b, size_t n);

static inline int
buf_reserve(struct buf *b, size_t n)
{
	return b->cap - b->len >= n ? KV_OK : buf_grow(b, n);
}

KV_CHECKED int buf_append(struct buf *b, const void *data, size_t n);
KV_CHECKED int buf_printf(struct buf *b, const char *fmt, ...) KV_PRINTF(2, 3);

/* Drop the first n bytes, moving the rest to the front. */
void buf_consume(struct buf *b, size_t n);

/* Give the memory back when more than keep bytes lie idle; only when empty. */
void buf_shrink(struct buf *b, size_t keep);

/* Give back what is not in use. */
void buf_fit(struct buf *b);

static inline struct kv_slice
buf_slice(const struct buf *b)
{
	return (struct kv_slice){ b->data, b->len };
}

/* Slices. */
static inline struct kv_slice
slice_of(const char *text)
{
	return (struct kv_slice){ text, strlen(text) };
}

static inline int
slice_equal(struct kv_slice a, struct kv_slice b)
{
	return a.len == b.len &&
	    (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Byte order, a prefix before the longer: as LMDB sorts keys. */
int slice_compare(struct kv_slice a, struct kv_slice b);

/* ASCII case folded comparison with a lower-case word. */
int slice_is_word(struct kv_slice s, const char *lower);

#endif
