/* SPDX-License-Identifier: ISC */
/* Reading ranges: RESYNC in pieces, broken off and gone on with; digests that
 * differ, and their repair. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sync_nodes.h"

#define KEYS 20

/* Small steps, so that all of it takes several. */
static void
make_small(struct nodes *n)
{
	size_t i;

	for (i = 0; i < n->count; i++) {
		nodes_stop(n, i);
		n->node[i].config.tuning.mark_ops = 3;
		n->node[i].config.tuning.range_keys = 5;
		n->node[i].config.tuning.has_no_digests = false;
		nodes_start(n, i);
	}
}

static int
three(void **state)
{
	struct nodes *n = nodes_new(3);

	make_small(n);
	*state = n;
	return 0;
}

static void
checkpoint(struct nodes *n, size_t i)
{
	sim_sync(&n->node[i].store);
	sim_checkpoint(&n->node[i].store, UINT32_MAX);
}

static void
name_key(char key[8], int i)
{
	snprintf(key, 8, "k%02d", i);
}

/* Nodes 0 and 2 have deleted half of what node 1 still has, and forgotten that
 * they did; node 1 has written something meanwhile. */
static void
part_for_too_long(struct nodes *n)
{
	char key[8];
	size_t j;
	int i;

	for (i = 0; i < KEYS; i++) {
		name_key(key, i);
		nodes_put(n, 0, key, "old");
	}
	for (j = 1; j < 3; j++)
		nodes_join(n, 0, j);
	nodes_pass(n, 1000);
	nodes_part(n, 0, 1);
	nodes_put(n, 1, "k01", "mine");
	nodes_put(n, 1, "own", "mine");
	for (i = 0; i < KEYS; i += 2) {
		name_key(key, i);
		nodes_del(n, 0, key);
	}
	nodes_put(n, 0, "k03", "new");
	nodes_pass(n, 2000);
	for (j = 0; j < 3; j++)
		checkpoint(n, j);
	for (j = 0; j < 3; j += 2)
		sim_purge(&n->node[j].store, n->node[j].store.wall_ms);
	for (j = 0; j < 3; j++)
		n->node[j].event_count = 0;
}

static void
all_are_in_step(struct nodes *n)
{
	const char *want, *got;
	char key[8];
	size_t j;
	int i;

	for (j = 0; j < 3; j++) {
		for (i = 0; i < KEYS; i++) {
			name_key(key, i);
			want = i == 1 ? "mine" : i == 3 ? "new" : "old";
			got = nodes_get(n, j, key);
			if (i % 2 == 0) {
				assert_null(got);
			} else {
				assert_non_null(got);
				assert_string_equal(got, want);
			}
		}
		assert_non_null(nodes_get(n, j, "own"));
	}
}

static size_t ranges_seen, ranges_max;

/* The wire breaks after some of the answer. */
static bool
cut_ranges(struct nodes *n, size_t from, size_t to, struct kv_slice frame)
{
	(void)n;
	(void)from;
	(void)to;
	return (unsigned char)frame.data[0] != FRAME_DATA_RANGE ||
	    ranges_seen++ < ranges_max;
}

static void
pass_with_checkpoints(struct nodes *n, uint64_t ms)
{
	uint64_t end = n->now_ms + ms;
	size_t j;

	while (n->now_ms < end) {
		nodes_pass(n, 50);
		for (j = 0; j < n->count; j++)
			checkpoint(n, j);
	}
}

static void
a_resync_in_pieces_erases_only_what_was_deleted(void **state)
{
	struct nodes *n = *state;

	part_for_too_long(n);
	nodes_join(n, 1, 0);
	pass_with_checkpoints(n, 3000);
	assert_int_equal(nodes_events(n, 1, REPLICA_RESYNC), 1);
	assert_int_equal(nodes_events(n, 1, REPLICA_IN_STEP), 1);
	assert_int_equal(nodes_events(n, 0, REPLICA_RESYNC), 0);
	all_are_in_step(n);
}

static void
a_resync_that_was_cut_goes_on_with_another_source(void **state)
{
	struct nodes *n = *state;
	const struct sync_store_ops *ops;
	struct sync_store store;
	struct kv_slice note;
	const struct sync_row *row;
	char key[8];
	uint64_t full;
	int i, gone = 0;

	part_for_too_long(n);
	row = sim_row(&n->node[1].store.now, n->node[0].store.inc);
	full = row == NULL ? 0 : row->full;
	ranges_seen = 0;
	ranges_max = 3;
	n->filter = cut_ranges;
	nodes_join(n, 1, 0);
	pass_with_checkpoints(n, 1000);
	assert_int_equal(nodes_events(n, 1, REPLICA_IN_STEP), 0);
	nodes_part(n, 0, 1);
	n->filter = NULL;
	for (i = 0; i < KEYS; i += 2) {
		name_key(key, i);
		gone += nodes_get(n, 1, key) == NULL;
	}
	assert_true(gone > 0 && gone < KEYS / 2);
	/* Its process ends too: what it had done is noted in the store. */
	sim_crash(&n->node[1].store, false);
	nodes_stop(n, 1);
	nodes_start(n, 1);
	store = sim_store_ops(&n->node[1].store);
	ops = store.ops;
	assert_int_equal(ops->refresh(store.self), KV_OK);
	assert_int_equal(ops->note(store.self, slice_of("resync"), &note),
	    KV_OK);
	ops->release(store.self);
	nodes_join(n, 1, 2);
	pass_with_checkpoints(n, 3000);
	assert_int_equal(nodes_events(n, 1, REPLICA_IN_STEP), 1);
	/* Half of a source's ranges move no cursor. */
	row = sim_row(&n->node[1].store.now, n->node[0].store.inc);
	assert_true(full == (row == NULL ? 0 : row->full));
	nodes_join(n, 0, 1);
	pass_with_checkpoints(n, 3000);
	all_are_in_step(n);
	assert_int_equal(ops->refresh(store.self), KV_OK);
	assert_int_equal(ops->note(store.self, slice_of("resync"), &note),
	    KV_ENOTFOUND);
	ops->release(store.self);
}

static void
an_empty_node_is_filled_in_the_order_of_keys(void **state)
{
	struct nodes *n = *state;
	const struct sync_row *row;
	char key[8];
	int i;

	for (i = 0; i < KEYS; i++) {
		name_key(key, i);
		nodes_put(n, 0, key, "old");
	}
	/* A new run, so that what there is does not come as its own. */
	checkpoint(n, 0);
	sim_crash(&n->node[0].store, false);
	nodes_stop(n, 0);
	nodes_start(n, 0);
	nodes_join(n, 0, 1);
	nodes_pass(n, 500);
	for (i = 0; i < KEYS; i++) {
		name_key(key, i);
		assert_non_null(nodes_get(n, 1, key));
	}
	assert_true(n->by_type[FRAME_DATA_RANGE] > 0);
	row = sim_row(&n->node[1].store.now, n->node[0].store.inc);
	assert_non_null(row);
	assert_true(row->full >= n->node[0].store.tree.head);
}

/* What a mistake in software would do. */
static void
lose(struct sim_state *t, const char *key)
{
	unsigned i;

	for (i = 0; i < t->record_count; i++)
		if (slice_equal(t->records[i].key, slice_of(key)))
			break;
	assert_true(i < t->record_count);
	memmove(&t->records[i], &t->records[i + 1],
	    (t->record_count - i - 1) * sizeof(t->records[0]));
	t->record_count--;
}

static void
digests_that_differ_twice_are_repaired(void **state)
{
	struct nodes *n = *state;
	uint64_t began;

	nodes_put(n, 0, "a", "1");
	nodes_put(n, 0, "b", "2");
	nodes_join(n, 0, 1);
	pass_with_checkpoints(n, 10000);
	assert_true(n->by_type[FRAME_DIGEST] > 0);
	assert_int_equal(nodes_events(n, 0, REPLICA_DIVERGED), 0);
	lose(&n->node[1].store.now, "a");
	lose(&n->node[1].store.synced, "a");
	lose(&n->node[1].store.tree, "a");
	assert_null(nodes_get(n, 1, "a"));
	nodes_put(n, 0, "c", "3"); /* vectors move: digests are looked at */
	began = n->now_ms;
	while (nodes_events(n, 1, REPLICA_DIVERGED) == 0 &&
	    n->now_ms < began + 60000)
		pass_with_checkpoints(n, 100);
	assert_true(n->now_ms >= began + 5000);
	pass_with_checkpoints(n, 2000);
	assert_non_null(nodes_get(n, 1, "a"));
	assert_non_null(nodes_get(n, 0, "a"));
	assert_non_null(nodes_get(n, 1, "b"));
}

static size_t range_bytes, leaf_frames;

static bool
count_ranges(struct nodes *n, size_t from, size_t to, struct kv_slice frame)
{
	uint8_t type = (uint8_t)frame.data[0];

	(void)n;
	(void)from;
	(void)to;
	if (type == FRAME_DATA_RANGE)
		range_bytes += frame.len;
	leaf_frames += type == FRAME_LEAVES || type == FRAME_SUMS;
	return true;
}

#define MANY 300

static void
lose_everywhere(struct sim_store *s, const char *key)
{
	lose(&s->now, key);
	lose(&s->synced, key);
	lose(&s->tree, key);
}

/* Node 1 loses so many of many keys; how many bytes of ranges bring them back
 * to it, and nothing of it to node 0. */
static size_t
repair_of(struct nodes *n, int lost, uint32_t unknown)
{
	char value[100], key[8];
	size_t j;
	int i;

	for (j = 0; j < 2; j++) {
		nodes_stop(n, j);
		n->node[j].config.tuning.mark_ops = 100;
		nodes_start(n, j);
	}
	nodes_stop(n, 1);
	n->node[1].config.tuning.no_features = unknown;
	nodes_start(n, 1);
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		nodes_put(n, 0, key, value);
	}
	nodes_join(n, 0, 1);
	pass_with_checkpoints(n, 5000);
	for (i = 0; i < lost; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		lose_everywhere(&n->node[1].store, key);
	}
	range_bytes = leaf_frames = 0;
	n->filter = count_ranges;
	nodes_put(n, 0, "another", "3");
	pass_with_checkpoints(n, 12000);
	for (i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_non_null(nodes_get(n, 1, key));
		assert_non_null(nodes_get(n, 0, key));
	}
	return range_bytes;
}

static void
a_repair_reads_the_leaves_that_differ(void **state)
{
	struct nodes *n = *state;
	size_t bytes = repair_of(n, 2, 0);

	/* Two records, rows and MARKs: not the 300. */
	assert_true(bytes > 100 && bytes < 4000);
	assert_int_equal(leaf_frames, 2 + 2 + 1);
}

static void
many_that_differ_are_read_after_one_look(void **state)
{
	struct nodes *n = *state;
	size_t bytes = repair_of(n, 200, 0);

	assert_true(bytes > (size_t)200 * 100);
	assert_int_equal(leaf_frames, 1 + 1 + 1);
}

static void
a_node_that_knows_no_leaves_reads_all_and_is_read_from(void **state)
{
	struct nodes *n = *state;
	size_t bytes = repair_of(n, 2, UINT32_MAX);

	assert_true(bytes > (size_t)MANY * 100);
	assert_int_equal(leaf_frames, 0);
}

/* It lives, but its answers get lost. */
static bool
no_ranges_of_0(struct nodes *n, size_t from, size_t to, struct kv_slice frame)
{
	(void)n;
	(void)to;
	return from != 0 || frame.data[0] != FRAME_DATA_RANGE;
}

static void
a_source_that_never_answers_is_left_for_another(void **state)
{
	struct nodes *n = *state;

	part_for_too_long(n);
	n->filter = no_ranges_of_0;
	nodes_join(n, 0, 1);
	pass_with_checkpoints(n, 1000);
	nodes_join(n, 1, 2);
	nodes_put(n, 2, "own", "theirs");
	pass_with_checkpoints(n, 60000);
	assert_string_equal(nodes_get(n, 1, "own"), "mine");
	assert_true(nodes_are_up(n, 0, 1));
	pass_with_checkpoints(n, 70000);
	assert_false(nodes_are_up(n, 0, 1));
	assert_int_equal(nodes_events(n, 1, REPLICA_PROTOCOL), 1);
	assert_string_equal(nodes_get(n, 1, "own"), "theirs");
	all_are_in_step(n);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, three, nodes_done)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_source_that_never_answers_is_left_for_another),
		TEST(a_resync_in_pieces_erases_only_what_was_deleted),
		TEST(a_resync_that_was_cut_goes_on_with_another_source),
		TEST(an_empty_node_is_filled_in_the_order_of_keys),
		TEST(digests_that_differ_twice_are_repaired),
		TEST(a_repair_reads_the_leaves_that_differ),
		TEST(many_that_differ_are_read_after_one_look),
		TEST(a_node_that_knows_no_leaves_reads_all_and_is_read_from),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
