/* SPDX-License-Identifier: ISC */
/* Frames of a link: whole, in pieces, altered, out of order, at their end. */

#include "sync/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/rng.h"
#include "sync/frame.h"
#include "sync_rig.h"

#define HOUR (3600u * 1000)

static_assert(FRAME_MAX == CHANNEL_PLAIN_MAX, "a frame fills a message");

static struct channel a, b;
static struct buf out;

static int
setup(void **state)
{
	struct handshake_session i, r;

	(void)state;
	sync_rig_sessions(&i, &r);
	channel_take(&a, &i, 0);
	channel_take(&b, &r, 0);
	assert_true(sodium_is_zero((uint8_t *)&i, sizeof(i)));
	buf_init(&out);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	channel_fini(&a);
	channel_fini(&b);
	buf_fini(&out);
	return 0;
}

static int
seal(struct channel *c, const void *p, size_t n, bool is_final, uint64_t now)
{
	size_t at;

	assert_int_equal(channel_begin(&out, &at), KV_OK);
	assert_int_equal(buf_append(&out, p, n), KV_OK);
	return channel_end(c, &out, at, is_final, now);
}

/* Open the frame at the front of out; it must be this one. */
static void
expect(struct channel *c, const void *p, size_t n, bool is_final)
{
	struct channel_frame f;

	assert_int_equal(channel_open(c, out.data, out.len, &f), KV_OK);
	assert_int_equal(f.plain.len, n);
	assert_memory_equal(f.plain.data, p, n);
	assert_int_equal(f.is_final, is_final);
	buf_consume(&out, f.used);
}

static void
frames_of_all_sizes_come_out_as_they_went_in(void **state)
{
	static char plain[CHANNEL_PLAIN_MAX];
	static const size_t sizes[] = { 1, 2, 63, 64, 65, 1000, 65517, 65518 };
	size_t i, r;

	(void)state;
	randombytes_buf(plain, sizeof(plain));
	for (r = 0; r < 2; r++) {
		for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
			assert_int_equal(seal(r ? &b : &a, plain, sizes[i],
					     false, 0),
			    KV_OK);
		for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
			expect(r ? &a : &b, plain, sizes[i], false);
		assert_int_equal(out.len, 0);
	}
}

static void
a_frame_is_a_length_and_a_secretstream_message(void **state)
{
	crypto_secretstream_xchacha20poly1305_state rx = b.rx;
	unsigned char plain[11], tag;
	unsigned long long n;

	(void)state;
	assert_int_equal(seal(&a, "hello world", 11, false, 0), KV_OK);
	assert_int_equal(out.len, 2 + 17 + 11);
	assert_int_equal(bytes_get_be16(out.data), 17 + 11);
	assert_int_equal(crypto_secretstream_xchacha20poly1305_pull(&rx, plain,
			     &n, &tag, (unsigned char *)out.data + 2, 17 + 11,
			     NULL, 0),
	    0);
	assert_int_equal(tag,
	    crypto_secretstream_xchacha20poly1305_TAG_MESSAGE);
	assert_int_equal(n, 11);
	assert_memory_equal(plain, "hello world", 11);
}

static void
a_frame_too_large_or_empty_is_not_sent(void **state)
{
	static char plain[CHANNEL_PLAIN_MAX + 1];

	(void)state;
	assert_int_equal(seal(&a, "before", 6, false, 0), KV_OK);
	assert_int_equal(seal(&a, plain, sizeof(plain), false, 0), KV_ETOOBIG);
	assert_int_equal(seal(&a, plain, 0, false, 0), KV_EINVAL);
	assert_int_equal(seal(&a, "after", 5, false, 0), KV_OK);
	expect(&b, "before", 6, false);
	expect(&b, "after", 5, false);
	assert_int_equal(out.len, 0);
}

/* As a socket gives them: in pieces of any size, into one buffer. */
static void
frames_in_pieces_are_the_same_frames(void **state)
{
	uint64_t seed = rng_u64() | 1, sent = 0, got = 0;
	struct channel_frame f;
	struct buf wire, in;
	int i, rc;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	buf_init(&wire);
	buf_init(&in);
	for (i = 0; i < 500; i++) {
		char plain[600];
		size_t n = 8 + rng_next(&seed) % 500;

		memset(plain, (int)sent, sizeof(plain));
		bytes_put_be64(plain, sent++);
		out.len = 0;
		assert_int_equal(seal(&a, plain, n, false, 0), KV_OK);
		assert_int_equal(buf_append(&wire, out.data, out.len), KV_OK);
	}
	while (got < sent) {
		size_t n = 1 + rng_next(&seed) % 900;

		n = n < wire.len ? n : wire.len;
		assert_int_equal(buf_append(&in, wire.data, n), KV_OK);
		buf_consume(&wire, n);
		while ((rc = channel_open(&b, in.data, in.len, &f)) == KV_OK) {
			assert_true(bytes_get_be64(f.plain.data) == got);
			assert_int_equal((uint8_t)f.plain.data[f.plain.len - 1],
			    got & 0xff);
			got++;
			buf_consume(&in, f.used);
		}
		assert_int_equal(rc, KV_EMORE);
		assert_true(in.len < 2 ? f.used == 0 : f.used > in.len);
	}
	buf_fini(&wire);
	buf_fini(&in);
}

/* Every bit of a frame: refused, and the channel stays shut. */
static void
not_one_flipped_bit_opens(void **state)
{
	struct channel before = b;
	struct channel_frame f;
	struct buf copy;
	size_t bit;
	int rc;

	(void)state;
	buf_init(&copy);
	assert_int_equal(seal(&a, "twelve bytes", 12, false, 0), KV_OK);
	for (bit = 0; bit < 8 * out.len; bit++) {
		copy.len = 0;
		assert_int_equal(buf_append(&copy, out.data, out.len), KV_OK);
		/* More bytes follow, so that a longer frame is whole. */
		assert_int_equal(buf_reserve(&copy, CHANNEL_FRAME_MAX), KV_OK);
		memset(copy.data + copy.len, 0, CHANNEL_FRAME_MAX - copy.len);
		copy.len = CHANNEL_FRAME_MAX;
		copy.data[bit / 8] =
		    (char)(copy.data[bit / 8] ^ (int)(1u << bit % 8));
		b = before;
		rc = channel_open(&b, copy.data, copy.len, &f);
		assert_true(rc == KV_ECORRUPT || rc == KV_EPROTO);
		assert_true(sodium_is_zero((uint8_t *)&b.rx, sizeof(b.rx)));
		assert_int_equal(channel_open(&b, out.data, out.len, &f),
		    KV_ECLOSED);
	}
	b = before;
	expect(&b, "twelve bytes", 12, false);
	buf_fini(&copy);
}

static void
a_length_under_17_is_refused(void **state)
{
	unsigned n;

	(void)state;
	for (n = 0; n < 17; n++) {
		struct channel c = b;
		struct channel_frame f;
		char bytes[64] = { 0, (char)n };

		assert_int_equal(channel_open(&c, bytes, sizeof(bytes), &f),
		    KV_EPROTO);
		assert_int_equal(channel_open(&c, bytes, sizeof(bytes), &f),
		    KV_ECLOSED);
	}
}

static void
frames_lost_repeated_swapped_or_sent_back_are_refused(void **state)
{
	struct channel_frame f;
	struct channel c;
	size_t one;
	char *copy;

	(void)state;
	assert_int_equal(seal(&a, "one", 3, false, 0), KV_OK);
	one = out.len;
	assert_int_equal(seal(&a, "two", 3, false, 0), KV_OK);
	copy = malloc(out.len);
	assert_non_null(copy);
	memcpy(copy, out.data, out.len);
	/* The first lost, or swapped with the second. */
	c = b;
	assert_int_equal(channel_open(&c, out.data + one, one, &f),
	    KV_ECORRUPT);
	memcpy(out.data, copy, out.len);
	/* The first twice. */
	c = b;
	assert_int_equal(channel_open(&c, out.data, one, &f), KV_OK);
	memcpy(out.data, copy, out.len);
	assert_int_equal(channel_open(&c, out.data, one, &f), KV_ECORRUPT);
	/* Back to who sent it. */
	memcpy(out.data, copy, out.len);
	assert_int_equal(channel_open(&a, out.data, one, &f), KV_ECORRUPT);
	free(copy);
}

static void
keys_change_after_an_hour(void **state)
{
	unsigned char key[sizeof(a.tx.k)];

	(void)state;
	memcpy(key, a.tx.k, sizeof(key));
	assert_int_equal(seal(&a, "x", 1, false, HOUR - 1), KV_OK);
	assert_int_equal(a.tx_rekeys, 0);
	assert_memory_equal(key, a.tx.k, sizeof(key));
	assert_int_equal(seal(&a, "y", 1, false, HOUR), KV_OK);
	assert_int_equal(a.tx_rekeys, 1);
	assert_memory_not_equal(key, a.tx.k, sizeof(key));
	assert_int_equal(seal(&a, "z", 1, false, HOUR + 1), KV_OK);
	assert_int_equal(a.tx_rekeys, 1);
	expect(&b, "x", 1, false);
	expect(&b, "y", 1, false);
	expect(&b, "z", 1, false);
	assert_memory_equal(&a.tx, &b.rx, sizeof(a.tx));
	/* Each direction has its own. */
	assert_int_equal(b.tx_rekeys, 0);
}

static void
keys_change_after_a_gibibyte(void **state)
{
	static char plain[CHANNEL_PLAIN_MAX];

	(void)state;
	a.tx_bytes = CHANNEL_REKEY_BYTES - 2 * sizeof(plain);
	assert_int_equal(seal(&a, plain, sizeof(plain), false, 1), KV_OK);
	assert_int_equal(a.tx_rekeys, 0);
	assert_int_equal(seal(&a, plain, sizeof(plain), false, 1), KV_OK);
	assert_int_equal(a.tx_rekeys, 1);
	assert_int_equal(a.tx_bytes, 0);
	assert_int_equal(seal(&a, plain, sizeof(plain), false, 1), KV_OK);
	expect(&b, plain, sizeof(plain), false);
	expect(&b, plain, sizeof(plain), false);
	expect(&b, plain, sizeof(plain), false);
}

static void
after_the_final_frame_nothing_follows(void **state)
{
	struct channel_frame f;

	(void)state;
	assert_int_equal(seal(&a, "bye", 3, true, 0), KV_OK);
	assert_int_equal(seal(&a, "more", 4, false, 0), KV_ECLOSED);
	assert_int_equal(out.len, 2 + 17 + 3);
	expect(&b, "bye", 3, true);
	assert_int_equal(channel_open(&b, out.data, out.len, &f), KV_ECLOSED);
	/* The other direction is still open. */
	assert_int_equal(seal(&b, "yes", 3, false, 0), KV_OK);
	expect(&a, "yes", 3, false);
}

static void
a_tag_that_is_not_used_is_refused(void **state)
{
	struct channel_frame f;
	char frame[2 + 17 + 1] = { 0, 18 };

	(void)state;
	crypto_secretstream_xchacha20poly1305_push(&a.tx,
	    (unsigned char *)frame + 2, NULL, (const unsigned char *)"x", 1,
	    NULL, 0, crypto_secretstream_xchacha20poly1305_TAG_PUSH);
	assert_int_equal(channel_open(&b, frame, sizeof(frame), &f), KV_EPROTO);
}

static void
a_link_is_worn_after_a_day_give_or_take_a_tenth(void **state)
{
	uint64_t first = a.worn_at;
	bool differs = false;
	int i;

	(void)state;
	for (i = 0; i < 50; i++) {
		struct handshake_session s, r;
		struct channel c;

		sync_rig_sessions(&s, &r);
		channel_take(&c, &s, 1000);
		assert_false(
		    channel_is_worn(&c, 1000 + 24ull * HOUR * 9 / 10 - 1));
		assert_true(channel_is_worn(&c, 1000 + 24ull * HOUR * 11 / 10));
		differs = differs || c.worn_at != first;
	}
	assert_true(differs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(frames_of_all_sizes_come_out_as_they_went_in),
		T(a_frame_is_a_length_and_a_secretstream_message),
		T(a_frame_too_large_or_empty_is_not_sent),
		T(frames_in_pieces_are_the_same_frames),
		T(not_one_flipped_bit_opens),
		T(a_length_under_17_is_refused),
		T(frames_lost_repeated_swapped_or_sent_back_are_refused),
		T(keys_change_after_an_hour),
		T(keys_change_after_a_gibibyte),
		T(after_the_final_frame_nothing_follows),
		T(a_tag_that_is_not_used_is_refused),
		T(a_link_is_worn_after_a_day_give_or_take_a_tenth),
#undef T
	};

	return cmocka_run_group_tests_name("sync_channel", tests, NULL, NULL);
}
