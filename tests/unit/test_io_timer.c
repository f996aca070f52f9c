/* SPDX-License-Identifier: ISC */
/* The heap of deadlines, against a sorted array as the model. */

#include "io/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/rng.h"

#define TIMERS 200

static void
an_empty_heap_has_nothing_due(void **state)
{
	struct timer_heap heap = { NULL };

	(void)state;
	assert_null(timer_take_due(&heap, UINT64_MAX));
}

static void
a_timer_comes_not_before_its_time(void **state)
{
	struct timer_heap heap = { NULL };
	struct timer t = { 0 };

	(void)state;
	timer_set(&heap, &t, 100);
	assert_null(timer_take_due(&heap, 99));
	assert_ptr_equal(timer_take_due(&heap, 100), &t);
	assert_null(timer_take_due(&heap, 100));
	assert_false(t.is_set);
}

static void
setting_a_timer_again_moves_it(void **state)
{
	struct timer_heap heap = { NULL };
	struct timer a = { 0 }, b = { 0 };

	(void)state;
	timer_set(&heap, &a, 10);
	timer_set(&heap, &b, 20);
	timer_set(&heap, &a, 30);
	assert_ptr_equal(timer_take_due(&heap, 50), &b);
	assert_ptr_equal(timer_take_due(&heap, 50), &a);
}

static void
clearing_a_timer_twice_is_harmless(void **state)
{
	struct timer_heap heap = { NULL };
	struct timer a = { 0 };

	(void)state;
	timer_clear(&heap, &a);
	timer_set(&heap, &a, 1);
	timer_clear(&heap, &a);
	timer_clear(&heap, &a);
	assert_null(timer_take_due(&heap, 1));
}

/* The earliest of the timers that are set, found the slow way. */
static uint64_t
earliest(const struct timer timers[TIMERS])
{
	uint64_t least = UINT64_MAX;
	size_t i;

	for (i = 0; i < TIMERS; i++) {
		if (timers[i].is_set && timers[i].due_ns < least)
			least = timers[i].due_ns;
	}
	return least;
}

static void
any_order_of_set_and_clear_takes_the_earliest_first(void **state)
{
	uint64_t seed = rng_u64() | 1;
	struct timer timers[TIMERS] = { { 0 } }, *t;
	struct timer_heap heap = { NULL };
	int i;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (i = 0; i < 100000; i++) {
		uint64_t r = rng_next(&seed);
		struct timer *any = &timers[(r >> 8) % TIMERS];

		if (r % 4 < 2) {
			timer_set(&heap, any, (r >> 32) % 1000);
		} else if (r % 4 == 2) {
			timer_clear(&heap, any);
		} else {
			uint64_t least = earliest(timers);

			t = timer_take_due(&heap, 1000);
			if (least == UINT64_MAX)
				assert_null(t);
			else
				assert_int_equal(t->due_ns, least);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_heap_has_nothing_due),
		cmocka_unit_test(a_timer_comes_not_before_its_time),
		cmocka_unit_test(setting_a_timer_again_moves_it),
		cmocka_unit_test(clearing_a_timer_twice_is_harmless),
		cmocka_unit_test(
		    any_order_of_set_and_clear_takes_the_earliest_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
