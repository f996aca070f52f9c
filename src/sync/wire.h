/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_WIRE_H
#define KV_SYNC_WIRE_H

/* Big-endian fields, in and out.  Mistakes stick: read or write a whole
 * message, then look once. */

#include <stdbool.h>

#include "base/buf.h"

struct wire_in {
	const char *at;
	size_t left;
	bool bad; /* something was not there; all later fields are 0 */
};

struct wire_out {
	struct buf *to;
	int rc; /* KV_OK, KV_ENOMEM */
};

static inline struct wire_in
wire_read(struct kv_slice s)
{
	return (struct wire_in){ s.data, s.len, false };
}

/* n bytes, borrowed. */
static inline struct kv_slice
wire_take(struct wire_in *w, size_t n)
{
	struct kv_slice s = { w->at, n };

	if (w->bad || w->left < n) {
		w->bad = true;
		return (struct kv_slice){ NULL, 0 };
	}
	if (n > 0)
		w->at += n;
	w->left -= n;
	return s;
}

/* A number of width bytes, 1 to 8. */
static inline uint64_t
wire_get(struct wire_in *w, size_t width)
{
	struct kv_slice s = wire_take(w, width);
	uint64_t x = 0;
	size_t i;

	for (i = 0; i < s.len; i++)
		x = x << 8 | (uint8_t)s.data[i];
	return x;
}

static inline void
wire_add(struct wire_out *w, struct kv_slice s)
{
	if (w->rc == KV_OK)
		w->rc = buf_append(w->to, s.data, s.len);
}

static inline void
wire_put(struct wire_out *w, uint64_t x, size_t width)
{
	char bytes[8];
	size_t i;

	for (i = width; i-- > 0; x >>= 8)
		bytes[i] = (char)x;
	wire_add(w, (struct kv_slice){ bytes, width });
}

#endif
