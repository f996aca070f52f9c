/* SPDX-License-Identifier: ISC */
/* Counts by seq: exact at their marks, near between them, in bounded memory. */

#include "engine/tally.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define STEP 1000 /* between two seqs */

static void
what_is_older_than_the_tally_is_not_known(void **state)
{
	static struct tally t;
	uint64_t n = 7;

	(void)state;
	assert_false(tally_since(&t, 5, false, &n));
	tally_begin(&t, 100);
	assert_false(tally_since(&t, 99, false, &n));
	assert_true(tally_since(&t, 100, false, &n));
	assert_int_equal(n, 0);
	tally_add(&t, 200, true);
	tally_add(&t, 300, false);
	assert_true(tally_since(&t, 100, false, &n));
	assert_int_equal(n, 2);
	assert_true(tally_since(&t, 100, true, &n));
	assert_int_equal(n, 1);
	assert_true(tally_since(&t, 300, false, &n));
	assert_int_equal(n, 0);
	assert_true(tally_since(&t, 12345, false, &n));
	assert_int_equal(n, 0);
}

/* n is what is told of `is`, which is exact for the last few. */
static void
assert_about(uint64_t n, uint64_t is)
{
	uint64_t off = is < TALLY_MARKS ? 0 : is / 8;

	assert_in_range(n, is - off, is + off);
}

static void
many_changes_are_counted_to_an_eighth_in_the_same_memory(void **state)
{
	static struct tally t;
	uint64_t i, n, past, many = 3000000;

	(void)state;
	tally_begin(&t, 0);
	for (i = 1; i <= many; i++)
		tally_add(&t, i * STEP, i % 2 == 0);
	for (past = 0; past <= many; past += 1 + past / 7) {
		assert_true(tally_since(&t, (many - past) * STEP, false, &n));
		assert_about(n, past);
		assert_true(tally_since(&t, (many - past) * STEP, true, &n));
		assert_in_range(n, past / 2 - past / 16,
		    past / 2 + past / 16 + 1);
	}
}

/* Bursts with long pauses. */
static void
uneven_changes_are_counted_as_well(void **state)
{
	static struct tally t;
	static uint64_t seqs[200000];
	uint64_t i, seq = 0, n, all = sizeof(seqs) / sizeof(*seqs);

	(void)state;
	tally_begin(&t, 0);
	for (i = 0; i < all; i++) {
		seq += i % 5000 == 0 ? 1000000000 : 1;
		seqs[i] = seq;
		tally_add(&t, seq, true);
	}
	for (i = 0; i < all; i++) {
		assert_true(tally_since(&t, seqs[i], true, &n));
		assert_about(n, all - 1 - i);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_older_than_the_tally_is_not_known),
		cmocka_unit_test(
		    many_changes_are_counted_to_an_eighth_in_the_same_memory),
		cmocka_unit_test(uneven_changes_are_counted_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
