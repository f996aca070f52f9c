/* SPDX-License-Identifier: ISC */
/* Bytes of records and of segment headers. */

#include "wal/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/rng.h"
#include "wal/record.h"

#define NONCE 0x1234567890abcdefull
#define LSN 0x40001000ull
#define ROUNDS 2000

static _Alignas(8) char bytes[4096];

static struct wal_record *
encode(const struct record *r)
{
	struct wal_record *w = (struct wal_record *)(void *)bytes;

	memset(bytes, 0xaa, sizeof(bytes));
	wal_record_encode(w, r);
	w->seq = r->seq;
	w->prev = 17;
	w->bucket_prev = 18;
	w->totals = (struct totals){ 1, 2, { 3, 4 } };
	w->check = wal_record_check(w, NONCE, LSN);
	return w;
}

static struct record
sample(uint8_t flags)
{
	return (struct record){ .type = RECORD_PUT,
		.flags = flags,
		.seq = 41,
		.stamp = { 31, 32 },
		.bid = 5,
		.deadline = flags & RECORD_DEADLINE ? 1234567 : 0,
		.key = slice_of("milk"),
		.value = slice_of("two litres") };
}

static void
assert_same(const struct record *a, const struct record *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->seq, b->seq);
	assert_int_equal(a->bid, b->bid);
	assert_int_equal(a->deadline, b->deadline);
	assert_int_equal(a->marks, b->marks);
	assert_true(stamp_compare(a->prev, b->prev) == 0);
	assert_true(slice_equal(a->key, b->key));
	assert_true(slice_equal(a->value, b->value));
	if (b->flags & RECORD_FOREIGN) {
		assert_int_equal(a->stamp.tick, b->stamp.tick);
		assert_int_equal(a->stamp.inc, b->stamp.inc);
	} else {
		assert_int_equal(a->stamp.tick, b->seq);
		assert_int_equal(a->stamp.inc, 99);
	}
}

static void
a_record_comes_back_as_it_was_written(void **state)
{
	uint64_t seed = rng_u64() | 1;
	char text[1200];
	int i;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (i = 0; i < (int)sizeof(text); i++)
		text[i] = (char)rng_next(&seed);
	for (i = 0; i < ROUNDS; i++) {
		struct record out, r = sample(rng_next(&seed) & 0x3f);
		struct wal_record *w;

		r.type = (enum record_type)(1 + rng_next(&seed) % 4);
		r.key = (struct kv_slice){ text,
			rng_next(&seed) % (KV_KEY_MAX + 1) };
		r.value = (struct kv_slice){ text + KV_KEY_MAX,
			rng_next(&seed) % 600 };
		r.marks = rng_next(&seed) % 2 ? RECORD_PREV : RECORD_NEW;
		if (r.marks & RECORD_PREV)
			r.prev = (struct stamp){ rng_next(&seed), 77 };
		w = encode(&r);
		assert_int_equal(w->len % 8, 0);
		assert_int_equal(wal_record_verify(w, w->len, NONCE, LSN),
		    KV_OK);
		wal_record_view(w, 99, LSN, &out);
		assert_same(&out, &r);
		assert_int_equal(out.end, LSN + w->len);
		assert_true(slice_equal(wal_record_key(w), r.key));
	}
}

static void
every_flipped_bit_of_a_record_is_found(void **state)
{
	uint8_t flags;

	(void)state;
	for (flags = 0; flags < 16; flags++) {
		struct record r = sample(flags & 7);
		struct wal_record *w;
		const char *end;
		size_t i, n;

		r.marks = flags & 8 ? RECORD_PREV : 0;
		r.prev = (struct stamp){ 21, 22 };
		w = encode(&r);
		end = wal_record_key(w).data + r.key.len + r.value.len;
		n = (size_t)(end - bytes) * 8;

		/* The zeros behind the value mean nothing. */
		for (i = 0; i < n; i++) {
			bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
			assert_int_equal(wal_record_verify(w, sizeof(bytes),
					     NONCE, LSN),
			    KV_ECORRUPT);
			bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
		}
		assert_int_equal(wal_record_verify(w, sizeof(bytes), NONCE,
				     LSN),
		    KV_OK);
	}
}

static void
a_record_of_another_segment_or_place_is_refused(void **state)
{
	struct record r = sample(0);
	struct wal_record *w = encode(&r);
	int i;

	(void)state;
	for (i = 0; i < 64; i++) {
		assert_int_equal(wal_record_verify(w, w->len, NONCE ^ 1ull << i,
				     LSN),
		    KV_ECORRUPT);
		assert_int_equal(wal_record_verify(w, w->len, NONCE,
				     LSN ^ 1ull << i),
		    KV_ECORRUPT);
	}
}

static void
a_record_that_does_not_fit_is_refused(void **state)
{
	struct record r = sample(RECORD_FOREIGN | RECORD_DEADLINE);
	struct wal_record *w = encode(&r), *copy;
	size_t room, len = w->len;

	(void)state;
	for (room = 0; room < len; room++) {
		/* Exactly so much memory: a sanitizer sees a read past it. */
		if ((copy = malloc(room + 1)) == NULL)
			abort();
		memcpy(copy, bytes, room);
		assert_int_equal(wal_record_verify(copy, room, NONCE, LSN),
		    KV_ECORRUPT);
		free(copy);
	}
}

static void
an_end_mark_is_the_least_record(void **state)
{
	struct record r = { .type = RECORD_END, .seq = 7 };
	struct wal_record *w = encode(&r);

	(void)state;
	assert_int_equal(w->len, WAL_RECORD_MIN);
	assert_int_equal(wal_record_verify(w, WAL_RECORD_MIN, NONCE, LSN),
	    KV_OK);
}

static struct segment_header
header(void)
{
	struct segment_header h = { .store_id = 1,
		.size = 1 << 20,
		.number = 3,
		.first_seq = 4,
		.prev_end = 5,
		.prev_nonce = 6,
		.nonce = 7,
		.inc = 8,
		.made_ms = 9 };

	segment_header_seal(&h);
	return h;
}

static void
every_flipped_bit_of_a_header_is_found(void **state)
{
	struct segment_header h = header();
	unsigned char *b = (unsigned char *)&h;
	size_t i;

	(void)state;
	assert_int_equal(segment_header_verify(&h), KV_OK);
	for (i = 0; i < sizeof(h) * 8; i++) {
		b[i / 8] ^= (unsigned char)(1 << i % 8);
		assert_true(segment_header_verify(&h) < 0);
		b[i / 8] ^= (unsigned char)(1 << i % 8);
	}
}

static void
a_header_of_another_format_is_told_from_a_damaged_one(void **state)
{
	struct segment_header h = header();

	(void)state;
	h.magic = __builtin_bswap64(h.magic);
	assert_int_equal(segment_header_verify(&h), KV_EVERSION);
	h = header();
	h.version++;
	assert_int_equal(segment_header_verify(&h), KV_EVERSION);
	h = header();
	h.byte_order = __builtin_bswap32(h.byte_order);
	assert_int_equal(segment_header_verify(&h), KV_EVERSION);
	h = header();
	h.inc++;
	assert_int_equal(segment_header_verify(&h), KV_ECORRUPT);
	memset(&h, 0, sizeof(h));
	assert_int_equal(segment_header_verify(&h), KV_ENOTFOUND);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_comes_back_as_it_was_written),
		cmocka_unit_test(every_flipped_bit_of_a_record_is_found),
		cmocka_unit_test(
		    a_record_of_another_segment_or_place_is_refused),
		cmocka_unit_test(a_record_that_does_not_fit_is_refused),
		cmocka_unit_test(an_end_mark_is_the_least_record),
		cmocka_unit_test(every_flipped_bit_of_a_header_is_found),
		cmocka_unit_test(
		    a_header_of_another_format_is_told_from_a_damaged_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
