/* SPDX-License-Identifier: ISC */
/* Lines, their words, and the choice of protocol: whatever the bytes, in one
 * piece or in many, the same comes out, and nothing outside the input is
 * touched.  The first byte of the input seeds the sizes of the pieces. */

#include <stdlib.h>

#include "base/rng.h"
#include "proto/line.h"
#include "proto/sniff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINE_MAX_BYTES 100

static bool
is_command(struct kv_slice word)
{
	return slice_is_word(word, "get") || slice_is_word(word, "ping");
}

static void
say(struct buf *to, const void *data, size_t n)
{
	if (buf_append(to, &n, sizeof(n)) < 0 || buf_append(to, data, n) < 0)
		abort();
}

static void
say_words(struct buf *to, const struct request *req)
{
	size_t n = req->count, i;

	if (n > REQUEST_ARGS_EMBEDDED)
		n = REQUEST_ARGS_EMBEDDED;
	say(to, &req->count, sizeof(req->count));
	for (i = 0; i < n; i++) {
		const char *p = req->args[i].data;
		const char *end = p + req->args[i].len;

		/* A word is not empty and has no white space in it. */
		if (p == end)
			abort();
		for (; p < end; p++)
			if (line_space(p, end) > 0)
				abort();
		say(to, req->args[i].data, req->args[i].len);
	}
}

static size_t
piece(uint64_t *seed, size_t most, size_t left)
{
	size_t n = 1 + rng_next(seed) % most;

	return n < left ? n : left;
}

static char *
copy_of(const char *data, size_t n)
{
	char *copy = malloc(n + 1);

	if (copy == NULL)
		abort();
	memcpy(copy + 1, data, n);
	return copy;
}

static void
read_lines(struct buf *said, struct kv_slice in, size_t most, uint64_t seed)
{
	struct line_parser p = { 0, false };
	size_t at = 0, until = 0;
	struct request req;
	int rc = KV_EMORE;

	request_init(&req);
	while (rc != KV_EPROTO && (rc != KV_EMORE || until < in.len)) {
		char *copy;

		if (rc == KV_EMORE)
			until += piece(&seed, most, in.len - until);
		copy = copy_of(in.data + at, until - at);
		rc = line_parse(&p, (struct kv_slice){ copy + 1, until - at },
		    LINE_MAX_BYTES, &req);
		if (req.used > until - at)
			abort();
		at += req.used;
		if (rc != KV_EMORE)
			say(said, &rc, sizeof(rc));
		if (rc == KV_OK)
			say_words(said, &req);
		/* More than a line's worth is never kept waiting. */
		if (rc == KV_EMORE && until - at > LINE_MAX_BYTES)
			abort();
		free(copy);
	}
	say(said, &at, sizeof(at));
	request_fini(&req);
}

/* A blank line is decided by what follows it, also when that comes later. */
static void
sniff(struct buf *said, struct kv_slice in, size_t most, uint64_t seed)
{
	enum sniff_answer got = SNIFF_MORE;
	struct sniffer s = { 0 };
	size_t until = 0;

	while (until < in.len && (got == SNIFF_MORE || got == SNIFF_BLANK)) {
		char *copy;

		until += piece(&seed, most, in.len - until);
		copy = copy_of(in.data, until);
		got = sniff_protocol(&s, (struct kv_slice){ copy + 1, until },
		    LINE_MAX_BYTES, is_command);
		free(copy);
	}
	say(said, &got, sizeof(got));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, pieces;
	struct kv_slice in;
	uint64_t seed;

	if (size < 1)
		return 0;
	seed = *data + 1u;
	in = (struct kv_slice){ (const char *)data + 1, size - 1 };
	buf_init(&whole);
	buf_init(&pieces);
	sniff(&whole, in, 1u << 30, seed);
	sniff(&pieces, in, 1u + *data % 40, seed);
	read_lines(&whole, in, 1u << 30, seed);
	read_lines(&pieces, in, 1u + *data % 40, seed);
	if (!slice_equal(buf_slice(&whole), buf_slice(&pieces)))
		abort();
	buf_fini(&whole);
	buf_fini(&pieces);
	return 0;
}
