/* SPDX-License-Identifier: ISC */
/* RESP requests: what they say, what is wrong with them, and that it does not
 * matter in which pieces they come. */

#include "proto/resp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"

static const struct resp_limits limits = { 1000, RESP_INLINE_MAX, false };

/* All requests of a stream as text, "[SET|k|v][GET|k]", and how it ended:
 * "!fault", or "+n" with n bytes left over. */
struct reading {
	struct buf text;
	struct request req;
	struct resp_parser parser;
	const struct resp_limits *limits;
};

static void
reading_init(struct reading *r, const struct resp_limits *l)
{
	buf_init(&r->text);
	request_init(&r->req);
	r->parser = (struct resp_parser){ 0 };
	r->limits = l;
}

static void
reading_fini(struct reading *r)
{
	buf_fini(&r->text);
	request_fini(&r->req);
}

static void
show_request(struct reading *r)
{
	size_t i;

	for (i = 0; i < r->req.count; i++) {
		assert_int_equal(buf_append(&r->text, i == 0 ? "[" : "|", 1),
		    KV_OK);
		assert_int_equal(buf_append(&r->text, r->req.args[i].data,
				     r->req.args[i].len),
		    KV_OK);
	}
	assert_int_equal(buf_append(&r->text, "]", 1), KV_OK);
}

/* Give the parser what is there, at an address of its own and not a byte more,
 * until it wants more or fails. */
static int
feed(struct reading *r, const char *data, size_t *at, size_t until)
{
	int rc = KV_OK;

	while (rc == KV_OK) {
		size_t n = until - *at;
		char *copy = malloc(n + 1);

		assert_non_null(copy);
		memmove(copy + 1, data + *at, n);
		rc = resp_parse(&r->parser, (struct kv_slice){ copy + 1, n },
		    r->limits, &r->req);
		if (rc == KV_OK)
			show_request(r);
		if (rc == KV_EMORE)
			assert_true(r->parser.need >= 1);
		*at += r->req.used;
		free(copy);
	}
	return rc;
}

static void
show_end(struct reading *r, int rc, size_t left)
{
	char text[RESP_FAULT_MAX];

	if (rc == KV_EPROTO)
		rc = buf_printf(&r->text, "!%s",
		    resp_fault_text(&r->parser, text));
	else if (left > 0)
		rc = buf_printf(&r->text, "+%zu", left);
	else
		rc = KV_OK;
	assert_int_equal(rc, KV_OK);
	assert_int_equal(buf_append(&r->text, "", 1), KV_OK);
}

/* Pieces of the size that next() gives. */
static void
read_stream(struct reading *r, struct kv_slice in, size_t (*next)(void *),
    void *arg)
{
	size_t at = 0, until = 0;
	int rc = KV_EMORE;

	while (rc == KV_EMORE && until < in.len) {
		until += next(arg);
		if (until > in.len)
			until = in.len;
		rc = feed(r, in.data, &at, until);
	}
	show_end(r, rc, in.len - at);
}

/* A first piece of *arg bytes, then the rest. */
static size_t
split_once(void *arg)
{
	size_t n = *(size_t *)arg;

	*(size_t *)arg = SIZE_MAX / 4;
	return n;
}

static size_t
one_by_one(void *arg)
{
	(void)arg;
	return 1;
}

static size_t
at_random(void *arg)
{
	return 1 + rng_next(arg) % 13;
}

static void
check(struct kv_slice in, const struct resp_limits *l, const char *want,
    size_t (*next)(void *), void *arg)
{
	struct reading r;

	reading_init(&r, l);
	read_stream(&r, in, next, arg);
	assert_string_equal(r.text.data, want);
	reading_fini(&r);
}

struct stream {
	const char *in;
	const char *want;
};

#define FAULT "!Protocol error: "

static const struct stream streams[] = {
	{ "*1\r\n$4\r\nPING\r\n", "[PING]" },
	{ "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
	    "[SET|k|][GET|k]" },
	{ "*2\r\n$4\r\na\r\nb\r\n$12\r\n123456789012\r\n",
	    "[a\r\nb|123456789012]" },
	{ "PING\r\n", "[PING]" },
	{ "PING\n", "[PING]" },
	{ "  set\tk   v  \r\n", "[set|k|v]" },
	{ "set k \"a b\\x41\\n\\q\\\"\" 'c\\'d\\n' e\"f\"\r\n",
	    "[set|k|a bA\nq\"|c'd\\n|ef]" },
	{ "echo \"\" ''\r\n", "[echo||]" },
	{ "a\vb \v\fc\r\n", "[a\vb|c]" },
	{ "\r\n\n   \r\n*0\r\n*-1\r\n*-7\r\nPING\r\n", "[PING]" },
	{ "\r\n\r\n", "" },
	{ "*0\r\n", "" },
	{ "PING\r\n*1\r\n$4\r\nPING\r\nPING\r\n", "[PING][PING][PING]" },
	{ "PI", "+2" },
	{ "*", "+1" },
	{ "*2\r\n$3\r\nGET\r\n$5\r\nabc", "+20" },
	{ "*2\r\n$3\r\nGET\r\n$1\r\na\r", "+19" },
	{ "*1048577\r\n", FAULT "invalid multibulk length" },
	{ "*1000000000\r\n", FAULT "invalid multibulk length" },
	{ "*99999999999999999999\r\n", FAULT "invalid multibulk length" },
	{ "*03\r\n", FAULT "invalid multibulk length" },
	{ "*+3\r\n", FAULT "invalid multibulk length" },
	{ "*-0\r\n", FAULT "invalid multibulk length" },
	{ "*\r\n", FAULT "invalid multibulk length" },
	{ "*blah\r\n", FAULT "invalid multibulk length" },
	{ "*1 \r\n", FAULT "invalid multibulk length" },
	{ "*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n",
	    FAULT "expected '$', got 'f'" },
	{ "*1\r\n:1\r\n", FAULT "expected '$', got ':'" },
	{ "*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n",
	    FAULT "invalid bulk length" },
	{ "*1\r\n$-1\r\n", FAULT "invalid bulk length" },
	{ "*1\r\n$-10\r\n", FAULT "invalid bulk length" },
	{ "*1\r\n$1001\r\n", FAULT "invalid bulk length" },
	{ "*1\r\n$2000000000\r\n", FAULT "invalid bulk length" },
	{ "*1\r\n$99999999999999999999\r\n", FAULT "invalid bulk length" },
	{ "*1\r\n$01\r\na\r\n", FAULT "invalid bulk length" },
	{ "*1\r\n$\r\n", FAULT "invalid bulk length" },
	{ "PING\r\nset \"a\r\n",
	    "[PING]" FAULT "unbalanced quotes in request" },
	{ "set \"a\"b\r\n", FAULT "unbalanced quotes in request" },
	{ "set 'a\r\n", FAULT "unbalanced quotes in request" },
	{ "set \"a\\\"\r\n", FAULT "unbalanced quotes in request" },
};

static void
streams_mean_what_redis_takes_them_for(void **state)
{
	size_t i, whole;

	(void)state;
	for (i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
		whole = SIZE_MAX / 4;
		check(slice_of(streams[i].in), &limits, streams[i].want,
		    split_once, &whole);
	}
}

static void
a_split_at_any_byte_changes_nothing(void **state)
{
	size_t i, at, first;

	(void)state;
	for (i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
		struct kv_slice in = slice_of(streams[i].in);

		for (at = 1; at <= in.len; at++) {
			first = at;
			check(in, &limits, streams[i].want, split_once, &first);
		}
		check(in, &limits, streams[i].want, one_by_one, NULL);
	}
}

/* A random request, as it goes over the wire and as it should be shown. */
static void
make_request(uint64_t *seed, struct buf *wire, struct buf *want)
{
	size_t n = 1 + rng_next(seed) % 5, i, j;
	int inlined = rng_next(seed) % 4 == 0;
	char value[40];

	if (!inlined)
		assert_int_equal(buf_printf(wire, "*%zu\r\n", n), KV_OK);
	for (i = 0; i < n; i++) {
		size_t len = 1 + rng_next(seed) % sizeof(value);

		for (j = 0; j < len; j++)
			value[j] = inlined ? (char)('a' + rng_next(seed) % 26)
					   : (char)rng_next(seed);
		if (!inlined)
			assert_int_equal(buf_printf(wire, "$%zu\r\n", len),
			    KV_OK);
		assert_int_equal(buf_append(wire, value, len), KV_OK);
		assert_int_equal(buf_append(wire, inlined ? " \t" : "\r\n", 2),
		    KV_OK);
		assert_int_equal(buf_append(want, i == 0 ? "[" : "|", 1),
		    KV_OK);
		assert_int_equal(buf_append(want, value, len), KV_OK);
	}
	if (inlined)
		assert_int_equal(buf_append(wire, "\r\n", 2), KV_OK);
	assert_int_equal(buf_append(want, "]", 1), KV_OK);
}

static void
random_requests_in_random_pieces_come_out_as_sent(void **state)
{
	uint64_t seed = rng_u64() | 1;
	int round, i;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (round = 0; round < 2000; round++) {
		struct buf wire, want;
		struct reading r;

		buf_init(&wire);
		buf_init(&want);
		for (i = 0; i < 6; i++)
			make_request(&seed, &wire, &want);
		assert_int_equal(buf_append(&want, "", 1), KV_OK);
		reading_init(&r, &limits);
		read_stream(&r, buf_slice(&wire), at_random, &seed);
		assert_int_equal(r.text.len, want.len);
		assert_memory_equal(r.text.data, want.data, want.len);
		reading_fini(&r);
		buf_fini(&wire);
		buf_fini(&want);
	}
}

/* n times c, behind before. */
static void
fill(struct buf *b, const char *before, char c, size_t n)
{
	buf_init(b);
	assert_int_equal(buf_append(b, before, strlen(before)), KV_OK);
	assert_int_equal(buf_reserve(b, n), KV_OK);
	memset(b->data + b->len, c, n);
	b->len += n;
}

static void
check_long(const char *before, size_t n, const char *want)
{
	size_t whole = SIZE_MAX / 4, half = n / 2;
	struct buf b;

	fill(&b, before, '1', n);
	check(buf_slice(&b), &limits, want, split_once, &whole);
	check(buf_slice(&b), &limits, want, split_once, &half);
	buf_fini(&b);
}

static void
lines_without_an_end_are_refused_at_their_limit(void **state)
{
	(void)state;
	check_long("", RESP_INLINE_MAX, "+65536");
	check_long("", RESP_INLINE_MAX + 1, FAULT "too big inline request");
	check_long("*", RESP_INLINE_MAX, FAULT "too big mbulk count string");
	check_long("*1\r\n$", RESP_INLINE_MAX,
	    FAULT "too big bulk count string");
}

static void
an_argument_over_the_limit_is_refused_even_if_whole(void **state)
{
	size_t whole = SIZE_MAX / 4;
	struct buf b;

	(void)state;
	fill(&b, "*1\r\n$1001\r\n", 'x', 1001 + 2);
	check(buf_slice(&b), &limits, FAULT "invalid bulk length", split_once,
	    &whole);
	buf_fini(&b);
}

static void
a_guest_may_send_little(void **state)
{
	static const struct resp_limits guest = { 1u << 20, RESP_INLINE_MAX,
		true };
	static const struct stream cases[] = {
		{ "*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n", "[AUTH|x]" },
		{ "*10\r\n", "+5" },
		{ "*11\r\n", FAULT "unauthenticated multibulk length" },
		{ "*1\r\n$16384\r\n", "+12" },
		{ "*1\r\n$16385\r\n", FAULT "unauthenticated bulk length" },
	};
	size_t i, whole;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		whole = SIZE_MAX / 4;
		check(slice_of(cases[i].in), &guest, cases[i].want, split_once,
		    &whole);
		check(slice_of(cases[i].in), &guest, cases[i].want, one_by_one,
		    NULL);
	}
}

static void
announcing_a_million_arguments_allocates_nothing(void **state)
{
	struct resp_parser p = { 0 };
	struct request req;

	(void)state;
	request_init(&req);
	assert_int_equal(resp_parse(&p, slice_of("*1048576\r\n$3\r\nDEL\r\n"),
			     &limits, &req),
	    KV_EMORE);
	assert_ptr_equal(req.args, req.embedded);
	assert_int_equal(req.cap, REQUEST_ARGS_EMBEDDED);
	request_fini(&req);
}

static void
the_hint_says_how_much_of_a_big_value_is_missing(void **state)
{
	struct resp_limits big = { 16u << 20, RESP_INLINE_MAX, false };
	struct resp_parser p = { 0 };
	struct request req;

	(void)state;
	request_init(&req);
	assert_int_equal(resp_parse(&p,
			     slice_of("*2\r\n$3\r\nGET\r\n$16777216\r\nabc"),
			     &big, &req),
	    KV_EMORE);
	assert_int_equal(p.need, 16777216 + 2 - 3);
	request_fini(&req);
}

static void
a_request_of_40002_arguments_in_pieces_is_whole(void **state)
{
	struct buf wire;
	struct request req;
	struct resp_parser p = { 0 };
	size_t n, i;
	int rc = KV_EMORE;

	(void)state;
	buf_init(&wire);
	assert_int_equal(buf_printf(&wire, "*40002\r\n"), KV_OK);
	for (i = 0; i < 40002; i++)
		assert_int_equal(buf_printf(&wire, "$8\r\n%08zu\r\n", i),
		    KV_OK);
	request_init(&req);
	for (n = 7; rc == KV_EMORE; n += 7) {
		struct kv_slice in = { wire.data, n < wire.len ? n : wire.len };

		rc = resp_parse(&p, in, &limits, &req);
	}
	assert_int_equal(rc, KV_OK);
	assert_int_equal(req.count, 40002);
	assert_int_equal(req.used, wire.len);
	for (i = 0; i < 40002; i++) {
		char want[16];

		snprintf(want, sizeof(want), "%08zu", i);
		assert_memory_equal(req.args[i].data, want, 8);
	}
	request_trim(&req);
	assert_ptr_equal(req.args, req.embedded);
	request_fini(&req);
	buf_fini(&wire);
}

static void
nothing_is_looked_at_twice_in_a_long_value(void **state)
{
	struct resp_limits big = { 16u << 20, RESP_INLINE_MAX, false };
	struct resp_parser p = { 0 };
	struct request req;
	struct buf b;
	size_t n;
	int rc = KV_EMORE;

	(void)state;
	request_init(&req);
	fill(&b, "*1\r\n$16777216\r\n", '\r', (16u << 20) + 2);
	/* One call a byte would take hours if each looked at it all. */
	for (n = 1; rc == KV_EMORE; n++)
		rc = resp_parse(&p, (struct kv_slice){ b.data, n }, &big, &req);
	assert_int_equal(rc, KV_OK);
	assert_int_equal(req.args[0].len, 16u << 20);
	request_fini(&req);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_mean_what_redis_takes_them_for),
		cmocka_unit_test(a_split_at_any_byte_changes_nothing),
		cmocka_unit_test(
		    random_requests_in_random_pieces_come_out_as_sent),
		cmocka_unit_test(
		    lines_without_an_end_are_refused_at_their_limit),
		cmocka_unit_test(
		    an_argument_over_the_limit_is_refused_even_if_whole),
		cmocka_unit_test(a_guest_may_send_little),
		cmocka_unit_test(
		    announcing_a_million_arguments_allocates_nothing),
		cmocka_unit_test(
		    the_hint_says_how_much_of_a_big_value_is_missing),
		cmocka_unit_test(
		    a_request_of_40002_arguments_in_pieces_is_whole),
		cmocka_unit_test(nothing_is_looked_at_twice_in_a_long_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
