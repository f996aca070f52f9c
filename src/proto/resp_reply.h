/* SPDX-License-Identifier: ISC */
#ifndef KV_PROTO_RESP_REPLY_H
#define KV_PROTO_RESP_REPLY_H

/* Replies read by a client: RESP2 and RESP3, nested.
 *
 * A reply becomes one flat array of values in the order they came: an aggregate
 * is followed by its children, and its span says how many values to step over
 * to be behind it.  So it can be walked as a stream or as a tree:
 *
 *     for (i = 1; i < v->span; i += v[i].span)
 *             child(&v[i]);
 *
 * One struct resp_reply per connection, reused; the input contract is that of
 * resp.h.  Depth, number of values and length of one string are bounded. */

#include <stdbool.h>

#include "base/buf.h"

#define RESP_REPLY_DEPTH 32

/* The numbers are the type's first byte on the wire. */
enum resp_type {
	RESP_SIMPLE = '+',
	RESP_ERROR = '-',
	RESP_INTEGER = ':',
	RESP_BULK = '$',
	RESP_ARRAY = '*',
	RESP_NULL = '_', /* also $-1 and *-1 */
	RESP_BOOL = '#',
	RESP_DOUBLE = ',',
	RESP_BIG_NUMBER = '(',
	RESP_BULK_ERROR = '!',
	RESP_VERBATIM = '=',
	RESP_MAP = '%',
	RESP_SET = '~',
	RESP_ATTRIBUTE = '|', /* stands before the value it belongs to */
	RESP_PUSH = '>',
};

struct resp_value {
	enum resp_type type;
	uint32_t span;	      /* values in it, itself included: 1 for a leaf */
	uint32_t count;	      /* of an aggregate: elements; map: 2 per pair */
	int64_t integer;      /* RESP_INTEGER; RESP_BOOL: 0 or 1 */
	struct kv_slice text; /* bytes of a leaf; borrows from the input.
			       * Verbatim: without its "txt:" */
	size_t offset;	      /* private: of the text, until the end */
};

struct resp_reply_limits {
	size_t bulk;   /* bytes in one string */
	size_t values; /* in one reply */
};

struct resp_reply {
	struct resp_value *values; /* values[0] is the reply */
	size_t count;
	size_t used; /* bytes of input to drop */
	size_t need; /* after KV_EMORE: at least so many bytes more, >= 1 */

	/* Private: where it stands. */
	size_t cap;
	size_t at;
	size_t scanned;
	uint32_t depth;
	struct {
		uint32_t index;
		uint32_t left;
	} open[RESP_REPLY_DEPTH];
};

void resp_reply_init(struct resp_reply *r);
void resp_reply_fini(struct resp_reply *r);

/* The next reply.  KV_OK; KV_EMORE; KV_EPROTO for bytes that are no RESP;
 * KV_ETOOBIG for one beyond the limits (both: close); KV_ENOMEM.  An attribute
 * comes out in front of its value: values[0] may be one, the reply itself is
 * then values[values[0].span].  Drop r->used bytes before the next call. */
KV_CHECKED int resp_reply_parse(struct resp_reply *r, struct kv_slice in,
    const struct resp_reply_limits *limits);

/* The number that a RESP_DOUBLE's text stands for. */
double resp_reply_double(const struct resp_value *v);

#endif
