/* SPDX-License-Identifier: ISC */
/* The index of a segment, against lists of what was put. */

#include "wal/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/rng.h"
#include "wal_image.h"

#define KEYS 200
#define BUCKETS 4
#define RECORDS 700

static struct wal_image image;

static int
set_up(void **state)
{
	(void)state;
	wal_image_init(&image, 1 << 20, 3, 1234, 0);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	wal_image_fini(&image);
	return 0;
}

static uint32_t
find(uint64_t bid, const char *key)
{
	return index_find(&image.segment,
	    index_hash_key(WAL_IMAGE_SECRET, WAL_KEY, bid, slice_of(key)),
	    WAL_KEY, bid, slice_of(key));
}

static uint32_t
find_chain(uint64_t bid)
{
	return index_find_chain(&image.segment,
	    index_hash_chain(WAL_IMAGE_SECRET, bid), bid);
}

static void
an_empty_index_finds_nothing(void **state)
{
	(void)state;
	assert_int_equal(find(1, "a"), 0);
	assert_int_equal(find_chain(1), 0);
	assert_int_equal(index_count(&image.segment), 0);
}

static void
a_key_belongs_to_its_bucket_and_class(void **state)
{
	uint32_t at = wal_image_put(&image, 1, "a", "x", false);

	(void)state;
	assert_int_equal(find(1, "a"), at);
	assert_int_equal(find(2, "a"), 0);
	assert_int_equal(find(1, "b"), 0);
	assert_int_equal(index_find(&image.segment,
			     index_hash_key(WAL_IMAGE_SECRET, WAL_KEY, 1,
				 slice_of("a")),
			     WAL_BUCKET_ROW, 1, slice_of("a")),
	    0);
}

static void
the_newest_record_is_found_and_links_lead_to_the_others(void **state)
{
	uint64_t seed = rng_u64() | 1;
	uint32_t newest[BUCKETS][KEYS] = { { 0 } }, chain[BUCKETS] = { 0 };
	char key[16];
	unsigned i, b, k;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (i = 0; i < RECORDS; i++) {
		const struct wal_record *w;
		uint32_t at;

		b = (unsigned)(rng_next(&seed) % BUCKETS);
		k = (unsigned)(rng_next(&seed) % KEYS);
		snprintf(key, sizeof(key), "key%u", k);
		at = wal_image_put(&image, b, key, "value", false);
		w = segment_record(&image.segment, at);
		assert_int_equal((uint64_t)w->prev << 3, newest[b][k]);
		assert_int_equal((uint64_t)w->bucket_prev << 3, chain[b]);
		newest[b][k] = chain[b] = at;
	}
	for (b = 0; b < BUCKETS; b++) {
		assert_int_equal(find_chain(b), chain[b]);
		for (k = 0; k < KEYS; k++) {
			snprintf(key, sizeof(key), "key%u", k);
			assert_int_equal(find(b, key), newest[b][k]);
		}
	}
}

/* All keys at one place with one tag: only the bytes tell them apart. */
static void
keys_of_equal_hash_are_kept_apart(void **state)
{
	enum { SAME = 50, HASH = 1023 };
	uint32_t at[SAME];
	struct segment s = image.segment;
	char key[16];
	unsigned i;

	(void)state;
	s.index = calloc(1024, sizeof(_Atomic uint64_t));
	s.index_mask = 1023; /* so that the probe wraps around */
	assert_non_null(s.index);
	for (i = 0; i < SAME; i++) {
		snprintf(key, sizeof(key), "key%u", i);
		at[i] = wal_image_put(&image, 1, key, "", false);
		assert_true(index_put(&s, HASH, at[i]));
	}
	for (i = 0; i < SAME; i++) {
		snprintf(key, sizeof(key), "key%u", i);
		assert_int_equal(index_find(&s, HASH, WAL_KEY, 1,
				     slice_of(key)),
		    at[i]);
		assert_int_equal(index_find(&s, HASH, WAL_KEY, 2,
				     slice_of(key)),
		    0);
	}
	assert_int_equal(index_count(&s), SAME);
	free(s.index);
}

static void
chains_of_equal_hash_are_kept_apart(void **state)
{
	struct segment s = image.segment;
	uint32_t one = wal_image_put(&image, 1, "a", "", false);
	uint32_t two = wal_image_put(&image, 2, "a", "", false);

	(void)state;
	s.index = calloc(1024, sizeof(_Atomic uint64_t));
	s.index_mask = 1023;
	assert_non_null(s.index);
	assert_true(index_put_chain(&s, 5, one));
	assert_true(index_put_chain(&s, 5, two));
	assert_int_equal(index_find_chain(&s, 5, 1), one);
	assert_int_equal(index_find_chain(&s, 5, 2), two);
	assert_int_equal(index_find_chain(&s, 5, 3), 0);
	free(s.index);
}

static void
a_key_and_a_chain_of_equal_hash_are_kept_apart(void **state)
{
	struct segment s = image.segment;
	uint32_t one = wal_image_put(&image, 1, "a", "", false);
	uint32_t two = wal_image_put(&image, 1, "b", "", false);

	(void)state;
	s.index = calloc(1024, sizeof(_Atomic uint64_t));
	s.index_mask = 1023;
	assert_non_null(s.index);
	index_put(&s, 5, one);
	index_put_chain(&s, 5, two);
	assert_int_equal(index_find(&s, 5, WAL_KEY, 1, slice_of("a")), one);
	assert_int_equal(index_find(&s, 5, WAL_KEY, 1, slice_of("b")), 0);
	assert_int_equal(index_find_chain(&s, 5, 1), two);
	free(s.index);
}

static void
a_bucket_has_its_newest_row_beside_its_newest_record(void **state)
{
	struct record row = { .type = RECORD_BUCKET,
		.bid = 9,
		.key = slice_of("shopping"),
		.value = slice_of("row") };
	uint64_t hash = index_hash_row(WAL_IMAGE_SECRET, 9);
	uint32_t put, at = wal_image_add(&image, &row);

	(void)state;
	assert_true(index_put_row(&image.segment, hash, at));
	put = wal_image_put(&image, 9, "milk", "1", false);
	assert_int_equal(index_find_row(&image.segment, hash, 9), at);
	assert_int_equal(find_chain(9), put);
	at = wal_image_add(&image, &row);
	assert_false(index_put_row(&image.segment, hash, at));
	assert_int_equal(index_find_row(&image.segment, hash, 9), at);
}

static void
putting_twice_changes_nothing_and_putting_older_never_goes_back(void **state)
{
	uint64_t key =
	    index_hash_key(WAL_IMAGE_SECRET, WAL_KEY, 1, slice_of("a"));
	uint64_t chain = index_hash_chain(WAL_IMAGE_SECRET, 1);
	uint32_t one = wal_image_put(&image, 1, "a", "1", false);
	uint32_t two = wal_image_put(&image, 1, "a", "2", false);
	uint64_t count = index_count(&image.segment);

	(void)state;
	assert_false(index_put(&image.segment, key, two));
	assert_false(index_put(&image.segment, key, one));
	assert_false(index_put_chain(&image.segment, chain, two));
	assert_false(index_put_chain(&image.segment, chain, one));
	assert_int_equal(find(1, "a"), two);
	assert_int_equal(find_chain(1), two);
	assert_int_equal(index_count(&image.segment), count);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(an_empty_index_finds_nothing),
		TEST(a_key_belongs_to_its_bucket_and_class),
		TEST(the_newest_record_is_found_and_links_lead_to_the_others),
		TEST(keys_of_equal_hash_are_kept_apart),
		TEST(chains_of_equal_hash_are_kept_apart),
		TEST(a_key_and_a_chain_of_equal_hash_are_kept_apart),
		TEST(a_bucket_has_its_newest_row_beside_its_newest_record),
		TEST(
		    putting_twice_changes_nothing_and_putting_older_never_goes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
