/* SPDX-License-Identifier: ISC */
/* A peer that owes an answer: how long, and when it is not he who keeps us
 * waiting. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync/frame.h"
#include "sync_nodes.h"

#define MIB (1u << 20)
#define LONG_MS (3 * 60 * 1000) /* longer than an answer may take */

static int
nodes_four(void **state)
{
	*state = nodes_new(4);
	return *state == NULL ? -1 : 0;
}

/* More turns than frames: it is looked at before the peer can have heard of
 * the credit. */
static void
turns(struct nodes *n, size_t i)
{
	nodes_turn(n, i);
	nodes_turn(n, i);
	nodes_turn(n, i);
	assert_int_equal(nodes_events(n, i, REPLICA_PROTOCOL), 0);
}

static void
who_got_no_credit_owes_nothing(void **state)
{
	struct nodes *n = *state;

	nodes_join(n, 0, 1);
	nodes_pass(n, 100);
	n->node[1].store.refuse = KV_ENOSPC;
	nodes_put_large(n, 0, "k", MIB);
	nodes_put_large(n, 0, "l", MIB);
	nodes_pass(n, LONG_MS);
	n->node[1].store.refuse = KV_OK;
	n->now_ms += 500; /* when it tries again */
	turns(n, 1);
	nodes_pass(n, 1000);
	assert_true(nodes_has(n, 1, "k") && nodes_has(n, 1, "l"));
	assert_true(nodes_are_up(n, 0, 1) && nodes_are_up(n, 1, 0));
}

/* Two have them, of a third nothing can come; then one of the two dies. */
static void
who_waited_for_a_large_buffer_owes_nothing(void **state)
{
	struct nodes *n = *state;
	const char *key[] = { "x", "y", "z" };
	size_t i;

	for (i = 0; i < 3; i++)
		nodes_join(n, i, 3);
	nodes_pass(n, 500);
	n->node[3].store.refuse = KV_ENOSPC;
	for (i = 0; i < 3; i++) {
		nodes_put_large(n, i, key[i], MIB);
		nodes_pass(n, 100);
	}
	nodes_pass(n, LONG_MS);
	nodes_stop(n, 0);
	nodes_part(n, 3, 0);
	turns(n, 3);
	nodes_pass(n, 1000);
	assert_true(nodes_are_up(n, 3, 1) && nodes_are_up(n, 3, 2));
	n->node[3].store.refuse = KV_OK;
	nodes_pass(n, 2000);
	assert_true(nodes_has(n, 3, "y") && nodes_has(n, 3, "z"));
}

static bool
no_answer(struct nodes *n, size_t from, size_t to, struct kv_slice frame)
{
	(void)n;
	return from != 0 || to != 1 || frame.data[0] != FRAME_DATA_FULL;
}

/* The second asks the first for what the third wrote, and does not get it. */
static void
ask_in_vain(struct nodes *n)
{
	nodes_join(n, 0, 1);
	nodes_join(n, 0, 2);
	nodes_pass(n, 100);
	n->filter = no_answer;
	nodes_put(n, 2, "k", "v");
	nodes_pass(n, 1000);
	assert_false(nodes_has(n, 1, "k"));
}

static void
who_says_nothing_loses_the_link_in_minutes(void **state)
{
	struct nodes *n = *state;

	ask_in_vain(n);
	nodes_pass(n, 110000);
	assert_int_equal(nodes_events(n, 1, REPLICA_PROTOCOL), 0);
	nodes_pass(n, 20000);
	assert_int_equal(nodes_events(n, 1, REPLICA_PROTOCOL), 1);
	assert_false(nodes_are_up(n, 1, 0));
}

/* The answer may stand behind it, if the link is slow. */
static void
who_sends_other_data_has_longer_but_not_for_ever(void **state)
{
	struct nodes *n = *state;
	int minutes;

	ask_in_vain(n);
	for (minutes = 0; minutes < 30 && nodes_are_up(n, 1, 0); minutes++) {
		nodes_put(n, 0, "l", minutes % 2 ? "v" : "w");
		nodes_pass(n, 60000);
	}
	assert_in_range(minutes, 18, 22);
	assert_int_equal(nodes_events(n, 1, REPLICA_PROTOCOL), 1);
}

#define TEST(name, setup)                                                      \
	cmocka_unit_test_setup_teardown(name, setup, nodes_done)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_got_no_credit_owes_nothing, nodes_two),
		TEST(who_waited_for_a_large_buffer_owes_nothing, nodes_four),
		TEST(who_says_nothing_loses_the_link_in_minutes, nodes_three),
		TEST(who_sends_other_data_has_longer_but_not_for_ever,
		    nodes_three),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
