/* SPDX-License-Identifier: ISC */
/* What was announced and is nowhere: how long it keeps tombstones. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync_nodes.h"

#define RETENTION 20000
#define LOST 77 /* a run whose end nobody has */

static int
setup(void **state)
{
	struct nodes *n = nodes_new(2);

	nodes_stop(n, 0);
	n->node[0].config.retention_ms = RETENTION;
	nodes_start(n, 0);
	*state = n;
	return 0;
}

static int
done(void **state)
{
	nodes_free(*state);
	return 0;
}

/* Node 1 tells node 0 of writes that neither has, and node 0 never gets. */
static void
announce(struct nodes *n)
{
	struct node *a = &n->node[0];
	struct frame f = { .type = FRAME_VV };
	struct buf rows, bytes;

	nodes_join(n, 0, 1);
	nodes_pass(n, 100);
	buf_init(&rows);
	buf_init(&bytes);
	assert_int_equal(item_put_row(&rows,
			     (struct item_row){ LOST, a->store.now.clock }),
	    KV_OK);
	f.u.rows.rows = buf_slice(&rows);
	assert_int_equal(frame_encode(&f, &bytes), KV_OK);
	assert_int_equal(replica_begin(a->replica,
			     (struct replica_time){ n->now_ms,
				 a->store.wall_ms }),
	    KV_OK);
	assert_int_equal(replica_receive(a->replica, a->ends[1].link,
			     buf_slice(&bytes)),
	    KV_OK);
	replica_release(a->replica);
	nodes_pass(n, 100);
	buf_fini(&rows);
	buf_fini(&bytes);
}

static bool
is_purged(struct nodes *n)
{
	struct sim_store *s = &n->node[0].store;
	uint64_t purges = s->purges;

	sim_sync(s);
	sim_checkpoint(s, UINT32_MAX);
	sim_purge(s, s->wall_ms - RETENTION);
	return s->purges > purges;
}

static void
pass(struct nodes *n, uint64_t ms)
{
	n->now_ms += ms;
	nodes_turn(n, 0);
	nodes_turn(n, 0);
}

static void
what_is_lost_everywhere_keeps_tombstones_for_four_retentions(void **state)
{
	struct nodes *n = *state;

	nodes_put(n, 0, "k", "v");
	announce(n);
	nodes_part(n, 0, 1);
	nodes_del(n, 0, "k");
	pass(n, 2 * RETENTION);
	assert_false(is_purged(n));
	pass(n, RETENTION);
	assert_false(is_purged(n));
	assert_int_equal(nodes_events(n, 0, REPLICA_GIVEN_UP), 0);
	pass(n, RETENTION + 1000);
	pass(n, RETENTION);
	assert_int_equal(nodes_events(n, 0, REPLICA_GIVEN_UP), 1);
	assert_true(is_purged(n));
	/* Nothing is claimed by that, and it may be announced again. */
	assert_int_equal(sim_row(&n->node[0].store.now, LOST)->vv, 0);
	nodes_put(n, 0, "k", "v");
	nodes_del(n, 0, "k");
	announce(n);
	assert_true(sim_row(&n->node[0].store.now, LOST)->announced > 0);
	pass(n, 3 * RETENTION);
	assert_false(is_purged(n));
}

static void
what_a_linked_node_can_fill_is_waited_for(void **state)
{
	struct nodes *n = *state;
	unsigned i;

	nodes_put(n, 0, "k", "v");
	announce(n);
	nodes_del(n, 0, "k");
	for (i = 0; i < 60; i++)
		nodes_pass(n, RETENTION / 10);
	assert_true(nodes_are_up(n, 0, 1));
	assert_int_equal(nodes_events(n, 0, REPLICA_GIVEN_UP), 0);
	assert_false(is_purged(n));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, done)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(
		    what_is_lost_everywhere_keeps_tombstones_for_four_retentions),
		TEST(what_a_linked_node_can_fill_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
