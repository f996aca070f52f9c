/* SPDX-License-Identifier: ISC */
/* Streams: credit, large values, commits, what a peer may not say. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sync/frame.h"
#include "sync/op.h"
#include "sync_nodes.h"

#define MIB (1u << 20)

static void
joined(struct nodes *n)
{
	nodes_join(n, 0, 1);
	nodes_pass(n, 100);
	assert_true(nodes_are_up(n, 0, 1) && nodes_are_up(n, 1, 0));
}

static struct replica_status
status(const struct nodes *n, size_t i, size_t j)
{
	struct replica_status s;

	replica_status(n->node[i].replica, n->node[i].ends[j].link, &s);
	return s;
}

/* The other end may have had all before the link, by another way or from the
 * link before: WAIT counts it all the same, and nothing more is said then. */
static void
a_new_link_tells_how_far_the_peers_disk_is(void **state)
{
	struct nodes *n = *state;
	size_t frames;
	uint64_t head;

	joined(n);
	nodes_put(n, 0, "k", "v");
	nodes_pass(n, 100);
	sim_sync(&n->node[1].store);
	nodes_pass(n, 2000);
	head = status(n, 0, 1).acked_seq;
	assert_true(head > 0);
	nodes_part(n, 0, 1);
	nodes_pass(n, 100);
	joined(n);
	sim_sync(&n->node[1].store);
	nodes_pass(n, 2000);
	assert_int_equal(status(n, 0, 1).acked_seq, head);
	frames = n->by_type[FRAME_DATA_OWN];
	nodes_pass(n, 20000);
	assert_int_equal(n->by_type[FRAME_DATA_OWN], frames);
}

/* What was replaced is not sent: the peer has it when it has what replaced it,
 * which may stand far behind in the log. */
static void
a_replaced_write_is_on_the_peers_disk_with_what_replaced_it(void **state)
{
	struct nodes *n = *state;
	char *large = calloc(1, MIB);
	uint64_t first;
	unsigned ms;

	assert_non_null(large);
	memset(large, 'x', MIB - 1);
	joined(n);
	nodes_part(n, 0, 1);
	nodes_put(n, 0, "k", "v1");
	first = n->node[0].store.now.clock;
	nodes_put(n, 0, "a", large);
	nodes_put(n, 0, "b", large);
	nodes_put(n, 0, "k", "v2");
	nodes_join(n, 0, 1);
	for (ms = 0; ms < 2000; ms++) {
		nodes_turn(n, ms % 2);
		n->now_ms += ms % 2;
		sim_sync(&n->node[1].store);
		if (n->node[0].ends[1].link != NULL &&
		    status(n, 0, 1).acked_seq >= first)
			assert_non_null(nodes_get(n, 1, "k"));
	}
	assert_true(status(n, 0, 1).acked_seq > first);
	assert_string_equal(nodes_get(n, 1, "k"), "v2");
	free(large);
}

/* A vector of many runs, behind records that stand before claims in the log:
 * MARKs come wherever one is due. */
static void
a_long_vector_has_marks_in_it(void **state)
{
	struct nodes *n = *state;
	char key[8];
	int i, runs = 9;

	nodes_stop(n, 1);
	n->node[1].config.tuning.mark_ops = 4;
	nodes_start(n, 1);
	for (i = 0; i < runs; i++) {
		nodes_stop(n, 0);
		nodes_start(n, 0);
		joined(n);
		snprintf(key, sizeof(key), "%d", i);
		nodes_put(n, 0, key, "v");
		nodes_pass(n, 100);
		nodes_part(n, 0, 1);
	}
	nodes_join(n, 1, 2);
	nodes_pass(n, 60000);
	assert_true(nodes_are_up(n, 1, 2) && nodes_are_up(n, 2, 1));
	assert_int_equal(nodes_events(n, 2, REPLICA_PROTOCOL), 0);
	for (i = 0; i < runs; i++) {
		snprintf(key, sizeof(key), "%d", i);
		assert_non_null(nodes_get(n, 2, key));
	}
}

/* ---- volume ---- */

static size_t
size_of(struct nodes *n, size_t i, const char *key)
{
	const struct record *r;

	r = sim_find(&n->node[i].store.now, sim_bucket_id(slice_of("b")),
	    slice_of(key));
	if (r == NULL || r->value.len == 0 ||
	    r->value.data[r->value.len - 1] != key[0])
		return 0;
	return r->value.len;
}

static void
values_larger_than_the_credit_arrive(void **state)
{
	struct nodes *n = *state;
	char key[8];
	int i;

	joined(n);
	for (i = 0; i < 12; i++) {
		snprintf(key, sizeof(key), "%c", 'a' + i);
		nodes_put_large(n, 0, key, i % 3 == 0 ? MIB : 300000);
	}
	nodes_pass(n, 500);
	for (i = 0; i < 12; i++) {
		snprintf(key, sizeof(key), "%c", 'a' + i);
		assert_int_equal(size_of(n, 1, key), i % 3 == 0 ? MIB : 300000);
	}
	assert_int_equal(status(n, 0, 1).unacked, 0);
}

static size_t in_flight;

static bool
count_data(struct nodes *n, size_t from, size_t to, struct kv_slice frame)
{
	(void)n;
	(void)to;
	if (from == 0 && frame.data[0] == FRAME_DATA_OWN)
		in_flight += frame.len - 1;
	return true;
}

static void
no_more_than_the_credit_is_on_the_way(void **state)
{
	struct nodes *n = *state;
	char key[8];
	int i;

	joined(n);
	n->node[1].store.refuse = KV_EAGAIN;
	in_flight = 0;
	n->filter = count_data;
	for (i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "%c", 'a' + i);
		nodes_put_large(n, 0, key, 200000);
	}
	nodes_pass(n, 2000);
	assert_true(in_flight > MIB / 2 && in_flight <= MIB);
	assert_int_equal(size_of(n, 1, "a"), 0);
	n->node[1].store.refuse = KV_OK;
	nodes_pass(n, 2000);
	assert_int_equal(size_of(n, 1, "a"), 200000);
	assert_int_equal(size_of(n, 1, "t"), 200000);
}

static void
a_full_disk_loses_nothing_and_no_link(void **state)
{
	struct nodes *n = *state;

	joined(n);
	n->node[1].store.refuse = KV_ENOSPC;
	nodes_put(n, 0, "k", "v");
	nodes_pass(n, 30000);
	assert_null(nodes_get(n, 1, "k"));
	assert_int_equal(nodes_events(n, 1, REPLICA_NO_ROOM), 1);
	assert_true(nodes_are_up(n, 0, 1) && nodes_are_up(n, 1, 0));
	n->node[1].store.refuse = KV_OK;
	nodes_pass(n, 1000);
	assert_non_null(nodes_get(n, 1, "k"));
}

/* Who takes nothing is told how far behind he is, who is in step hears nothing
 * of it. */
static void
a_peer_that_stays_behind_is_told_by_how_many_records(void **state)
{
	struct nodes *n = *state;
	char key[8];
	int i;

	joined(n);
	for (i = 0; i < 5; i++) {
		snprintf(key, sizeof(key), "%d", i);
		nodes_put(n, 0, key, "v");
		nodes_pass(n, 1000);
	}
	assert_int_equal(n->by_type[FRAME_LEFT], 0);
	n->node[1].store.refuse = KV_ENOSPC;
	for (i = 0; i < 4; i++) {
		snprintf(key, sizeof(key), "n%d", i);
		nodes_put(n, 0, key, "v");
	}
	nodes_pass(n, 3000);
	assert_int_equal(status(n, 1, 0).behind_records, 4);
	assert_int_equal(n->by_type[FRAME_LEFT], 1);
	n->node[1].store.refuse = KV_OK;
	nodes_pass(n, 3000);
	assert_int_equal(status(n, 1, 0).behind_records, 0);
	assert_int_equal(n->by_type[FRAME_LEFT], 2);
	nodes_pass(n, 30000);
	assert_int_equal(n->by_type[FRAME_LEFT], 2);
}

static void
an_ack_is_durable_when_the_disk_has_it(void **state)
{
	struct nodes *n = *state;
	uint64_t before;

	joined(n);
	sim_sync(&n->node[1].store);
	nodes_pass(n, 100);
	before = status(n, 0, 1).acked_seq;
	nodes_put(n, 0, "k", "v");
	nodes_pass(n, 500);
	assert_non_null(nodes_get(n, 1, "k"));
	assert_true(status(n, 0, 1).acked_seq == before);
	sim_sync(&n->node[1].store);
	nodes_pass(n, 100);
	assert_true(status(n, 0, 1).acked_seq >= n->node[0].store.now.head);
}

static void
what_was_not_committed_comes_again(void **state)
{
	struct nodes *n = *state;
	const struct sync_row *row;

	joined(n);
	nodes_put(n, 0, "k", "v");
	n->node[1].store.refuse = KV_EAGAIN;
	nodes_pass(n, 50);
	row = sim_row(&n->node[1].store.now, n->node[0].store.inc);
	assert_true(row == NULL || row->vv < n->node[0].store.now.head);
	sim_crash(&n->node[1].store, false);
	nodes_stop(n, 1);
	n->node[1].store.refuse = KV_OK;
	nodes_start(n, 1);
	joined(n);
	assert_non_null(nodes_get(n, 1, "k"));
	row = sim_row(&n->node[1].store.now, n->node[0].store.inc);
	assert_non_null(row);
	assert_true(row->vv >= n->node[0].store.now.head);
}

static void
vectors_are_told_twenty_times_a_second_at_most(void **state)
{
	struct nodes *n = *state;
	size_t before;
	int i;

	joined(n);
	before = n->by_type[FRAME_VV];
	for (i = 0; i < 1000; i++) {
		nodes_put(n, 0, "k", i % 2 ? "v" : "w");
		nodes_pass(n, 1);
	}
	/* 5 s: STEP is 5 ms; two nodes. */
	assert_true(n->by_type[FRAME_VV] - before <= 2 * 5 * 20 + 4);
	assert_true(n->by_type[FRAME_VV] - before >= 50);
}

static void
a_write_crosses_each_link_of_a_mesh_once(void **state)
{
	struct nodes *n = *state;
	uint64_t before, after;
	int i;

	nodes_join(n, 0, 1);
	nodes_join(n, 0, 2);
	nodes_join(n, 1, 2);
	nodes_pass(n, 1000);
	before = status(n, 1, 0).received_ops + status(n, 1, 2).received_ops;
	for (i = 0; i < 50; i++) {
		nodes_put(n, 0, i % 2 ? "k" : "l", "v");
		nodes_pass(n, 20);
	}
	after = status(n, 1, 0).received_ops + status(n, 1, 2).received_ops;
	assert_int_equal(after - before, 50);
}

/* A commit as large as it comes does not fit the log: data first, then claims. */
static void
what_does_not_fit_the_log_at_once_goes_in_pieces(void **state)
{
	struct nodes *n = *state;
	const struct sync_row *row;
	char key[8];
	int i;

	n->node[1].store.room = 1;
	for (i = 0; i < 50; i++) {
		snprintf(key, sizeof(key), "%d", i);
		nodes_put(n, 0, key, "v");
	}
	joined(n);
	nodes_pass(n, 1000);
	for (i = 0; i < 50; i++) {
		snprintf(key, sizeof(key), "%d", i);
		assert_non_null(nodes_get(n, 1, key));
	}
	row = sim_row(&n->node[1].store.now, n->node[0].store.inc);
	assert_non_null(row);
	assert_true(row->vv >= n->node[0].store.now.head);
	/* Not all of it, and then the log is full. */
	nodes_part(n, 0, 1);
	nodes_put(n, 0, "a", "v");
	nodes_put(n, 0, "b", "v");
	nodes_put(n, 0, "c", "v");
	n->node[1].store.fills = 2;
	joined(n);
	assert_non_null(nodes_get(n, 1, "a"));
	assert_null(nodes_get(n, 1, "c"));
	assert_true(sim_row(&n->node[1].store.now, n->node[0].store.inc)->vv <
	    n->node[0].store.now.head);
	nodes_put(n, 0, "d", "v");
	nodes_pass(n, 100);
	n->node[1].store.refuse = KV_OK;
	nodes_pass(n, 200);
	assert_non_null(nodes_get(n, 1, "c"));
	assert_non_null(nodes_get(n, 1, "d"));
}

static const struct record *
found(const struct nodes *n, size_t i, const char *key)
{
	const struct record *r = sim_find(&n->node[i].store.now,
	    sim_bucket_id(slice_of("c")), slice_of(key));

	assert_non_null(r);
	return r;
}

/* A node of before it takes the record and hands it on without. */
static void
a_prev_goes_to_who_knows_of_it(void **state)
{
	struct nodes *n = *state;
	struct stamp first;

	nodes_stop(n, 1);
	n->node[1].config.tuning.no_features = FEATURE_PREV;
	nodes_start(n, 1);
	nodes_join(n, 0, 1);
	nodes_join(n, 1, 2);
	nodes_pass(n, 100);
	assert_int_equal(sim_create(&n->node[0].store, slice_of("c"),
			     BUCKET_CONFLICTS),
	    KV_OK);
	assert_int_equal(sim_put(&n->node[0].store, slice_of("c"),
			     slice_of("k"), slice_of("0"), 0),
	    KV_OK);
	nodes_pass(n, 1000);
	assert_false(found(n, 1, "k")->marks & RECORD_PREV);
	assert_false(found(n, 2, "k")->marks & RECORD_PREV);
	first = found(n, 2, "k")->stamp;
	/* It knows of it itself, and so does who is linked directly. */
	assert_int_equal(sim_put(&n->node[2].store, slice_of("c"),
			     slice_of("k"), slice_of("2"), 0),
	    KV_OK);
	nodes_part(n, 1, 2);
	nodes_join(n, 0, 2);
	nodes_pass(n, 1000);
	assert_true(found(n, 0, "k")->marks & RECORD_PREV);
	assert_true(stamp_compare(found(n, 0, "k")->prev, first) == 0);
	assert_false(found(n, 1, "k")->marks & RECORD_PREV);
	assert_true(stamp_compare(found(n, 1, "k")->stamp,
			found(n, 0, "k")->stamp) == 0);
}

#define TEST(name, setup)                                                      \
	cmocka_unit_test_setup_teardown(name, setup, nodes_done)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_link_tells_how_far_the_peers_disk_is, nodes_two),
		TEST(a_replaced_write_is_on_the_peers_disk_with_what_replaced_it,
		    nodes_two),
		TEST(a_long_vector_has_marks_in_it, nodes_three),
		TEST(values_larger_than_the_credit_arrive, nodes_two),
		TEST(no_more_than_the_credit_is_on_the_way, nodes_two),
		TEST(a_peer_that_stays_behind_is_told_by_how_many_records,
		    nodes_two),
		TEST(a_full_disk_loses_nothing_and_no_link, nodes_two),
		TEST(what_does_not_fit_the_log_at_once_goes_in_pieces,
		    nodes_two),
		TEST(a_prev_goes_to_who_knows_of_it, nodes_three),
		TEST(an_ack_is_durable_when_the_disk_has_it, nodes_two),
		TEST(what_was_not_committed_comes_again, nodes_two),
		TEST(vectors_are_told_twenty_times_a_second_at_most, nodes_two),
		TEST(a_write_crosses_each_link_of_a_mesh_once, nodes_three),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
