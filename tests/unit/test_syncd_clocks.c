/* SPDX-License-Identifier: ISC */
/* Whose clock is wrong. */

#include "syncd/clocks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HOUR 3600000
#define NOW 1000000

static struct clocks *c;
static char text[CLOCKS_TEXT];

static int
set_up(void **state)
{
	(void)state;
	return clocks_new(&c);
}

static int
tear_down(void **state)
{
	(void)state;
	clocks_free(c);
	return 0;
}

static enum clocks_verdict
judge(void)
{
	return clocks_judge(c, 0, NOW, text);
}

static void
one_node_against_us_proves_nothing(void **state)
{
	(void)state;
	(void)clocks_hear(c, 1, -HOUR, NOW);
	assert_int_equal(judge(), CLOCKS_FINE);
	assert_string_equal(text, "");
}

static void
two_nodes_that_agree_against_us_are_right(void **state)
{
	(void)state;
	(void)clocks_hear(c, 1, -HOUR, NOW);
	(void)clocks_hear(c, 2, -HOUR + 1000, NOW);
	assert_int_equal(judge(), CLOCKS_OURS);
	assert_non_null(strstr(text, "1 h 0 min ahead of 2 other nodes"));
	assert_non_null(strstr(text, "kv repair-clock"));
	(void)clocks_hear(c, 1, HOUR, NOW);
	(void)clocks_hear(c, 2, HOUR, NOW);
	assert_int_equal(judge(), CLOCKS_OURS);
	assert_non_null(strstr(text, "1 h 0 min behind 2 other nodes"));
	assert_null(strstr(text, "repair-clock"));
}

static void
two_nodes_that_are_wrong_each_in_its_way_are_wrong(void **state)
{
	(void)state;
	(void)clocks_hear(c, 1, -HOUR, NOW);
	(void)clocks_hear(c, 2, HOUR, NOW);
	assert_int_equal(judge(), CLOCKS_FINE);
}

static void
as_many_with_us_as_against_us_leave_it_open(void **state)
{
	(void)state;
	(void)clocks_hear(c, 1, -HOUR, NOW);
	(void)clocks_hear(c, 2, -HOUR, NOW);
	(void)clocks_hear(c, 3, 5, NOW);
	(void)clocks_hear(c, 4, -5, NOW);
	assert_int_equal(judge(), CLOCKS_FINE);
	(void)clocks_hear(c, 5, -HOUR, NOW);
	assert_int_equal(judge(), CLOCKS_OURS);
}

static void
what_was_heard_long_ago_does_not_count(void **state)
{
	(void)state;
	(void)clocks_hear(c, 1, -HOUR, NOW - 600000);
	(void)clocks_hear(c, 2, -HOUR, NOW);
	assert_int_equal(judge(), CLOCKS_FINE);
	assert_true(clocks_in_doubt(c, NOW));
	assert_false(clocks_in_doubt(c, NOW + 600000));
}

static void
stamps_of_the_future_are_told_although_the_clock_is_right(void **state)
{
	(void)state;
	assert_int_equal(clocks_judge(c, 300000, NOW, text), CLOCKS_FINE);
	assert_int_equal(clocks_judge(c, 301000, NOW, text), CLOCKS_STAMPS);
	assert_non_null(strstr(text, "5 min 1 s in the future"));
	assert_non_null(strstr(text, "kv repair-clock"));
}

static void
a_clock_is_news_when_it_goes_off_and_when_it_comes_back(void **state)
{
	(void)state;
	assert_false(clocks_hear(c, 1, 100, NOW));
	assert_true(clocks_hear(c, 1, 200000, NOW));
	assert_false(clocks_hear(c, 1, 200001, NOW));
	assert_false(clocks_hear(c, 1, 100000, NOW));
	assert_true(clocks_hear(c, 1, 10, NOW));
	assert_false(clocks_hear(c, 0, HOUR, NOW));
}

static void
more_nodes_than_there_is_room_for_push_out_the_oldest(void **state)
{
	uint64_t uid;

	(void)state;
	for (uid = 1; uid <= 2 * (uint64_t)SYNCD_PEERS_MAX; uid++)
		(void)clocks_hear(c, uid, -HOUR, NOW + uid);
	assert_true(clocks_hear(c, 1, -HOUR, NOW));
	assert_false(clocks_hear(c, 2 * (uint64_t)SYNCD_PEERS_MAX, -HOUR, NOW));
}

static void
a_refusal_says_on_which_host_something_is_to_be_done(void **state)
{
	(void)state;
	clocks_refusal(HOUR, 0, text);
	assert_string_equal(text, "its clock is 1 h 0 min ahead of ours");
	clocks_refusal(10, 0, text);
	assert_non_null(strstr(text, "its stamps lie in the future: on it"));
	clocks_refusal(10, HOUR, text);
	assert_non_null(strstr(text, "it refuses our stamps: stop kvd"));
	clocks_refusal(INT64_MIN, 0, text);
	assert_non_null(strstr(text, "behind ours"));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(one_node_against_us_proves_nothing),
		TEST(two_nodes_that_agree_against_us_are_right),
		TEST(two_nodes_that_are_wrong_each_in_its_way_are_wrong),
		TEST(as_many_with_us_as_against_us_leave_it_open),
		TEST(what_was_heard_long_ago_does_not_count),
		TEST(stamps_of_the_future_are_told_although_the_clock_is_right),
		TEST(a_clock_is_news_when_it_goes_off_and_when_it_comes_back),
		TEST(more_nodes_than_there_is_room_for_push_out_the_oldest),
		TEST(a_refusal_says_on_which_host_something_is_to_be_done),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
