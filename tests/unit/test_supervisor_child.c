/* SPDX-License-Identifier: ISC */
/* The state machine of a child, on a clock that is an argument. */

#include "supervisor/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"

#define assert_action(child, event, now, action)                               \
	assert_int_equal(child_handle(child, event, now), action)

/* A child that has been ready since `now`. */
static struct child
ready_child(uint64_t now)
{
	struct child c = { 0 };

	assert_action(&c, CHILD_WANTED, now, CHILD_SPAWN);
	assert_action(&c, CHILD_READY, now, CHILD_NOTHING);
	assert_int_equal(c.state, CHILD_UP);
	return c;
}

static void
a_crashed_child_is_restarted_after_100_ms(void **state)
{
	struct child c = ready_child(1000);

	(void)state;
	assert_action(&c, CHILD_CRASHED, 1500, CHILD_PAUSE);
	assert_int_equal(c.due_ms, 1600);
	assert_action(&c, CHILD_TIME, 1600, CHILD_SPAWN);
	assert_int_equal(c.restarts, 1);
	assert_int_equal(c.due_ms, 0);
}

static void
the_pause_doubles_up_to_5_s_while_it_keeps_failing(void **state)
{
	static const uint64_t pauses[] = { 100, 200, 400, 800, 1600, 3200, 5000,
		5000, 5000 };
	struct child c = ready_child(0);
	uint64_t now = 0;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		assert_action(&c, CHILD_CRASHED, now, CHILD_PAUSE);
		assert_int_equal(c.due_ms - now, pauses[i]);
		now = c.due_ms;
		assert_action(&c, CHILD_TIME, now, CHILD_SPAWN);
		/* Ready or not, it does not last. */
		if (i % 2 == 0)
			assert_action(&c, CHILD_READY, now, CHILD_NOTHING);
	}
	assert_int_equal(c.restarts, i);
}

static void
ten_seconds_up_make_the_next_crash_a_first_one(void **state)
{
	struct child c = ready_child(0);

	(void)state;
	assert_action(&c, CHILD_CRASHED, 10, CHILD_PAUSE);
	assert_action(&c, CHILD_TIME, 110, CHILD_SPAWN);
	assert_action(&c, CHILD_READY, 110, CHILD_NOTHING);
	assert_action(&c, CHILD_CRASHED, 110 + CHILD_STEADY_MS - 1,
	    CHILD_PAUSE);
	assert_int_equal(c.due_ms, 110 + CHILD_STEADY_MS - 1 + 200);
	assert_action(&c, CHILD_TIME, c.due_ms, CHILD_SPAWN);
	assert_action(&c, CHILD_READY, 20000, CHILD_NOTHING);
	assert_action(&c, CHILD_CRASHED, 20000 + CHILD_STEADY_MS, CHILD_PAUSE);
	assert_int_equal(c.due_ms, 20000 + CHILD_STEADY_MS + 100);
}

static void
a_child_that_refuses_its_first_start_is_given_up(void **state)
{
	struct child c = { 0 };

	(void)state;
	assert_action(&c, CHILD_WANTED, 0, CHILD_SPAWN);
	assert_action(&c, CHILD_REFUSED, 5, CHILD_GIVE_UP);
	assert_int_equal(c.state, CHILD_IDLE);
}

static void
a_child_that_crashes_at_its_first_start_is_tried_again(void **state)
{
	struct child c = { 0 };

	(void)state;
	assert_action(&c, CHILD_WANTED, 0, CHILD_SPAWN);
	assert_action(&c, CHILD_CRASHED, 5, CHILD_PAUSE);
	assert_action(&c, CHILD_TIME, 105, CHILD_SPAWN);
	assert_action(&c, CHILD_REFUSED, 110, CHILD_GIVE_UP);
}

static void
a_child_that_was_ready_once_is_never_given_up(void **state)
{
	struct child c = ready_child(0);

	(void)state;
	assert_action(&c, CHILD_CRASHED, 0, CHILD_PAUSE);
	assert_action(&c, CHILD_TIME, 100, CHILD_SPAWN);
	assert_action(&c, CHILD_REFUSED, 110, CHILD_PAUSE);
	assert_int_equal(c.due_ms, 310);
}

static void
an_unwanted_child_is_asked_and_killed_when_it_does_not_end(void **state)
{
	struct child c = ready_child(0);

	(void)state;
	assert_action(&c, CHILD_UNWANTED, 50, CHILD_ASK);
	assert_action(&c, CHILD_UNWANTED, 60, CHILD_NOTHING);
	assert_int_equal(c.due_ms, 50 + CHILD_STOP_LIMIT_MS);
	assert_action(&c, CHILD_TIME, c.due_ms, CHILD_KILL);
	assert_int_equal(c.due_ms, 0);
	assert_action(&c, CHILD_TIME, 99999, CHILD_NOTHING);
	assert_action(&c, CHILD_CRASHED, 99999, CHILD_ENDED);
	assert_int_equal(c.state, CHILD_IDLE);
}

static void
an_unwanted_child_that_ends_in_any_way_has_ended(void **state)
{
	struct child c = ready_child(0), d = ready_child(0);

	(void)state;
	assert_action(&c, CHILD_UNWANTED, 50, CHILD_ASK);
	assert_action(&c, CHILD_CRASHED, 51, CHILD_ENDED);
	assert_action(&d, CHILD_UNWANTED, 50, CHILD_ASK);
	assert_action(&d, CHILD_READY, 51, CHILD_NOTHING);
	assert_action(&d, CHILD_REFUSED, 52, CHILD_ENDED);
}

static void
an_unwanted_child_that_waits_for_its_restart_is_not_restarted(void **state)
{
	struct child c = ready_child(0);

	(void)state;
	assert_action(&c, CHILD_CRASHED, 0, CHILD_PAUSE);
	assert_action(&c, CHILD_UNWANTED, 50, CHILD_ENDED);
	assert_action(&c, CHILD_TIME, 100, CHILD_NOTHING);
	assert_int_equal(c.due_ms, 0);
}

/* Whatever comes: what runs is what was spawned and has not ended, and who is
 * unwanted comes to rest. */
static void
no_order_of_events_loses_count_of_the_process(void **state)
{
	uint64_t seed = rng_u64() | 1, now = 0;
	struct child c = { 0 };
	int i, runs = 0;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (i = 0; i < 100000; i++) {
		enum child_event event =
		    (enum child_event)(rng_next(&seed) % CHILD_EVENT_COUNT);
		bool ends = event == CHILD_CRASHED || event == CHILD_REFUSED;
		enum child_action action;

		now += rng_next(&seed) % 3000;
		/* The kernel tells of an end or of "ready" only if it runs,
		 * the timer comes only if it was set. */
		if ((ends || event == CHILD_READY) && runs == 0)
			continue;
		if (event == CHILD_TIME && c.due_ms == 0)
			continue;
		action = child_handle(&c, event, now);
		runs += (action == CHILD_SPAWN) - ends;
		assert_in_range(runs, 0, 1);
		assert_int_equal(runs,
		    c.state != CHILD_IDLE && c.state != CHILD_WAITING);
		if (event == CHILD_UNWANTED)
			assert_true(c.state == CHILD_IDLE ||
			    c.state == CHILD_STOPPING ||
			    c.state == CHILD_KILLED);
		assert_int_equal(c.due_ms != 0,
		    c.state == CHILD_WAITING || c.state == CHILD_STOPPING);
	}
}

int
main(void)
{
#define T(test) cmocka_unit_test(test)
	const struct CMUnitTest tests[] = {
		T(a_crashed_child_is_restarted_after_100_ms),
		T(the_pause_doubles_up_to_5_s_while_it_keeps_failing),
		T(ten_seconds_up_make_the_next_crash_a_first_one),
		T(a_child_that_refuses_its_first_start_is_given_up),
		T(a_child_that_crashes_at_its_first_start_is_tried_again),
		T(a_child_that_was_ready_once_is_never_given_up),
		T(an_unwanted_child_is_asked_and_killed_when_it_does_not_end),
		T(an_unwanted_child_that_ends_in_any_way_has_ended),
		T(an_unwanted_child_that_waits_for_its_restart_is_not_restarted),
		T(no_order_of_events_loses_count_of_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
