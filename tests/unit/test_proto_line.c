/* SPDX-License-Identifier: ISC */
/* Lines and words, answers, and which protocol a connection speaks. */

#include "proto/line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "proto/sniff.h"

/* Text with NUL bytes. */
#define BYTES(s) ((struct kv_slice){ (s), sizeof(s) - 1 })

static void
show(struct buf *to, const char *text, size_t n)
{
	assert_int_equal(buf_append(to, text, n), KV_OK);
}

/* All lines of a stream as text: "[PUT|b|k|v]", "!" for one that was too long,
 * "*" where RESP begins, "+n" for n bytes left over. */
static void
read_lines(struct kv_slice in, size_t max, size_t piece, uint64_t *seed,
    struct buf *text)
{
	struct line_parser p = { 0, false };
	size_t at = 0, until = 0, i;
	struct request req;
	int rc = KV_EMORE;

	request_init(&req);
	while (rc != KV_EPROTO && (rc != KV_EMORE || until < in.len)) {
		size_t n = seed != NULL ? 1 + rng_next(seed) % piece : piece;
		char *copy;

		if (rc == KV_EMORE)
			until = in.len - until < n ? in.len : until + n;
		copy = malloc(until - at + 1);
		assert_non_null(copy);
		memcpy(copy + 1, in.data + at, until - at);
		rc = line_parse(&p, (struct kv_slice){ copy + 1, until - at },
		    max, &req);
		at += req.used;
		if (rc == KV_OK)
			show(text, "[", 1);
		for (i = 0;
		     rc == KV_OK && i < req.count && i < REQUEST_ARGS_EMBEDDED;
		     i++) {
			show(text, "|", i == 0 ? 0 : 1);
			show(text, req.args[i].data, req.args[i].len);
		}
		if (rc == KV_OK)
			show(text, "]", 1);
		if (rc == KV_ETOOBIG || rc == KV_EPROTO)
			show(text, rc == KV_EPROTO ? "*" : "!", 1);
		free(copy);
	}
	if (at < in.len)
		assert_int_equal(buf_printf(text, "+%zu", in.len - at), KV_OK);
	show(text, "", 1);
	request_fini(&req);
}

static void
check(struct kv_slice in, size_t max, struct kv_slice want, size_t piece,
    uint64_t *seed)
{
	struct buf text;

	buf_init(&text);
	read_lines(in, max, piece, seed, &text);
	assert_int_equal(text.len, want.len + 1);
	assert_memory_equal(text.data, want.data, want.len);
	buf_fini(&text);
}

struct stream {
	struct kv_slice in;
	struct kv_slice want;
};

#define STREAM(in, want)                                                       \
	{                                                                      \
		{ in, sizeof(in) - 1 },                                        \
		{                                                              \
			want, sizeof(want) - 1                                 \
		}                                                              \
	}

/* From reference/transcripts.txt, and more of the kind. */
static const struct stream streams[] = {
	STREAM("PUT shopping milk 1\r\n", "[PUT|shopping|milk|1]"),
	STREAM("PUT a b c\nGET a b\n", "[PUT|a|b|c][GET|a|b]"),
	STREAM("\r\n\n   \r\n\t\r\n\r\r\n", "[][][][][]"),
	STREAM("  CREATE   ws  \r\n", "[CREATE|ws]"),
	STREAM("\tPUT\tws\tk\tv\t\r\n", "[PUT|ws|k|v]"),
	STREAM("PUT\vws\fk2\vv2\r\n", "[PUT|ws|k2|v2]"),
	STREAM("PUT ws\rk3\rv3\r\n", "[PUT|ws|k3|v3]"),
	STREAM("PUT ws k4\r\r\r\n", "[PUT|ws|k4]"),
	STREAM("GET ws  k \r \r\n", "[GET|ws|k]"),
	STREAM("GET le k\r", "+9"),
	STREAM("PUT ea k \"two words\"\r\n", "[PUT|ea|k|\"two|words\"]"),
	STREAM("k\xa0x k\x85x\n", "[k\xa0x|k\x85x]"),
	STREAM("a\xc2\x85z\xc2\xa0y\xe1\x9a\x80x\xe1\xa0\x8ew\n",
	    "[a|z\xc2\xa0y|x\xe1\xa0\x8ew]"),
	STREAM("a\xe2\x80\x80"
	       "b\xe2\x80\x86"
	       "c\xe2\x80\x87"
	       "d\xe2\x80\x88"
	       "e\xe2\x80\x8a"
	       "f\xe2\x80\x8b\n",
	    "[a|b|c\xe2\x80\x87"
	    "d|e|f\xe2\x80\x8b]"),
	STREAM("a\xe2\x80\xa8z\xe2\x80\xa9y\xe2\x80\xafx\xe2\x81\x9fw"
	       "\xe2\x81\xa0v\xe3\x80\x80u\xef\xbb\xbft\n",
	    "[a|z|y\xe2\x80\xafx|w\xe2\x81\xa0v|u\xef\xbb\xbft]"),
	STREAM("PUT nc \0 v\0\1\x1c\x1f\x7f\n",
	    "[PUT|nc|\0|v\0\1\x1c\x1f\x7f]"),
	STREAM("a \xe2\x80\nb \xf0\x9f\xa5\nc \xc2\n",
	    "[a|\xe2\x80][b|\xf0\x9f\xa5][c|\xc2]"),
	STREAM("\xff\xf4\xff\xfd\x06\r\n", "[\xff\xf4\xff\xfd\x06]"),
	/* The limit is 40 bytes. */
	STREAM("1234567890123456789012345678901234567890\n",
	    "[1234567890123456789012345678901234567890]"),
	STREAM("12345678901234567890123456789012345678901\nGET b k\n",
	    "![GET|b|k]"),
	STREAM("a\n1234567890123456789012345678901234567890 CREATE hidden b "
	       "CREATE hidden c CREATE hidden d\r\nGET b k\n",
	    "[a]![GET|b|k]"),
	STREAM("12345678901234567890123456789012345678901", "!"),
	/* RESP begins. */
	STREAM("GET b k\r\n*1\r\n$4\r\nPING\r\n", "[GET|b|k]*+14"),
	STREAM("*12\n", "*+4"),
	STREAM("*\n*1a\n *1\n*1 2\n", "[*][*1a][*1][*1|2]"),
	STREAM("12345678901234567890123456789012345678901\n*1\r\n", "!*+4"),
};

static void
lines_are_split_as_the_original_does(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(streams) / sizeof(*streams); i++)
		check(streams[i].in, 40, streams[i].want, SIZE_MAX / 4, NULL);
}

static void
lines_in_pieces_are_the_same_lines(void **state)
{
	uint64_t seed = rng_u64() | 1;
	size_t i, piece, round;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
		const struct stream *s = &streams[i];

		for (piece = 1; piece <= s->in.len; piece++)
			check(s->in, 40, s->want, piece, NULL);
		for (round = 0; round < 50; round++)
			check(s->in, 40, s->want, 11, &seed);
	}
}

static void
random_bytes_in_random_pieces_are_the_same_lines(void **state)
{
	static const char bytes[] = "ab \t\r\n\n*12\xc2\x85\xa0\xe2\x80\x81\0";
	uint64_t seed = rng_u64() | 1;
	int round;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (round = 0; round < 5000; round++) {
		char in[100];
		struct buf want;
		size_t i;

		for (i = 0; i < sizeof(in); i++)
			in[i] = bytes[rng_next(&seed) % (sizeof(bytes) - 1)];
		buf_init(&want);
		read_lines((struct kv_slice){ in, sizeof(in) }, 20,
		    SIZE_MAX / 4, NULL, &want);
		check((struct kv_slice){ in, sizeof(in) }, 20,
		    (struct kv_slice){ want.data, want.len - 1 }, 9, &seed);
		buf_fini(&want);
	}
}

static void
a_line_of_2000_words_is_counted_and_needs_no_memory(void **state)
{
	struct line_parser p = { 0, false };
	struct request req;
	struct buf b;
	int i;

	(void)state;
	buf_init(&b);
	for (i = 0; i < 2000; i++)
		assert_int_equal(buf_append(&b, "w ", 2), KV_OK);
	assert_int_equal(buf_append(&b, "\r\n", 2), KV_OK);
	request_init(&req);
	assert_int_equal(line_parse(&p, buf_slice(&b), 10000, &req), KV_OK);
	assert_int_equal(req.count, 2000);
	assert_ptr_equal(req.args, req.embedded);
	assert_int_equal(req.used, b.len);
	request_fini(&req);
	buf_fini(&b);
}

static void
answers_and_notifications_are_those_of_the_original(void **state)
{
	struct buf b;
	struct reply r = { &b, 2, KV_OK };

	(void)state;
	buf_init(&b);
	line_ok(&r);
	line_value(&r, BYTES("1"));
	line_value(&r, (struct kv_slice){ NULL, 0 });
	line_not_found(&r);
	line_unknown(&r);
	line_error(&r, "line too long");
	line_item(&r, BYTES("b1"));
	line_number(&r, -12);
	line_set_to(&r, BYTES("milk"), BYTES("1\0002"));
	line_deleted(&r, BYTES("milk"));
	line_gap(&r);
	assert_int_equal(r.rc, KV_OK);
	assert_int_equal(buf_append(&b, "", 1), KV_OK);
	assert_memory_equal(b.data,
	    "OK\r\n1\r\nOK\r\n\r\nOK\r\nNOT FOUND\r\nUNKNOWN COMMAND\r\n"
	    "ERROR line too long\r\nb1\r\n-12\r\n"
	    "milk SET TO 1\0002\r\nmilk DELETED\r\nGAP\r\n",
	    b.len);
	buf_fini(&b);
}

/* ---- sniffing */

static bool
is_command(struct kv_slice word)
{
	return slice_is_word(word, "ping") || slice_is_word(word, "get") ||
	    slice_is_word(word, "set") || slice_is_word(word, "hello") ||
	    slice_is_word(word, "subscribe") || slice_is_word(word, "auth");
}

struct first {
	const char *in;
	enum sniff_answer want;
};

static const struct first firsts[] = {
	{ "", SNIFF_MORE },
	{ "*", SNIFF_RESP },
	{ "*3\r\n$3\r\nSET", SNIFF_RESP },
	{ "CREATE b\r\n", SNIFF_LINE },
	{ "  CREATE   ws  \r\n", SNIFF_LINE },
	{ "PUT\xe2\x80\x80k\r\n", SNIFF_LINE },
	{ "GET b k\r\n", SNIFF_LINE },
	{ "GET k\r\n", SNIFF_LINE },
	{ "SUBSCRIBE\n", SNIFF_LINE },
	{ "BUCKETS\nPING\r\n", SNIFF_LINE },
	{ "get k\r\n", SNIFF_RESP },
	{ "Get k\r\n", SNIFF_RESP },
	{ "subscribe k\r\n", SNIFF_RESP },
	{ "PING\r\n", SNIFF_RESP },
	{ "AUTH secret\r\n", SNIFF_RESP },
	{ "set \"a b\" c\r\n", SNIFF_RESP },
	{ "HELLO world\r\n", SNIFF_RESP },
	{ "HELLO world", SNIFF_MORE },
	{ "create b\r\n", SNIFF_LINE },
	{ "WHATEVER\r\n", SNIFF_LINE },
	{ "\xff\xf4\xff\xfd\x06\r\n", SNIFF_LINE },
	{ "  ", SNIFF_MORE },
	{ "\r\n", SNIFF_BLANK },
	{ "   \r\n", SNIFF_BLANK },
	{ "\r\n*", SNIFF_RESP },
	{ "\n\n\n", SNIFF_LINE },
	{ "\r\nPING\r\n", SNIFF_LINE },
	{ "POST / HTT", SNIFF_CLOSE },
	{ "post /", SNIFF_CLOSE },
	{ "Host: localhost\r\n", SNIFF_CLOSE },
	{ "POSTER\r\n", SNIFF_LINE },
	{ "GET / HTTP/1.1\r\n", SNIFF_CLOSE },
	{ "PUT /shopping HTTP/1.0\n", SNIFF_CLOSE },
	{ "OPTIONS * HTTP/1.1\r\nHost: x\r\n", SNIFF_CLOSE },
	{ "GET b HTTP/1.1x\r\n", SNIFF_LINE },
	{ "GET b HTTP/1.\r\n", SNIFF_LINE },
	{ "PUT b k 01234567890123456789012345678901", SNIFF_MORE },
	{ "PUT b k 0123456789012345678901234567890123", SNIFF_LINE },
	{ "PUT b k 01234567890123456789012345678901234 HTTP/1.1\r\n",
	    SNIFF_LINE },
};

static void
the_first_line_decides_the_protocol(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(firsts) / sizeof(*firsts); i++) {
		struct sniffer s = { 0 };

		assert_int_equal(sniff_protocol(&s, slice_of(firsts[i].in), 40,
				     is_command),
		    firsts[i].want);
	}
}

/* Once it is neither "more" nor "blank" the answer is final. */
static void
a_first_line_in_pieces_decides_the_same(void **state)
{
	size_t i, n, len, step;

	(void)state;
	for (i = 0; i < sizeof(firsts) / sizeof(*firsts); i++) {
		len = strlen(firsts[i].in);
		for (step = 1; step <= len; step++) {
			enum sniff_answer got = SNIFF_MORE;
			struct sniffer s = { 0 };

			for (n = step; got == SNIFF_MORE || got == SNIFF_BLANK;
			     n += step) {
				struct kv_slice in = { firsts[i].in,
					n < len ? n : len };

				got = sniff_protocol(&s, in, 40, is_command);
				if (n >= len)
					break;
			}
			assert_int_equal(got, firsts[i].want);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_split_as_the_original_does),
		cmocka_unit_test(lines_in_pieces_are_the_same_lines),
		cmocka_unit_test(
		    random_bytes_in_random_pieces_are_the_same_lines),
		cmocka_unit_test(
		    a_line_of_2000_words_is_counted_and_needs_no_memory),
		cmocka_unit_test(
		    answers_and_notifications_are_those_of_the_original),
		cmocka_unit_test(the_first_line_decides_the_protocol),
		cmocka_unit_test(a_first_line_in_pieces_decides_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
