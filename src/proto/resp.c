/* SPDX-License-Identifier: ISC */
/* RESP requests: a fast way for what is all there, a careful one for the rest.
 *
 * take() goes over a request that is whole and plain and collects its
 * arguments.  Where it stops, walk_*() go on: they know every error and can be
 * interrupted anywhere, but only count.  When they reach the end, take() runs
 * once more from the start. */

#include "proto/resp.h"

#include <assert.h>
#include <stdio.h>

#include "base/num.h"
#include "proto/resp_inline.h"

/* The plain number at p, a CR and one byte more (Redis does not look at it):
 * where the next byte is, or NULL when it is not all there or not plain. */
static inline const char *
take_count(const char *p, const char *end, size_t *out)
{
	const char *begin = p;
	size_t x = 0;

	while (p < end && (unsigned char)(*p - '0') <= 9 && x < SIZE_MAX / 100)
		x = x * 10 + (unsigned char)(*p++ - '0');
	if (end - p < 2 || *p != '\r' || p == begin)
		return NULL;
	if (*begin == '0' && p - begin > 1)
		return NULL;
	*out = x;
	return p + 2;
}

/* KV_OK with req, or KV_EMORE with p where it stopped, for whatever reason. */
static int
take(struct resp_parser *p, struct kv_slice in, size_t max_args,
    size_t max_bulk, struct request *req)
{
	const char *end = in.data + in.len;
	const char *next, *text;
	size_t left, len;
	int rc;

	next = take_count(in.data + 1, end, &left);
	if (next == NULL || left == 0 || left > max_args)
		return KV_EMORE;
	for (; left > 0; left--) {
		if (end - next < 4 || *next != '$')
			break;
		text = take_count(next + 1, end, &len);
		if (text == NULL || len > max_bulk ||
		    (size_t)(end - text) < len + 2)
			break;
		if (req->count == req->cap && (rc = request_grow(req)) < 0)
			return rc;
		req->args[req->count++] = (struct kv_slice){ text, len };
		next = text + len + 2;
	}
	if (left > 0) {
		p->at = (size_t)(next - in.data);
		p->left = (uint32_t)left;
		req->count = 0;
		return KV_EMORE;
	}
	req->used = (size_t)(next - in.data);
	return KV_OK;
}

static int
fail(struct resp_parser *p, enum resp_fault fault)
{
	p->fault = (uint8_t)fault;
	return KV_EPROTO;
}

static int
want(struct resp_parser *p, size_t need)
{
	p->need = need;
	return KV_EMORE;
}

/* Look for the byte that ends the line at p->at, in its first max + 1 bytes;
 * *len is what stands before it. */
static int
find_end(struct resp_parser *p, struct kv_slice in, char mark, size_t max,
    size_t *len)
{
	size_t from = p->scanned > p->at ? p->scanned : p->at;
	size_t until = in.len - p->at > max ? p->at + max + 1 : in.len;
	const char *found;

	found =
	    until > from ? memchr(in.data + from, mark, until - from) : NULL;
	if (found == NULL) {
		p->scanned = until;
		return in.len - p->at > max ? KV_ETOOBIG : want(p, 1);
	}
	p->scanned = (size_t)(found - in.data);
	*len = p->scanned - p->at;
	return KV_OK;
}

/* The number of the count line at p->at, which begins with its type byte.
 * *next: behind the line.  A number that is none fails with bad. */
static int
walk_count(struct resp_parser *p, struct kv_slice in, size_t max,
    enum resp_fault bad, int64_t *out, size_t *next)
{
	enum resp_fault big = bad == RESP_BAD_BULK ? RESP_BIG_BULK_COUNT
						   : RESP_BIG_MULTIBULK_COUNT;
	size_t len;
	int rc;

	if ((rc = find_end(p, in, '\r', max, &len)) < 0)
		return rc == KV_ETOOBIG ? fail(p, big) : rc;
	if (p->at + len + 2 > in.len)
		return want(p, 1);
	rc = num_parse_i64((struct kv_slice){ in.data + p->at + 1, len - 1 },
	    out);
	if (rc < 0)
		return fail(p, bad);
	*next = p->at + len + 2;
	return KV_OK;
}

static int
walk_head(struct resp_parser *p, struct kv_slice in,
    const struct resp_limits *limits)
{
	int64_t n;
	size_t next;
	int rc;

	rc = walk_count(p, in, limits->inline_line, RESP_BAD_MULTIBULK, &n,
	    &next);
	if (rc < 0)
		return rc;
	if (n > REQUEST_ARGS_MAX)
		return fail(p, RESP_BAD_MULTIBULK);
	if (n > RESP_GUEST_ARGS && limits->guest)
		return fail(p, RESP_GUEST_MULTIBULK);
	p->at = next;
	p->left = n > 0 ? (uint32_t)n : 0;
	return KV_OK;
}

static int
walk_bulk(struct resp_parser *p, struct kv_slice in,
    const struct resp_limits *limits)
{
	int64_t n;
	size_t next, end;
	int rc;

	if (p->at >= in.len)
		return want(p, p->at - in.len + 1);
	if (in.data[p->at] != '$') {
		p->byte = in.data[p->at];
		return fail(p, RESP_NO_DOLLAR);
	}
	rc = walk_count(p, in, limits->inline_line, RESP_BAD_BULK, &n, &next);
	if (rc < 0)
		return rc;
	if (n < 0 || (uint64_t)n > limits->bulk)
		return fail(p, RESP_BAD_BULK);
	if (n > RESP_GUEST_BULK && limits->guest)
		return fail(p, RESP_GUEST_BULK_LENGTH);
	end = next + (size_t)n + 2;
	if (end > in.len)
		return want(p, end - in.len);
	p->at = end;
	p->left--;
	return KV_OK;
}

static void
restart(struct resp_parser *p)
{
	p->at = 0;
	p->scanned = 0;
	p->left = 0;
}

static int
parse_multibulk(struct resp_parser *p, struct kv_slice in,
    const struct resp_limits *limits, struct request *req)
{
	size_t max_args = limits->guest ? RESP_GUEST_ARGS : REQUEST_ARGS_MAX;
	size_t max_bulk = limits->guest && limits->bulk > RESP_GUEST_BULK
	    ? RESP_GUEST_BULK
	    : limits->bulk;
	int rc;

	if (p->at == 0 && p->scanned == 0 &&
	    (rc = take(p, in, max_args, max_bulk, req)) != KV_EMORE)
		return rc;
	if (p->at == 0 && (rc = walk_head(p, in, limits)) < 0)
		return rc;
	while (p->left > 0)
		if ((rc = walk_bulk(p, in, limits)) < 0)
			return rc;
	req->used = p->at;
	in.len = p->at;
	restart(p);
	if (in.data[1] == '-' || in.data[1] == '0')
		return KV_OK; /* no elements: nothing was asked */
	/* Without limits: walk() saw to them, and they may change meanwhile. */
	rc = take(p, in, SIZE_MAX, SIZE_MAX - 2, req);
	assert(rc == KV_OK || rc == KV_ENOMEM);
	return rc;
}

static int
parse_inline(struct resp_parser *p, struct kv_slice in,
    const struct resp_limits *limits, struct request *req)
{
	size_t len;
	int rc;

	if ((rc = find_end(p, in, '\n', limits->inline_line, &len)) < 0)
		return rc == KV_ETOOBIG ? fail(p, RESP_BIG_INLINE) : rc;
	restart(p);
	req->used = len + 1;
	if (len > 0 && in.data[len - 1] == '\r')
		len--;
	rc = resp_inline_split((struct kv_slice){ in.data, len }, req);
	return rc == KV_EINVAL ? fail(p, RESP_UNBALANCED) : rc;
}

int
resp_parse(struct resp_parser *p, struct kv_slice in,
    const struct resp_limits *limits, struct request *req)
{
	size_t skipped = 0;
	int rc;

	do {
		req->count = 0;
		req->used = 0;
		if (in.len == 0)
			rc = want(p, 1);
		else if (in.data[0] == '*')
			rc = parse_multibulk(p, in, limits, req);
		else
			rc = parse_inline(p, in, limits, req);
		skipped += req->used;
		in.data += req->used;
		in.len -= req->used;
	} while (rc == KV_OK && req->count == 0);
	req->used = skipped;
	if (rc < 0)
		req->count = 0;
	return rc;
}

const char *
resp_fault_text(const struct resp_parser *p, char to[RESP_FAULT_MAX])
{
	static const char *const texts[] = {
		[RESP_FINE] = "",
		[RESP_BAD_MULTIBULK] = "invalid multibulk length",
		[RESP_BAD_BULK] = "invalid bulk length",
		[RESP_BIG_INLINE] = "too big inline request",
		[RESP_BIG_MULTIBULK_COUNT] = "too big mbulk count string",
		[RESP_BIG_BULK_COUNT] = "too big bulk count string",
		[RESP_UNBALANCED] = "unbalanced quotes in request",
		[RESP_GUEST_MULTIBULK] = "unauthenticated multibulk length",
		[RESP_GUEST_BULK_LENGTH] = "unauthenticated bulk length",
	};

	if (p->fault == RESP_NO_DOLLAR)
		snprintf(to, RESP_FAULT_MAX,
		    "Protocol error: expected '$', got '%c'", p->byte);
	else
		snprintf(to, RESP_FAULT_MAX, "Protocol error: %s",
		    texts[p->fault]);
	return to;
}
