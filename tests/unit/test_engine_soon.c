/* SPDX-License-Identifier: ISC */
/* Deadlines that pass soon, in the order of time. */

#include "engine/soon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

#define NOW 1000000u
#define COUNT 2000

static void
add(struct soon *s, uint64_t deadline, const char *key, uint64_t seq)
{
	struct record r = { .bid = 7,
		.seq = seq,
		.deadline = deadline,
		.key = { key, strlen(key) } };

	soon_add(s, &r, NOW);
}

static void
they_come_in_the_order_of_time_and_not_before_it(void **state)
{
	static uint64_t want[COUNT];
	uint64_t last = 0, taken = 0;
	char key[KV_KEY_MAX], text[32];
	struct record r;
	struct soon *s;
	unsigned i;

	(void)state;
	assert_int_equal(soon_new(&s), KV_OK);
	assert_int_equal(soon_next(s), 0);
	for (i = 0; i < COUNT; i++) {
		want[i] = NOW + rng_u64() % 20000;
		snprintf(text, sizeof(text), "key %u", i);
		add(s, want[i], text, i);
	}
	while (soon_next(s) != 0) {
		uint64_t due = soon_next(s);

		assert_false(soon_take(s, due - 1, &r, key));
		assert_true(soon_take(s, due, &r, key));
		assert_true(r.deadline == due && due >= last && r.bid == 7);
		assert_true(r.seq < COUNT && want[r.seq] == due);
		snprintf(text, sizeof(text), "key %u", (unsigned)r.seq);
		assert_int_equal(r.key.len, strlen(text));
		assert_memory_equal(r.key.data, text, r.key.len);
		want[r.seq] = 0; /* each once */
		last = due;
		taken++;
	}
	assert_int_equal(taken, COUNT);
	assert_false(soon_take(s, UINT64_MAX, &r, key));
	soon_free(s);
}

static void
what_is_far_off_or_too_much_is_left_to_others(void **state)
{
	char key[KV_KEY_MAX];
	struct record r;
	struct soon *s;
	unsigned i, taken = 0;

	(void)state;
	assert_int_equal(soon_new(&s), KV_OK);
	add(s, NOW + 3600000, "far", 1);
	assert_int_equal(soon_next(s), 0);
	for (i = 0; i < 100000; i++)
		add(s, NOW + 1, "k", i);
	while (soon_take(s, NOW + 1, &r, key))
		taken++;
	assert_int_equal(taken, 65536);
	add(s, NOW + 5, "again", 2);
	assert_int_equal(soon_next(s), NOW + 5);
	soon_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    they_come_in_the_order_of_time_and_not_before_it),
		cmocka_unit_test(what_is_far_off_or_too_much_is_left_to_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
