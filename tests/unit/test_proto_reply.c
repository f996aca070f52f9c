/* SPDX-License-Identifier: ISC */
/* Replies, written and read. */

#include "proto/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>

#include "base/rng.h"
#include "proto/resp_reply.h"

static const struct resp_reply_limits limits = { 1000, 1000 };

static void
expect(struct buf *b, const char *want)
{
	assert_int_equal(buf_append(b, "", 1), KV_OK);
	assert_string_equal(b->data, want);
	b->len = 0;
}

static void
write_one_of_each(struct reply *r)
{
	reply_ok(r);
	reply_simple(r, "PONG");
	reply_error(r, "ERR a\r\nb");
	reply_integer(r, 0);
	reply_integer(r, 1234);
	reply_integer(r, -5);
	reply_integer(r, INT64_MIN);
	reply_bulk(r, (struct kv_slice){ NULL, 0 });
	reply_text(r, "hello");
	reply_text(r, "0123456789");
	reply_bulk_integer(r, -42);
	reply_null(r);
	reply_null_array(r);
	reply_verbatim(r, "txt", slice_of("hi"));
	reply_array(r, 2);
	reply_map(r, 12);
	reply_set(r, 0);
	reply_push(r, 3);
	reply_bulk_head(r, 100);
	reply_bulk_tail(r);
}

#define COMMON                                                                 \
	"+OK\r\n+PONG\r\n-ERR a  b\r\n"                                        \
	":0\r\n:1234\r\n:-5\r\n:-9223372036854775808\r\n"                      \
	"$0\r\n\r\n$5\r\nhello\r\n$10\r\n0123456789\r\n$3\r\n-42\r\n"

static void
replies_take_the_form_of_resp2_or_resp3(void **state)
{
	struct buf b;
	struct reply r = { &b, 2, KV_OK };

	(void)state;
	buf_init(&b);
	write_one_of_each(&r);
	expect(&b,
	    COMMON "$-1\r\n*-1\r\n$2\r\nhi\r\n"
		   "*2\r\n*24\r\n*0\r\n*3\r\n$100\r\n\r\n");
	r.proto = 3;
	write_one_of_each(&r);
	expect(&b,
	    COMMON "_\r\n_\r\n=6\r\ntxt:hi\r\n"
		   "*2\r\n%12\r\n~0\r\n>3\r\n$100\r\n\r\n");
	assert_int_equal(r.rc, KV_OK);
	buf_fini(&b);
}

static void
a_reply_without_memory_says_so_once_and_for_all(void **state)
{
	struct buf b;
	struct reply r = { &b, 2, KV_OK };

	(void)state;
	buf_init(&b);
	assert_null(reply_room(&r, SIZE_MAX / 2));
	assert_int_equal(r.rc, KV_ENOMEM);
	write_one_of_each(&r);
	assert_int_equal(b.len, 0);
	buf_fini(&b);
}

/* ---- reading */

/* A reply as text: *3(:1,$abc,_) and so on; it is walked as a tree. */
static void
show(const struct resp_value *v, struct buf *to)
{
	char type = (char)v->type;
	uint32_t i;

	assert_int_equal(buf_append(to, &type, 1), KV_OK);
	assert_int_equal(buf_append(to, v->text.data, v->text.len), KV_OK);
	if (v->count == 0)
		return;
	assert_int_equal(buf_append(to, "(", 1), KV_OK);
	for (i = 1; i < v->span; i += v[i].span) {
		show(&v[i], to);
		assert_int_equal(buf_append(to, ",", 1), KV_OK);
	}
	to->data[to->len - 1] = ')';
}

/* All replies of a stream; "!" for a protocol error, "^" for too large, "+n"
 * for n bytes left over. */
static void
read_replies(struct kv_slice in, size_t piece, uint64_t *seed, struct buf *to)
{
	size_t at = 0, until = 0, i;
	struct resp_reply r;
	int rc = KV_EMORE;

	resp_reply_init(&r);
	while (rc == KV_OK || (rc == KV_EMORE && until < in.len)) {
		size_t n = seed != NULL ? 1 + rng_next(seed) % piece : piece;
		char *copy;

		if (rc == KV_EMORE)
			until = in.len - until < n ? in.len : until + n;
		copy = malloc(until - at + 1);
		assert_non_null(copy);
		memcpy(copy + 1, in.data + at, until - at);
		rc = resp_reply_parse(&r,
		    (struct kv_slice){ copy + 1, until - at }, &limits);
		at += r.used;
		for (i = 0; rc == KV_OK && i < r.count; i += r.values[i].span)
			show(&r.values[i], to);
		free(copy);
	}
	if (rc == KV_EPROTO || rc == KV_ETOOBIG)
		rc = buf_append(to, rc == KV_EPROTO ? "!" : "^", 1);
	else
		rc = buf_printf(to, "+%zu", in.len - at);
	assert_int_equal(rc, KV_OK);
	assert_int_equal(buf_append(to, "", 1), KV_OK);
	resp_reply_fini(&r);
}

struct stream {
	const char *in;
	const char *want;
};

#define FOUR "*1\r\n*1\r\n*1\r\n*1\r\n"
#define SIXTEEN FOUR FOUR FOUR FOUR

static const struct stream streams[] = {
	{ "+OK\r\n-ERR x\r\n:12\r\n$3\r\na\r\n\r\n$0\r\n\r\n",
	    "+OK-ERR x:12$a\r\n$+0" },
	{ "$-1\r\n*-1\r\n_\r\n*0\r\n", "___*+0" },
	{ "*3\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n$1\r\nb\r\n",
	    "*(:1,*($a,_),$b)+0" },
	{ "%2\r\n+a\r\n:1\r\n+b\r\n*0\r\n", "%(+a,:1,+b,*)+0" },
	{ "~1\r\n#t\r\n>2\r\n+message\r\n,1.5\r\n", "~(#t)>(+message,,1.5)+0" },
	{ "=6\r\ntxt:hi\r\n!5\r\nERR x\r\n(123\r\n", "=hi!ERR x(123+0" },
	{ "|1\r\n+ttl\r\n:9\r\n*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n",
	    "|(+ttl,:9)*(|(+a,+b),:1,:2)+0" },
	{ "|0\r\n:1\r\n", "|:1+0" },
	{ "+OK\r\n$5\r\nabc", "+OK+7" },
	{ "+OK\r", "+4" },
	{ "*2\r\n:1\r\n", "+8" },
	{ "OK\r\n", "!" },
	{ "+OK\rx\r\n", "!" },
	{ ":x\r\n", "!" },
	{ ":\r\n", "!" },
	{ "_x\r\n", "!" },
	{ "#x\r\n", "!" },
	{ "$-2\r\n", "!" },
	{ "%-1\r\n", "!" },
	{ "$3\r\nabcde", "!" },
	{ "$?\r\n", "!" },
	{ "=3\r\ntxt\r\n", "!" },
	{ ":000000000000000000000000000000000000000000", "!" },
	{ "$1001\r\n", "^" },
	{ "*1000000000\r\n", "^" },
	{ SIXTEEN SIXTEEN ":1\r\n",
	    "*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(*(:1"
	    "))))))))))))))))))))))))))))))))+0" },
	{ SIXTEEN SIXTEEN "*1\r\n", "^" },
};

static void
check(const char *in, const char *want, size_t piece, uint64_t *seed)
{
	struct buf text;

	buf_init(&text);
	read_replies(slice_of(in), piece, seed, &text);
	assert_string_equal(text.data, want);
	buf_fini(&text);
}

static void
replies_are_read_whole_or_in_pieces(void **state)
{
	uint64_t seed = rng_u64() | 1;
	size_t i, piece, round;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
		const struct stream *s = &streams[i];

		for (piece = 1; piece <= strlen(s->in); piece++)
			check(s->in, s->want, piece, NULL);
		for (round = 0; round < 50; round++)
			check(s->in, s->want, 9, &seed);
	}
}

static void
a_reply_of_too_many_values_is_refused(void **state)
{
	struct resp_reply r;
	struct buf b;
	int i;

	(void)state;
	buf_init(&b);
	for (i = 0; i < 600; i++)
		assert_int_equal(buf_printf(&b, "|1\r\n:1\r\n:2\r\n"), KV_OK);
	resp_reply_init(&r);
	assert_int_equal(resp_reply_parse(&r, buf_slice(&b), &limits),
	    KV_ETOOBIG);
	resp_reply_fini(&r);
	buf_fini(&b);
}

static void
what_is_written_is_read_back(void **state)
{
	struct resp_reply in;
	struct buf b;
	struct reply out = { &b, 3, KV_OK };

	(void)state;
	buf_init(&b);
	resp_reply_init(&in);
	reply_map(&out, 2);
	reply_text(&out, "pi");
	reply_raw(&out, ",3.25\r\n", 7);
	reply_text(&out, "n");
	reply_integer(&out, INT64_MIN);
	assert_int_equal(resp_reply_parse(&in, buf_slice(&b), &limits), KV_OK);
	assert_int_equal(in.used, b.len);
	assert_int_equal(in.count, 5);
	assert_int_equal(in.values[0].span, 5);
	assert_true(resp_reply_double(&in.values[2]) == 3.25);
	assert_true(in.values[4].integer == INT64_MIN);
	resp_reply_fini(&in);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_take_the_form_of_resp2_or_resp3),
		cmocka_unit_test(
		    a_reply_without_memory_says_so_once_and_for_all),
		cmocka_unit_test(replies_are_read_whole_or_in_pieces),
		cmocka_unit_test(a_reply_of_too_many_values_is_refused),
		cmocka_unit_test(what_is_written_is_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
