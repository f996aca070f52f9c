/* SPDX-License-Identifier: ISC */
/* RESP, requests and replies: whatever the bytes, in one piece or in many, the
 * same comes out, and nothing outside the input is touched.
 *
 * First byte of the input: even requests, odd replies; it also seeds the sizes
 * of the pieces. */

#include <stdlib.h>

#include "base/rng.h"
#include "proto/resp.h"
#include "proto/resp_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BULK_MAX 2000

struct run {
	struct buf said; /* everything that came out */
	struct request req;
	struct resp_parser parser;
	struct resp_reply reply;
};

static void
say(struct run *r, const void *data, size_t n)
{
	if (buf_append(&r->said, &n, sizeof(n)) < 0 ||
	    buf_append(&r->said, data, n) < 0)
		abort();
}

static void
inside(struct kv_slice in, struct kv_slice part)
{
	if (part.len > 0 &&
	    (part.data < in.data || part.data + part.len > in.data + in.len))
		abort();
}

static int
next_request(struct run *r, struct kv_slice in, size_t *used)
{
	static const struct resp_limits limits = { BULK_MAX, 300, false };
	char text[RESP_FAULT_MAX];
	const char *fault;
	int rc = resp_parse(&r->parser, in, &limits, &r->req);
	size_t i;

	*used = r->req.used;
	if (rc == KV_OK && r->req.count == 0)
		abort();
	if (rc != KV_EMORE)
		say(r, &rc, sizeof(rc));
	for (i = 0; rc == KV_OK && i < r->req.count; i++)
		say(r, r->req.args[i].data, r->req.args[i].len);
	if (rc == KV_EPROTO) {
		fault = resp_fault_text(&r->parser, text);
		say(r, fault, strlen(fault));
	}
	if (rc == KV_EMORE &&
	    (r->parser.need == 0 || r->parser.need > BULK_MAX + 2))
		abort();
	return rc;
}

static int
next_reply(struct run *r, struct kv_slice in, size_t *used)
{
	static const struct resp_reply_limits limits = { BULK_MAX, 500 };
	int rc = resp_reply_parse(&r->reply, in, &limits);
	size_t i;

	*used = r->reply.used;
	if (rc == KV_EMORE)
		return rc;
	say(r, &rc, sizeof(rc));
	for (i = 0; rc == KV_OK && i < r->reply.count; i++) {
		const struct resp_value *v = &r->reply.values[i];

		inside(in, v->text);
		if (v->span < 1 || i + v->span > r->reply.count)
			abort();
		say(r, &v->type, sizeof(v->type));
		say(r, &v->span, sizeof(v->span));
		say(r, &v->integer, sizeof(v->integer));
		say(r, v->text.data, v->text.len);
	}
	return rc;
}

/* Read it all, pieces of 1 to most bytes. */
static void
read_all(struct run *r, const char *data, size_t size, int replies, size_t most,
    uint64_t seed)
{
	size_t at = 0, until = 0, used;
	int rc = KV_EMORE;

	buf_init(&r->said);
	request_init(&r->req);
	resp_reply_init(&r->reply);
	r->parser = (struct resp_parser){ 0 };
	while (rc == KV_OK || (rc == KV_EMORE && until < size)) {
		char *copy;

		if (rc == KV_EMORE)
			until += 1 + rng_next(&seed) % most;
		if (until > size)
			until = size;
		/* A block of its own: what is kept of the last one shows. */
		copy = malloc(until - at + 1);
		if (copy == NULL)
			abort();
		memcpy(copy + 1, data + at, until - at);
		rc = (replies ? next_reply : next_request)(r,
		    (struct kv_slice){ copy + 1, until - at }, &used);
		free(copy);
		if (used > until - at)
			abort();
		at += used;
	}
	if (rc == KV_EMORE)
		say(r, &at, sizeof(at));
	request_fini(&r->req);
	resp_reply_fini(&r->reply);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct run whole, pieces;

	if (size < 1)
		return 0;
	read_all(&whole, text + 1, size - 1, *data & 1, 1u << 30, *data + 1u);
	read_all(&pieces, text + 1, size - 1, *data & 1, 1u + *data % 40,
	    *data + 1u);
	if (!slice_equal(buf_slice(&whole.said), buf_slice(&pieces.said)))
		abort();
	buf_fini(&whole.said);
	buf_fini(&pieces.said);
	return 0;
}
