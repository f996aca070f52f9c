/* SPDX-License-Identifier: ISC */
/* Rows to bytes and back, and bytes that are no rows. */

#include "tree/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/rng.h"
#include "tree_model.h"

static struct kv_slice
slice(const char *data, size_t n)
{
	return (struct kv_slice){ data, n };
}

static void
a_row_is_these_bytes(void **state)
{
	static const char expected[] = "\0\0\0\0\0\0\1\2"
				       "\0\0\0\0\0\0\3\4"
				       "\0\0\0\0\0\0\5\6"
				       "\x2c"
				       "\0\0\0\0\0\0\7\x08"
				       "value";
	struct record r = { .type = RECORD_PUT, .deadline = 0x708 };
	char row[64];
	size_t head;

	(void)state;
	r.stamp = (struct stamp){ 0x102, 0x304 };
	r.seq = 0x506;
	r.flags = RECORD_MORE | RECORD_RELAY | RECORD_LOCAL;
	r.value = slice_of("value");
	head = schema_row_head(&r);
	assert_int_equal(head, SCHEMA_ROW_HEAD + 8);
	schema_put_row_head(row, &r);
	memcpy(row + head, r.value.data, r.value.len);
	assert_memory_equal(row, expected, head + r.value.len);
}

static void
assert_same(const struct record *a, const struct record *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->seq, b->seq);
	assert_int_equal(stamp_compare(a->stamp, b->stamp), 0);
	assert_int_equal(a->deadline, b->deadline);
	assert_int_equal(a->marks, b->marks);
	assert_int_equal(stamp_compare(a->prev, b->prev), 0);
	assert_true(slice_equal(a->value, b->value));
}

static void
a_row_with_a_prev_has_these_bytes(void **state)
{
	static const char expected[] = "\0\0\0\0\0\0\1\2"
				       "\0\0\0\0\0\0\3\4"
				       "\0\0\0\0\0\0\5\6"
				       "\x05"
				       "\0\0\0\0\0\0\7\x08"
				       "\0\0\0\0\0\0\x09\x0a"
				       "\0\0\0\0\0\0\x0b\x0c";
	struct record r = { .type = RECORD_PUT,
		.marks = RECORD_NEW | RECORD_PREV,
		.seq = 0x506,
		.stamp = { 0x102, 0x304 },
		.deadline = 0x708,
		.prev = { 0x90a, 0xb0c } };
	char row[SCHEMA_ROW_HEAD_MAX];

	(void)state;
	assert_int_equal(schema_row_head(&r), SCHEMA_ROW_HEAD_MAX);
	schema_put_row_head(row, &r);
	assert_memory_equal(row, expected, sizeof(row));
}

static void
random_rows_come_back_as_they_went(void **state)
{
	uint64_t seed = test_seed(__func__);
	unsigned i;

	(void)state;
	for (i = 0; i < 10000; i++) {
		struct record r = { .type = RECORD_PUT }, back;
		char row[128];
		size_t head;

		if (rng_next(&seed) % 3 == 0)
			r.type = RECORD_TOMB;
		r.seq = rng_next(&seed);
		r.stamp.tick = rng_next(&seed);
		r.stamp.inc = rng_next(&seed);
		r.deadline = rng_next(&seed) % 2 ? rng_next(&seed) | 1 : 0;
		r.flags = (uint8_t)(rng_next(&seed) &
		    (RECORD_FOREIGN | RECORD_RELAY | RECORD_EXPIRED |
			RECORD_LOCAL));
		if (r.deadline != 0)
			r.flags |= RECORD_DEADLINE;
		if (rng_next(&seed) % 2) {
			r.marks = RECORD_PREV;
			r.prev.tick = rng_next(&seed);
		}
		if (r.type == RECORD_PUT)
			r.value = slice("0123456789", rng_next(&seed) % 11);
		head = schema_row_head(&r);
		schema_put_row_head(row, &r);
		if (r.value.len > 0)
			memcpy(row + head, r.value.data, r.value.len);
		assert_int_equal(schema_get_row(slice(row, head + r.value.len),
				     &back),
		    KV_OK);
		assert_same(&r, &back);
	}
}

static void
a_row_cut_short_is_corrupt(void **state)
{
	struct record r = { .type = RECORD_PUT,
		.marks = RECORD_PREV,
		.deadline = 5 };
	char row[SCHEMA_ROW_HEAD_MAX];
	size_t n;

	(void)state;
	schema_put_row_head(row, &r);
	for (n = 0; n < sizeof(row); n++)
		assert_int_equal(schema_get_row(slice(row, n), &r),
		    KV_ECORRUPT);
	assert_int_equal(schema_get_row(slice(row, n), &r), KV_OK);
}

static void
a_deadline_of_zero_is_corrupt(void **state)
{
	struct record r = { .type = RECORD_PUT, .deadline = 5 };
	char row[SCHEMA_ROW_HEAD_MAX];

	(void)state;
	schema_put_row_head(row, &r);
	row[SCHEMA_ROW_HEAD + 7] = 0;
	assert_int_equal(schema_get_row(slice(row, SCHEMA_ROW_HEAD + 8), &r),
	    KV_ECORRUPT);
}

static void
a_bucket_row_is_these_bytes(void **state)
{
	static const char expected[] = "\1"
				       "\1\2\3\4\5\6\7\x08"
				       "\0\0\0\0\0\0\0\x11\0\0\0\0\0\0\0\x12"
				       "\0\0\0\0\0\0\0\x13\0\0\0\0\0\0\0\x14"
				       "\0\0\0\5"
				       "\0\0\0\0\0\0\0\x15";
	struct bucket b = { .bid = 0x0102030405060708, .options = 5 }, back;
	char row[SCHEMA_BUCKET_ROW];

	(void)state;
	b.created = (struct stamp){ 0x11, 0x12 };
	b.dropped = (struct stamp){ 0x13, 0x14 };
	b.seq = 0x15;
	schema_put_bucket(row, &b);
	assert_memory_equal(row, expected, sizeof(row));
	assert_int_equal(schema_get_bucket(slice(row, sizeof(row)), &back),
	    KV_OK);
	assert_int_equal(back.bid, b.bid);
	assert_int_equal(stamp_compare(back.created, b.created), 0);
	assert_int_equal(stamp_compare(back.dropped, b.dropped), 0);
	assert_int_equal(back.options, b.options);
	assert_int_equal(back.seq, b.seq);
}

static void
a_bucket_row_of_a_later_version_is_told_from_a_corrupt_one(void **state)
{
	char row[SCHEMA_BUCKET_ROW] = { 2 };
	struct bucket b;
	size_t n;

	(void)state;
	assert_int_equal(schema_get_bucket(slice(row, sizeof(row)), &b),
	    KV_EVERSION);
	assert_int_equal(schema_get_bucket(slice(row, 1), &b), KV_EVERSION);
	row[0] = 0;
	assert_int_equal(schema_get_bucket(slice(row, sizeof(row)), &b),
	    KV_ECORRUPT);
	row[0] = 1;
	for (n = 0; n < sizeof(row); n++)
		assert_int_equal(schema_get_bucket(slice(row, n), &b),
		    KV_ECORRUPT);
}

static void
a_tombstone_dies_at_the_later_of_stamp_and_deadline(void **state)
{
	struct record r = { .type = RECORD_TOMB, .seq = 9 };
	struct schema_expiry e;

	(void)state;
	r.stamp.tick = (uint64_t)1000 << 16;
	e = schema_expiry_of(&r);
	assert_int_equal(e.kind, 'T');
	assert_int_equal(e.ms, 1000);
	assert_int_equal(e.seq, 9);
	r.deadline = 999;
	assert_int_equal(schema_expiry_of(&r).ms, 1000);
	r.deadline = 1001;
	assert_int_equal(schema_expiry_of(&r).ms, 1001);
}

static void
only_records_with_deadlines_expire(void **state)
{
	struct record r = { .type = RECORD_PUT, .seq = 9 };

	(void)state;
	assert_int_equal(schema_expiry_of(&r).kind, 0);
	r.deadline = 5;
	assert_int_equal(schema_expiry_of(&r).kind, 'D');
	assert_int_equal(schema_expiry_of(&r).ms, 5);
	r.type = RECORD_BUCKET;
	assert_int_equal(schema_expiry_of(&r).kind, 0);
}

static void
random_bytes_never_fool_a_reader_past_their_end(void **state)
{
	uint64_t seed = test_seed(__func__);
	unsigned i;

	(void)state;
	for (i = 0; i < 20000; i++) {
		size_t n = rng_next(&seed) % 70, j;
		char *bytes = malloc(n + 1); /* so that ASan sees the end */
		struct record r = { 0 };
		struct schema_expiry e;
		struct bucket b;
		struct totals t;

		assert_non_null(bytes);
		for (j = 0; j < n; j++)
			bytes[j] = (char)rng_next(&seed);
		if (n > 0 && i % 2)
			bytes[0] &= 3;
		bytes = realloc(bytes, n > 0 ? n : 1);
		assert_non_null(bytes);
		if (schema_get_row(slice(bytes, n), &r) == KV_OK)
			assert_true(r.value.data + r.value.len == bytes + n);
		if (schema_get_entry(slice(bytes, n), &r) == KV_OK)
			assert_true(r.key.data + r.key.len == bytes + n);
		if (schema_get_expiry(slice(bytes, n), &e) == KV_OK)
			assert_int_equal(n, SCHEMA_EXPIRY_KEY);
		if (schema_get_bucket(slice(bytes, n), &b) == KV_OK)
			assert_int_equal(n, SCHEMA_BUCKET_ROW);
		if (schema_get_totals(slice(bytes, n), &t) == KV_OK)
			assert_int_equal(n, SCHEMA_TOTALS_ROW);
		free(bytes);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_is_these_bytes),
		cmocka_unit_test(a_row_with_a_prev_has_these_bytes),
		cmocka_unit_test(random_rows_come_back_as_they_went),
		cmocka_unit_test(a_row_cut_short_is_corrupt),
		cmocka_unit_test(a_deadline_of_zero_is_corrupt),
		cmocka_unit_test(a_bucket_row_is_these_bytes),
		cmocka_unit_test(
		    a_bucket_row_of_a_later_version_is_told_from_a_corrupt_one),
		cmocka_unit_test(
		    a_tombstone_dies_at_the_later_of_stamp_and_deadline),
		cmocka_unit_test(only_records_with_deadlines_expire),
		cmocka_unit_test(
		    random_bytes_never_fool_a_reader_past_their_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
