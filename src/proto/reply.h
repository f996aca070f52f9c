/* SPDX-License-Identifier: ISC */
#ifndef KV_PROTO_REPLY_H
#define KV_PROTO_REPLY_H

/* Replies in RESP2 and RESP3, appended to a buffer.  The encoder chooses the
 * form by r->proto: a map is a flat array of 2n elements in RESP2, a push an
 * array and so on.
 *
 * Only memory can run out.  That is sticky: once r->rc is KV_ENOMEM nothing is
 * appended any more, the output may end in the middle of a reply and the
 * connection must be dropped.  So encoders return nothing; look at r->rc once
 * per turn. */

#include <stdbool.h>

#include "base/buf.h"

struct reply {
	struct buf *out;
	int proto; /* 2 or 3 */
	int rc;	   /* KV_OK or KV_ENOMEM */
};

/* Room for n bytes at the end of the output, or NULL; after writing them add
 * their number to r->out->len. */
static inline char *
reply_room(struct reply *r, size_t n)
{
	/* One at least, so that there is a buffer to point into. */
	if (r->rc < 0 || (r->rc = buf_reserve(r->out, n + (n == 0))) < 0)
		return NULL;
	return r->out->data + r->out->len;
}

/* Bytes that are whole encoded replies already. */
static inline void
reply_raw(struct reply *r, const char *data, size_t n)
{
	char *to = reply_room(r, n);

	if (to == NULL)
		return;
	memcpy(to, data, n);
	r->out->len += n;
}

#define reply_literal(r, text) reply_raw((r), (text), sizeof(text) - 1)

static inline void
reply_ok(struct reply *r)
{
	reply_literal(r, "+OK\r\n");
}

void reply_simple(struct reply *r, const char *text);

/* text begins with the code: "ERR no such key".  CR and LF become blanks. */
void reply_error(struct reply *r, const char *text);

void reply_integer(struct reply *r, int64_t x);
void reply_bulk(struct reply *r, struct kv_slice value);
void reply_text(struct reply *r, const char *text);  /* bulk of a C string */
void reply_bulk_integer(struct reply *r, int64_t x); /* its text, as bulk */
void reply_null(struct reply *r);
void reply_null_array(struct reply *r);

/* Text with a three letter format: "txt", "mkd". */
void reply_verbatim(struct reply *r, const char *format, struct kv_slice text);

/* Headers: n elements (map: n pairs) follow. */
void reply_array(struct reply *r, size_t n);
void reply_map(struct reply *r, size_t n);
void reply_set(struct reply *r, size_t n);
void reply_push(struct reply *r, size_t n);

/* A bulk whose bytes go out by another way: head, the n bytes, tail. */
void reply_bulk_head(struct reply *r, size_t n);
void reply_bulk_tail(struct reply *r);

/* Requests, for clients: reply_array(r, n), then n times reply_bulk(). */

#endif
