/* SPDX-License-Identifier: ISC */
/* Growing buffers and borrowed slices. */

#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_MIN 256
#define BUF_LARGE (1u << 20) /* beyond, no doubling */
#define BUF_PAGE 4096u

void
buf_init(struct buf *b)
{
	*b = (struct buf){ NULL, 0, 0 };
}

void
buf_fini(struct buf *b)
{
	free(b->data);
	buf_init(b);
}

/* Twice as much, so that what comes in small pieces is not moved for each; of
 * what is large a quarter more, as most is one value. */
static size_t
buf_next_cap(size_t cap, size_t need)
{
	if (need > BUF_LARGE) {
		cap += cap / 4;
		cap = cap > need ? cap : need;
		return (cap + BUF_PAGE - 1) / BUF_PAGE * BUF_PAGE;
	}
	cap = cap < BUF_MIN ? BUF_MIN : cap;
	while (cap < need)
		cap *= 2;
	return cap;
}

int
buf_grow(struct buf *b, size_t n)
{
	size_t cap;
	char *data;

	if (n > SIZE_MAX / 4 || b->len > SIZE_MAX / 4)
		return KV_ENOMEM;
	cap = buf_next_cap(b->cap, b->len + n);
	if ((data = realloc(b->data, cap)) == NULL)
		return KV_ENOMEM;
	b->data = data;
	b->cap = cap;
	return KV_OK;
}

int
buf_append(struct buf *b, const void *data, size_t n)
{
	int rc;

	if (n == 0)
		return KV_OK;
	if ((rc = buf_reserve(b, n)) < 0)
		return rc;
	memcpy(b->data + b->len, data, n);
	b->len += n;
	return KV_OK;
}

int
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n, rc;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return KV_EINVAL;
	if ((rc = buf_reserve(b, (size_t)n + 1)) < 0)
		return rc;
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return KV_OK;
}

void
buf_consume(struct buf *b, size_t n)
{
	if (n == 0)
		return;
	b->len -= n;
	if (b->len > 0)
		memmove(b->data, b->data + n, b->len);
}

void
buf_shrink(struct buf *b, size_t keep)
{
	if (b->len == 0 && b->cap > keep)
		buf_fini(b);
}

void
buf_fit(struct buf *b)
{
	char *data;

	if (b->len == 0) {
		buf_fini(b);
	} else if ((data = realloc(b->data, b->len)) != NULL) {
		b->data = data;
		b->cap = b->len;
	}
}

int
slice_compare(struct kv_slice a, struct kv_slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int order = n == 0 ? 0 : memcmp(a.data, b.data, n);

	if (order != 0)
		return order;
	return (a.len > b.len) - (a.len < b.len);
}

int
slice_is_word(struct kv_slice s, const char *lower)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		char c = s.data[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c | 0x20);
		if (lower[i] == '\0' || c != lower[i])
			return 0;
	}
	return lower[s.len] == '\0';
}
