/* SPDX-License-Identifier: ISC */
/* HELLO, which of two links stays, silence, clocks. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync_nodes.h"

#define MINUTE 60000

/* The bye of the last DOWN of a node; -1: there was none. */
static int
last_bye(const struct nodes *n, size_t i)
{
	const struct node *a = &n->node[i];
	size_t k;

	for (k = a->event_count; k-- > 0;)
		if (a->events[k].kind == REPLICA_DOWN)
			return a->events[k].bye;
	return -1;
}

/* A second link between two nodes, on wires of its own: the places of the
 * third and fourth node. */
static void
join_again(struct nodes *n, size_t i, size_t j, struct replica_link **at_i,
    struct replica_link **at_j)
{
	struct kv_slice any = { "", 0 };

	assert_int_equal(replica_open(n->node[i].replica, true, any, at_i),
	    KV_OK);
	assert_int_equal(replica_open(n->node[j].replica, false, any, at_j),
	    KV_OK);
}

/* Hand over what one end has to say; the rc of the last step. */
static int
carry(struct nodes *n, size_t i, struct replica_link *from, size_t j,
    struct replica_link *to)
{
	struct replica_time now = { n->now_ms, n->node[i].store.wall_ms };
	struct buf frames[64];
	size_t count = 0, k;
	uint64_t next;
	int rc = KV_OK, got = KV_OK;

	assert_int_equal(replica_begin(n->node[i].replica, now), KV_OK);
	assert_int_equal(replica_end(n->node[i].replica, &next), KV_OK);
	while (rc == KV_OK && count < 64) {
		buf_init(&frames[count]);
		rc = replica_send(n->node[i].replica, from, &frames[count]);
		if (rc == KV_OK)
			count++;
		else
			buf_fini(&frames[count]);
	}
	replica_release(n->node[i].replica);
	assert_int_equal(replica_begin(n->node[j].replica, now), KV_OK);
	for (k = 0; k < count; k++) {
		if (got == KV_OK && replica_wants_input(n->node[j].replica, to))
			got = replica_receive(n->node[j].replica, to,
			    buf_slice(&frames[k]));
		buf_fini(&frames[k]);
	}
	replica_release(n->node[j].replica);
	return got < 0 ? got : rc;
}

static bool
is_up(const struct nodes *n, size_t i, const struct replica_link *l)
{
	struct replica_status s;

	replica_status(n->node[i].replica, l, &s);
	return s.is_up;
}

static void
both_dial_and_one_link_stays(void **state)
{
	struct nodes *n = *state;
	struct replica_link *a, *b;
	int i;

	nodes_pass(n, 5);
	nodes_join(n, 0, 1);
	nodes_turn(n, 0);
	nodes_turn(n, 1);
	join_again(n, 1, 0, &b, &a);
	for (i = 0; i < 3; i++) {
		(void)carry(n, 1, b, 0, a);
		(void)carry(n, 0, a, 1, b);
	}
	nodes_settle(n);
	/* Node 1 has the higher uid, so what it dialled stays. */
	assert_true(is_up(n, 0, a) && is_up(n, 1, b));
	assert_false(nodes_are_up(n, 0, 1) || nodes_are_up(n, 1, 0));
	replica_close(n->node[0].replica, a);
	replica_close(n->node[1].replica, b);
}

static void
a_restarted_peer_takes_its_place_after_a_second(void **state)
{
	struct nodes *n = *state;
	struct wire_end *old = &n->node[0].ends[1];
	struct replica_link *held = old->link;

	nodes_join(n, 0, 1);
	nodes_pass(n, 100);
	held = old->link;
	/* Node 1 dies and comes back; node 0 sees no end of the connection:
	 * its half-open link stays, on no wire. */
	old->link = NULL;
	sim_crash(&n->node[1].store, false);
	nodes_stop(n, 1);
	nodes_start(n, 1);
	nodes_join(n, 1, 0);
	nodes_pass(n, 500);
	assert_false(nodes_are_up(n, 0, 1));
	assert_true(is_up(n, 0, held));
	nodes_pass(n, 1000);
	assert_true(nodes_are_up(n, 0, 1) && nodes_are_up(n, 1, 0));
	assert_false(is_up(n, 0, held));
	replica_close(n->node[0].replica, held);
}

/* Node 2 runs with a copy of node 1's store; 0 and 1 are linked. */
static void
clone_store(struct nodes *n)
{
	n->node[2].store.uid = n->node[1].store.uid;
	nodes_stop(n, 2);
	nodes_start(n, 2);
	nodes_join(n, 0, 1);
	nodes_pass(n, 100);
}

static void
two_processes_of_one_cloned_store_are_one_too_many(void **state)
{
	struct nodes *n = *state;

	clone_store(n);
	nodes_join(n, 2, 0);
	nodes_pass(n, 2000);
	assert_true(nodes_are_up(n, 0, 1));
	assert_false(nodes_are_up(n, 0, 2));
	assert_int_equal(nodes_events(n, 0, REPLICA_DUPLICATE), 1);
	assert_int_equal(last_bye(n, 2), BYE_DUPLICATE);
}

/* Of the two links to it one stays, and is held as the first one was. */
static void
a_cloned_store_that_dials_and_is_dialled_is_one_too_many(void **state)
{
	struct nodes *n = *state;
	struct replica_link *a, *b;
	int i;

	clone_store(n);
	nodes_join(n, 0, 2);
	nodes_turn(n, 0);
	nodes_turn(n, 2);
	nodes_turn(n, 0); /* and node 1 has not said yet that it lives */
	join_again(n, 2, 0, &b, &a);
	for (i = 0; i < 3; i++) {
		(void)carry(n, 2, b, 0, a);
		(void)carry(n, 0, a, 2, b);
	}
	assert_false(is_up(n, 0, a));
	nodes_pass(n, 2000);
	assert_true(nodes_are_up(n, 0, 1));
	assert_false(is_up(n, 0, a) || nodes_are_up(n, 0, 2));
	replica_close(n->node[0].replica, a);
	replica_close(n->node[2].replica, b);
}

static void
a_name_has_one_owner(void **state)
{
	struct nodes *n = *state;

	nodes_stop(n, 2);
	nodes_start(n, 2);
	nodes_join(n, 0, 1);
	nodes_pass(n, 100);
	replica_free(n->node[2].replica);
	n->node[2].config.name = n->node[1].name;
	n->node[2].config.lineage.len = 0;
	assert_int_equal(replica_new(&n->node[2].config,
			     sim_store_ops(&n->node[2].store),
			     &n->node[2].replica),
	    KV_OK);
	nodes_join(n, 2, 0);
	nodes_pass(n, 100);
	assert_false(nodes_are_up(n, 0, 2));
	assert_int_equal(last_bye(n, 2), BYE_DUPLICATE);
	nodes_part(n, 0, 1);
	nodes_join(n, 2, 0);
	nodes_pass(n, 100);
	assert_true(nodes_are_up(n, 0, 2));
	assert_int_equal(nodes_events(n, 0, REPLICA_REPLACED), 1);
}

static void
a_node_does_not_talk_to_itself(void **state)
{
	struct nodes *n = *state;
	struct replica_link *a, *b;

	nodes_pass(n, 5);
	join_again(n, 0, 0, &a, &b);
	assert_int_equal(carry(n, 0, a, 0, b), KV_ECLOSED);
	nodes_turn(n, 0);
	assert_int_equal(last_bye(n, 0), BYE_SELF);
	replica_close(n->node[0].replica, a);
	replica_close(n->node[0].replica, b);
}

static uint16_t
sibling(void *user, struct kv_slice dialled)
{
	(void)user;
	return slice_equal(dialled, slice_of("bar")) ? 4071 : 0;
}

static void
dial(struct nodes *n, const char *name, const char *as)
{
	nodes_part(n, 0, 1);
	assert_int_equal(replica_open(n->node[0].replica, true, slice_of(name),
			     &n->node[0].ends[1].link),
	    KV_OK);
	assert_int_equal(replica_open(n->node[1].replica, false, slice_of(as),
			     &n->node[1].ends[0].link),
	    KV_OK);
	nodes_pass(n, 100);
}

static void
the_name_that_was_dialled_is_the_name_that_answers(void **state)
{
	struct nodes *n = *state;

	dial(n, "n1@host", "");
	assert_true(nodes_are_up(n, 0, 1));
	dial(n, "n1", "");
	assert_true(nodes_are_up(n, 0, 1));
	dial(n, "n", "");
	assert_false(nodes_are_up(n, 0, 1));
	assert_int_equal(last_bye(n, 0), BYE_NAME);
	dial(n, "bar", "");
	assert_false(nodes_are_up(n, 0, 1));
}

static void
who_dialled_a_sibling_is_told_its_port(void **state)
{
	struct nodes *n = *state;
	struct replica *r;
	uint16_t port = 0;
	size_t k;

	n->node[1].config.sibling = sibling;
	n->node[1].config.lineage.len = 0;
	assert_int_equal(replica_new(&n->node[1].config,
			     sim_store_ops(&n->node[1].store), &r),
	    KV_OK);
	replica_free(n->node[1].replica);
	n->node[1].replica = r;
	dial(n, "bar", "");
	for (k = 0; k < n->node[0].event_count; k++)
		if (n->node[0].events[k].kind == REPLICA_REDIRECT)
			port = n->node[0].events[k].port;
	assert_int_equal(port, 4071);
	assert_int_equal(last_bye(n, 0), BYE_REDIRECT);
}

static bool
nothing_from_1(struct nodes *n, size_t from, size_t to, struct kv_slice frame)
{
	(void)n;
	(void)to;
	(void)frame;
	return from != 1;
}

static void
silence_is_the_end_and_pings_break_it(void **state)
{
	struct nodes *n = *state;

	nodes_join(n, 0, 1);
	nodes_pass(n, 30000);
	assert_true(nodes_are_up(n, 0, 1));
	assert_true(n->by_type[FRAME_PONG] > 0);
	n->filter = nothing_from_1;
	nodes_pass(n, 9000);
	assert_true(nodes_are_up(n, 0, 1));
	nodes_pass(n, 1600);
	assert_false(nodes_are_up(n, 0, 1));
	assert_int_equal(nodes_events(n, 0, REPLICA_DOWN), 1);
	assert_int_equal(last_bye(n, 0), 0);
}

static uint32_t
missed(struct nodes *n)
{
	struct replica_status s;

	assert_true(nodes_are_up(n, 0, 1));
	replica_status(n->node[0].replica, n->node[0].ends[1].link, &s);
	return s.missed;
}

static void
each_quarter_without_a_word_is_counted(void **state)
{
	struct nodes *n = *state;
	struct replica_status s;

	nodes_join(n, 0, 1);
	nodes_pass(n, 20000);
	assert_int_equal(missed(n), 0); /* PONGs are words */
	replica_status(n->node[0].replica, n->node[0].ends[1].link, &s);
	assert_int_equal(s.timeout_ms, 10000);
	n->filter = nothing_from_1;
	nodes_pass(n, 5000);
	assert_in_range(missed(n), 1, 2);
	n->filter = NULL;
	nodes_pass(n, 5000);
	assert_in_range(missed(n), 1, 2); /* so far */
}

static void
a_clock_that_is_off_is_told_once(void **state)
{
	struct nodes *n = *state;
	struct replica_status s;

	n->node[1].skew_ms = 4 * MINUTE;
	nodes_join(n, 0, 1);
	nodes_pass(n, 30000);
	assert_true(nodes_are_up(n, 0, 1));
	assert_int_equal(nodes_events(n, 0, REPLICA_CLOCK), 1);
	assert_int_equal(nodes_events(n, 1, REPLICA_CLOCK), 1);
	replica_status(n->node[0].replica, n->node[0].ends[1].link, &s);
	assert_int_equal(s.offset_ms, 4 * MINUTE);
	replica_status(n->node[1].replica, n->node[1].ends[0].link, &s);
	assert_int_equal(s.offset_ms, -4 * MINUTE);
}

static void
a_write_of_the_far_future_is_not_taken(void **state)
{
	struct nodes *n = *state;

	nodes_join(n, 0, 1);
	nodes_pass(n, 100);
	n->node[1].skew_ms = 10 * MINUTE;
	nodes_put(n, 1, "k", "v");
	nodes_pass(n, 100);
	assert_null(nodes_get(n, 0, "k"));
	assert_false(nodes_are_up(n, 0, 1));
	assert_int_equal(last_bye(n, 1), BYE_CLOCK);
	/* When the time has come, it is. */
	n->node[1].skew_ms = 0;
	n->now_ms += 6 * MINUTE;
	nodes_join(n, 0, 1);
	nodes_pass(n, 100);
	assert_non_null(nodes_get(n, 0, "k"));
}

static void
who_stops_says_so(void **state)
{
	struct nodes *n = *state;

	nodes_join(n, 0, 1);
	nodes_pass(n, 100);
	replica_stop(n->node[0].replica);
	nodes_pass(n, 100);
	assert_int_equal(last_bye(n, 1), BYE_STOP);
	assert_false(nodes_are_up(n, 1, 0));
}

/* The other end knows why, and other links stay. */
static void
one_link_may_be_left_with_a_reason(void **state)
{
	struct nodes *n = *state;

	nodes_join(n, 0, 1);
	nodes_join(n, 0, 2);
	nodes_pass(n, 100);
	replica_leave(n->node[0].replica, n->node[0].ends[1].link, BYE_WORN);
	nodes_pass(n, 100);
	assert_int_equal(last_bye(n, 1), BYE_WORN);
	assert_false(nodes_are_up(n, 1, 0));
	assert_true(nodes_are_up(n, 2, 0));
}

#define TEST(name, setup)                                                      \
	cmocka_unit_test_setup_teardown(name, setup, nodes_done)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_dial_and_one_link_stays, nodes_two),
		TEST(a_restarted_peer_takes_its_place_after_a_second,
		    nodes_two),
		TEST(two_processes_of_one_cloned_store_are_one_too_many,
		    nodes_three),
		TEST(a_cloned_store_that_dials_and_is_dialled_is_one_too_many,
		    nodes_three),
		TEST(a_name_has_one_owner, nodes_three),
		TEST(a_node_does_not_talk_to_itself, nodes_two),
		TEST(the_name_that_was_dialled_is_the_name_that_answers,
		    nodes_two),
		TEST(who_dialled_a_sibling_is_told_its_port, nodes_two),
		TEST(silence_is_the_end_and_pings_break_it, nodes_two),
		TEST(each_quarter_without_a_word_is_counted, nodes_two),
		TEST(a_clock_that_is_off_is_told_once, nodes_two),
		TEST(a_write_of_the_far_future_is_not_taken, nodes_two),
		TEST(who_stops_says_so, nodes_two),
		TEST(one_link_may_be_left_with_a_reason, nodes_three),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
