/* SPDX-License-Identifier: ISC */
/* What is read back of a segment's image, whatever happened to it. */

#include "wal/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"
#include "wal_image.h"

#define SIZE (64u << 10)
#define NUMBER 3
#define NONCE 1234
#define FIRST 100 /* seq before the segment */
#define MOST 512

static struct wal_image image;

/* What the model says: where each batch ends. */
static uint64_t batch_end[MOST], batch_seq[MOST];
static uint64_t batch_records[MOST];
static unsigned batches;

/* What replay said. */
static uint64_t seen[MOST * 4];
static unsigned seen_count;

static void
note(void *user, const struct wal_record *w, uint64_t offset)
{
	(void)user;
	assert_true(w->seq > FIRST);
	if (seen_count > 0)
		assert_true(offset > seen[seen_count - 1]);
	seen[seen_count++] = offset;
}

static void
replay(uint64_t limit, struct replay *out)
{
	seen_count = 0;
	replay_segment(image.segment.base, limit, note, NULL, out);
	assert_int_equal(seen_count, out->records);
}

/* Batches of one to four records, until about `bytes` are full. */
static void
fill(uint64_t *seed, uint64_t bytes)
{
	static const char value[] = "a value that is not long";
	uint64_t records = 0;
	char key[16];

	batches = 0;
	while (image.end < bytes) {
		unsigned n = 1 + (unsigned)(rng_next(seed) % 4);

		while (n-- > 0) {
			snprintf(key, sizeof(key), "k%u",
			    (unsigned)(rng_next(seed) % 50));
			assert_true(
			    wal_image_put(&image, rng_next(seed) % 3, key,
				&value[rng_next(seed) % 20], n > 0) != 0);
			records++;
		}
		batch_end[batches] = image.end;
		batch_seq[batches] = image.seq;
		batch_records[batches] = records;
		batches++;
	}
}

static int
set_up(void **state)
{
	(void)state;
	wal_image_init(&image, SIZE, NUMBER, NONCE, FIRST);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	wal_image_fini(&image);
	return 0;
}

static uint64_t
begin_random(void)
{
	uint64_t seed = rng_u64() | 1;

	print_message("seed %llu\n", (unsigned long long)seed);
	return seed;
}

/* Everything in whole batches up to `limit`, and no more. */
static void
assert_prefix(const struct replay *r, uint64_t limit)
{
	struct replay want = { .end = SEGMENT_HEADER, .last_seq = FIRST };
	unsigned i;

	for (i = 0; i < batches && batch_end[i] <= limit; i++) {
		want.end = batch_end[i];
		want.last_seq = batch_seq[i];
		want.records = batch_records[i];
	}
	assert_int_equal(r->end, want.end);
	assert_int_equal(r->last_seq, want.last_seq);
	assert_int_equal(r->records, want.records);
	assert_false(r->sealed);
}

static void
an_empty_segment_has_no_records(void **state)
{
	struct replay r;

	(void)state;
	batches = 0;
	replay(SIZE, &r);
	assert_prefix(&r, SIZE);
	assert_false(r.torn);
}

static void
a_sealed_segment_is_read_to_its_end(void **state)
{
	uint64_t seed = begin_random();
	struct replay r;

	(void)state;
	fill(&seed, SIZE / 2);
	wal_image_seal(&image);
	replay(SIZE, &r);
	assert_true(r.sealed);
	assert_false(r.torn);
	assert_int_equal(r.end, batch_end[batches - 1]);
	assert_int_equal(r.last_seq, image.seq);
	assert_int_equal(r.records, image.seq - FIRST);
}

static void
an_end_mark_within_a_batch_does_not_seal(void **state)
{
	struct replay r;

	(void)state;
	wal_image_put(&image, 1, "a", "1", false);
	wal_image_put(&image, 1, "b", "1", true);
	wal_image_seal(&image);
	replay(SIZE, &r);
	assert_false(r.sealed);
	assert_true(r.torn);
	assert_int_equal(r.records, 1);
}

static void
an_image_cut_at_any_byte_gives_whole_batches(void **state)
{
	uint64_t seed = begin_random(), cut;
	struct replay r;

	(void)state;
	fill(&seed, SEGMENT_HEADER + 8000);
	for (cut = 0; cut <= image.end; cut++) {
		replay(cut, &r);
		assert_prefix(&r, cut);
	}
}

static void
an_image_whose_tail_was_never_written_gives_whole_batches(void **state)
{
	uint64_t seed = begin_random(), cut;
	struct replay r;

	(void)state;
	fill(&seed, SEGMENT_HEADER + 6000);
	for (cut = image.end; cut-- > SEGMENT_HEADER;) {
		bool lost = image.segment.base[cut] != 0;

		image.segment.base[cut] = 0;
		replay(SIZE, &r);
		if (lost) /* zeros behind a value are no loss */
			assert_prefix(&r, cut);
	}
	assert_false(r.torn);
}

static void
a_flipped_bit_ends_the_log_before_its_batch(void **state)
{
	uint64_t seed = begin_random();
	struct replay r;
	unsigned i;

	(void)state;
	fill(&seed, SEGMENT_HEADER + 8000);
	for (i = 0; i < 3000; i++) {
		uint64_t span = image.end - SEGMENT_HEADER;
		uint64_t at = SEGMENT_HEADER + rng_next(&seed) % span;
		char *byte = &image.segment.base[at];
		char flip = (char)(1 << rng_next(&seed) % 8);

		/* The zeros behind a value mean nothing. */
		if (*byte == 0 && at % 8 != 0)
			continue;
		*byte ^= flip;
		replay(SIZE, &r);
		*byte ^= flip;
		assert_prefix(&r, at);
		assert_true(r.torn);
	}
	replay(SIZE, &r);
	assert_int_equal(r.records, image.seq - FIRST);
}

/* The file of a recycled segment: old records behind the new ones, at places
 * where records begin. */
static void
recycled_bytes_never_join(void **state)
{
	uint64_t seed = begin_random(), old_end;
	struct replay r;
	char key[16];
	unsigned i, n;

	(void)state;
	for (n = 0; n < 20; n++) {
		wal_image_begin(&image, NUMBER, NONCE, FIRST);
		for (i = 0; i < 100; i++) {
			snprintf(key, sizeof(key), "key%02u", i);
			wal_image_put(&image, 1, key, "same size", false);
		}
		old_end = image.end;
		/* A newer life of the slot; only what a header says differs. */
		switch (rng_next(&seed) % 3) {
		case 0:
			wal_image_begin(&image, NUMBER, NONCE + 1 + n, FIRST);
			break;
		case 1:
			wal_image_begin(&image, NUMBER + 5, NONCE, FIRST);
			break;
		default:
			wal_image_begin(&image, NUMBER + 5, NONCE + 1 + n,
			    FIRST + 1000);
			break;
		}
		for (i = 0; i < n; i++) {
			snprintf(key, sizeof(key), "key%02u", i);
			wal_image_put(&image, 1, key, "same size", false);
		}
		assert_true(image.end < old_end);
		replay(SIZE, &r);
		assert_int_equal(r.records, n);
		assert_int_equal(r.end, image.end);
		assert_true(r.torn);
	}
}

static void
records_out_of_order_end_the_log(void **state)
{
	struct replay r;

	(void)state;
	wal_image_put(&image, 1, "a", "1", false);
	image.seq -= 1; /* the next one repeats it */
	wal_image_put(&image, 1, "b", "1", false);
	replay(SIZE, &r);
	assert_int_equal(r.records, 1);
	assert_true(r.torn);
}

static void
nothing_past_the_limit_is_looked_at(void **state)
{
	struct replay r;
	uint32_t at;

	(void)state;
	wal_image_put(&image, 1, "a", "1", false);
	at = wal_image_put(&image, 1, "b", "1", false);
	replay(at, &r);
	assert_int_equal(r.records, 1);
	assert_false(r.torn);
	replay_segment(image.segment.base, SIZE, NULL, NULL, &r);
	assert_int_equal(r.records, 2);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(an_empty_segment_has_no_records),
		TEST(a_sealed_segment_is_read_to_its_end),
		TEST(an_end_mark_within_a_batch_does_not_seal),
		TEST(an_image_cut_at_any_byte_gives_whole_batches),
		TEST(an_image_whose_tail_was_never_written_gives_whole_batches),
		TEST(a_flipped_bit_ends_the_log_before_its_batch),
		TEST(recycled_bytes_never_join),
		TEST(records_out_of_order_end_the_log),
		TEST(nothing_past_the_limit_is_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
