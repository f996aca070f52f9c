/* SPDX-License-Identifier: ISC */
/* Nodes that keep each other in step. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync_nodes.h"

static void
is_at(struct nodes *n, size_t i, const char *key, const char *value)
{
	const char *got = nodes_get(n, i, key);

	if (value == NULL) {
		assert_null(got);
	} else {
		assert_non_null(got);
		assert_string_equal(got, value);
	}
}

static void
what_one_writes_the_other_has(void **state)
{
	struct nodes *n = *state;

	nodes_join(n, 0, 1);
	nodes_pass(n, 100);
	assert_true(nodes_are_up(n, 0, 1) && nodes_are_up(n, 1, 0));
	nodes_put(n, 0, "k", "v");
	nodes_pass(n, 20);
	is_at(n, 1, "k", "v");
	nodes_put(n, 1, "k", "w");
	nodes_put(n, 1, "l", "x");
	nodes_pass(n, 20);
	is_at(n, 0, "k", "w");
	is_at(n, 0, "l", "x");
	nodes_del(n, 0, "l");
	nodes_pass(n, 20);
	is_at(n, 1, "l", NULL);
}

static void
who_was_away_catches_up(void **state)
{
	struct nodes *n = *state;

	nodes_put(n, 0, "a", "1");
	nodes_join(n, 0, 1);
	nodes_pass(n, 100);
	is_at(n, 1, "a", "1");
	nodes_part(n, 0, 1);
	nodes_put(n, 0, "a", "2");
	nodes_pass(n, 1000);
	nodes_put(n, 1, "b", "3");
	nodes_join(n, 1, 0);
	nodes_pass(n, 100);
	is_at(n, 1, "a", "2");
	is_at(n, 0, "b", "3");
}

static void
links_fall_silent_when_nothing_is_written(void **state)
{
	struct nodes *n = *state;
	size_t before;

	nodes_join(n, 0, 1);
	nodes_join(n, 1, 2);
	nodes_join(n, 2, 0);
	nodes_put(n, 0, "k", "v");
	nodes_pass(n, 40000); /* lazy pulls too */
	before = n->frames - n->by_type[FRAME_PING] - n->by_type[FRAME_PONG];
	nodes_pass(n, 60000);
	assert_int_equal(n->frames - n->by_type[FRAME_PING] -
		n->by_type[FRAME_PONG],
	    before);
	assert_true(n->by_type[FRAME_PING] > 60000 / 2500);
}

static void
a_line_of_three_hands_on(void **state)
{
	struct nodes *n = *state;

	nodes_join(n, 0, 1);
	nodes_join(n, 1, 2);
	nodes_pass(n, 100);
	nodes_put(n, 0, "k", "v");
	nodes_pass(n, 200);
	is_at(n, 2, "k", "v");
	nodes_put(n, 2, "k", "w");
	nodes_pass(n, 200);
	is_at(n, 0, "k", "w");
}

static void
who_missed_a_purged_delete_reads_ranges(void **state)
{
	struct nodes *n = *state;

	nodes_put(n, 0, "gone", "1");
	nodes_put(n, 0, "stays", "1");
	nodes_join(n, 0, 1);
	nodes_pass(n, 100);
	is_at(n, 1, "gone", "1");
	nodes_part(n, 0, 1);
	nodes_put(n, 1, "mine", "2");
	nodes_del(n, 0, "gone");
	nodes_pass(n, 1000);
	sim_sync(&n->node[0].store);
	sim_checkpoint(&n->node[0].store, UINT32_MAX);
	sim_purge(&n->node[0].store, n->node[0].store.wall_ms);
	assert_int_equal(nodes_events(n, 1, REPLICA_RESYNC), 0);
	nodes_join(n, 0, 1);
	nodes_pass(n, 50);
	sim_sync(&n->node[1].store);
	sim_checkpoint(&n->node[1].store, UINT32_MAX);
	nodes_pass(n, 200);
	assert_int_equal(nodes_events(n, 1, REPLICA_RESYNC), 1);
	assert_int_equal(nodes_events(n, 1, REPLICA_IN_STEP), 1);
	is_at(n, 1, "gone", NULL);
	is_at(n, 1, "stays", "1");
	is_at(n, 1, "mine", "2");
	nodes_pass(n, 200);
	is_at(n, 0, "mine", "2");
	is_at(n, 0, "gone", NULL);
	assert_int_equal(nodes_events(n, 0, REPLICA_RESYNC), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_one_writes_the_other_has,
		    nodes_two, nodes_done),
		cmocka_unit_test_setup_teardown(who_was_away_catches_up,
		    nodes_two, nodes_done),
		cmocka_unit_test_setup_teardown(
		    links_fall_silent_when_nothing_is_written, nodes_three,
		    nodes_done),
		cmocka_unit_test_setup_teardown(a_line_of_three_hands_on,
		    nodes_three, nodes_done),
		cmocka_unit_test_setup_teardown(
		    who_missed_a_purged_delete_reads_ranges, nodes_two,
		    nodes_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
