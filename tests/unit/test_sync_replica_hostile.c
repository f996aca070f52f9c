/* SPDX-License-Identifier: ISC */
/* What no peer may say, and what becomes of a link on which it is said: node 1
 * says it, node 0 refuses it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sync/op.h"
#include "sync_nodes.h"

#define MINUTE (60 * 1000)

static void
joined(struct nodes *n)
{
	nodes_join(n, 0, 1);
	nodes_pass(n, 100);
	assert_true(nodes_are_up(n, 0, 1) && nodes_are_up(n, 1, 0));
}

/* ---- saying it ---- */

static int
say(struct nodes *n, const struct frame *f)
{
	struct node *a = &n->node[0];
	struct buf bytes;
	int rc;

	buf_init(&bytes);
	assert_int_equal(frame_encode(f, &bytes), KV_OK);
	assert_int_equal(replica_begin(a->replica,
			     (struct replica_time){ n->now_ms,
				 a->store.wall_ms }),
	    KV_OK);
	rc = replica_receive(a->replica, a->ends[1].link, buf_slice(&bytes));
	replica_release(a->replica);
	buf_fini(&bytes);
	return rc;
}

static int
say_ops(struct nodes *n, enum frame_type type, const struct op *ops,
    size_t count)
{
	struct frame f = { .type = type };
	struct op_writer w;
	struct buf bytes;
	size_t i;
	int rc;

	buf_init(&bytes);
	op_writer_init(&w, n->node[1].store.inc);
	for (i = 0; i < count; i++)
		assert_int_equal(op_write(&w, &ops[i], &bytes), KV_OK);
	f.u.data = buf_slice(&bytes);
	rc = say(n, &f);
	buf_fini(&bytes);
	return rc;
}

static int
say_rows(struct nodes *n, enum frame_type type, uint64_t cursor, uint64_t inc,
    uint64_t tick)
{
	struct frame f = { .type = type };
	struct buf bytes;
	int rc;

	buf_init(&bytes);
	assert_int_equal(item_put_row(&bytes, (struct item_row){ inc, tick }),
	    KV_OK);
	f.u.rows.cursor = cursor;
	f.u.rows.rows = buf_slice(&bytes);
	rc = say(n, &f);
	buf_fini(&bytes);
	return rc;
}

static struct op
put_op(uint64_t tick, uint64_t inc)
{
	return (struct op){ .type = OP_PUT,
		.record = { .type = RECORD_PUT,
		    .stamp = { tick, inc },
		    .bid = 5,
		    .key = slice_of("k"),
		    .value = slice_of("v") } };
}

static struct op
mark_op(uint64_t cursor, uint64_t head, uint8_t flags)
{
	return (struct op){ .type = OP_MARK,
		.cursor = cursor,
		.head = head,
		.flags = flags };
}

static void
a_protocol_error(struct nodes *n, int rc)
{
	assert_int_equal(rc, KV_EPROTO);
	nodes_turn(n, 0);
	assert_false(nodes_are_up(n, 0, 1));
	joined(n);
}

/* ---- frames and ops ---- */

static void
frames_that_cannot_be_end_the_link(void **state)
{
	struct nodes *n = *state;
	struct frame hello = { .type = FRAME_HELLO };
	struct frame resync = { .type = FRAME_RESYNC, .u.stream = STREAM_FULL };
	struct frame range = { .type = FRAME_RANGE,
		.u.range = { .id = 1, .purpose = RANGE_RESYNC } };
	struct frame ack = { .type = FRAME_ACK };
	uint64_t far;

	joined(n);
	far = n->node[0].store.now.head + 1;
	hello.u.hello.name = slice_of("x");
	hello.u.hello.uid = hello.u.hello.inc = 5;
	a_protocol_error(n, say(n, &hello));
	a_protocol_error(n, say(n, &resync));
	a_protocol_error(n, say_rows(n, FRAME_VV, 1, 0, 1));
	a_protocol_error(n, say_rows(n, FRAME_SUB, 0, 7, 1));
	assert_int_equal(say(n, &range), KV_OK);
	a_protocol_error(n, say(n, &range));
	ack.u.ack.stream = STREAM_OWN;
	ack.u.ack.cursor = far;
	a_protocol_error(n, say(n, &ack));
	ack.u.ack.cursor = 0;
	ack.u.ack.credit = UINT32_MAX;
	a_protocol_error(n, say(n, &ack));
}

static void
ops_that_cannot_be_end_the_link_and_leave_nothing(void **state)
{
	struct nodes *n = *state;
	uint64_t tick, own, past;
	struct op ops[2];

	joined(n);
	own = n->node[0].store.inc;
	past = n->node[1].store.now.clock + 1;
	tick = n->node[0].store.now.head + 1;
	/* A stream that nobody asked for. */
	ops[0] = put_op(past, 77);
	ops[1] = mark_op(past, past, 0);
	a_protocol_error(n, say_ops(n, FRAME_DATA_FULL, ops, 2));
	a_protocol_error(n, say_ops(n, FRAME_DATA_RANGE, ops, 2));
	/* A write of ours that we never made. */
	ops[0] = put_op(tick + 100, own);
	a_protocol_error(n, say_ops(n, FRAME_DATA_OWN, ops, 2));
	/* A row in a stream that has none. */
	ops[0] = (struct op){ .type = OP_VVROW, .row = { 1, 77 } };
	a_protocol_error(n, say_ops(n, FRAME_DATA_OWN, ops, 1));
	/* A MARK past its head, or one that goes back. */
	ops[0] = mark_op(past + 1, past, 0);
	a_protocol_error(n, say_ops(n, FRAME_DATA_OWN, ops, 1));
	ops[0] = mark_op(past + 50, past + 50, 0);
	ops[1] = mark_op(past, past + 50, 0);
	a_protocol_error(n, say_ops(n, FRAME_DATA_OWN, ops, 2));
	assert_null(sim_find(&n->node[0].store.now, 5, slice_of("k")));
}

static void
data_without_credit_ends_the_link(void **state)
{
	struct nodes *n = *state;
	struct frame f = { .type = FRAME_DATA_OWN };
	char *bytes = calloc(1, FRAME_DATA_MAX);
	int i, rc = KV_OK;

	assert_non_null(bytes);
	joined(n);
	/* One op without an end, larger than all credit: what is lent for it is
	 * its size and no more. */
	bytes[1] = 0x10; /* u32 length: 1 MiB */
	f.u.data = (struct kv_slice){ bytes, FRAME_DATA_MAX };
	for (i = 0; i < 100 && rc == KV_OK; i++) {
		rc = say(n, &f);
		memset(bytes, 0, 2);
	}
	assert_int_equal(rc, KV_EPROTO);
	assert_true(i <= 34);
	free(bytes);
}

/* ---- claims ---- */

/* What node 0 may be told at most: five minutes ahead. */
static uint64_t
limit(const struct nodes *n)
{
	return (n->node[0].store.wall_ms + 5 * MINUTE) << 16;
}

static void
a_clock_error(struct nodes *n, int rc)
{
	size_t before = nodes_events(n, 0, REPLICA_CLOCK);

	assert_int_equal(rc, KV_ECLOSED);
	nodes_turn(n, 0);
	assert_false(nodes_are_up(n, 0, 1));
	assert_int_equal(nodes_events(n, 0, REPLICA_CLOCK), before + 1);
	joined(n);
}

/* Node 0 pulls from node 1, who has told of another's write. */
static void
pulling(struct nodes *n)
{
	assert_int_equal(say_rows(n, FRAME_VV, 1, 77, limit(n) - 1), KV_OK);
	nodes_turn(n, 0);
}

/* Node 0 reads ranges from node 1, who told it to. */
static void
reading(struct nodes *n)
{
	struct frame f = { .type = FRAME_RESYNC, .u.stream = STREAM_OWN };

	assert_int_equal(say(n, &f), KV_OK);
	nodes_turn(n, 0);
	sim_sync(&n->node[0].store);
	sim_checkpoint(&n->node[0].store, UINT32_MAX);
	n->now_ms += 50;
	nodes_turn(n, 0);
}

/* Node 0 has no row beyond what it may be told. */
static void
nothing_is_believed(const struct nodes *n, uint64_t most)
{
	const struct sim_state *s = &n->node[0].store.now;
	unsigned i;

	assert_true(s->clock <= most);
	for (i = 0; i < s->row_count; i++) {
		assert_true(s->rows[i].vv <= most);
		assert_true(s->rows[i].announced <= most);
		assert_true(s->rows[i].purged <= most);
		assert_true(s->rows[i].own <= most);
		assert_true(s->rows[i].full <= most);
		assert_true(s->rows[i].full_head <= most);
	}
}

static void
claims_of_the_future_are_refused(void **state)
{
	struct nodes *n = *state;
	uint64_t far;
	struct op ops[2];

	joined(n);
	far = limit(n) + ((uint64_t)MINUTE << 16);
	/* What somebody else wrote; the end of its own log. */
	a_clock_error(n, say_rows(n, FRAME_VV, 1, 77, far));
	ops[0] = mark_op(1, far, OP_END);
	a_clock_error(n, say_ops(n, FRAME_DATA_OWN, ops, 1));
	ops[0] = mark_op(far, far, OP_END);
	a_clock_error(n, say_ops(n, FRAME_DATA_OWN, ops, 1));
	/* Its whole vector. */
	pulling(n);
	ops[0] = (struct op){ .type = OP_VVROW, .row = { far, 77 } };
	ops[1] = mark_op(1, 1, OP_END);
	a_clock_error(n, say_ops(n, FRAME_DATA_FULL, ops, 2));
	/* The same in ranges, and what it had purged. */
	reading(n);
	a_clock_error(n, say_ops(n, FRAME_DATA_RANGE, ops, 2));
	reading(n);
	ops[0].flags = OP_PURGED;
	a_clock_error(n, say_ops(n, FRAME_DATA_RANGE, ops, 2));
	reading(n);
	ops[0] = mark_op(2, far, 0);
	a_clock_error(n, say_ops(n, FRAME_DATA_RANGE, ops, 1));
	nothing_is_believed(n, limit(n));
}

/* A peer whose clock is fast gets what is written here, but is not believed
 * what it says of its own runs; nor is one, if it is our clock that is slow,
 * what it says of any. */
static void
who_has_another_time_is_heard_and_not_believed(void **state)
{
	struct nodes *n = *state;
	uint64_t far;

	n->node[1].skew_ms = 20 * MINUTE;
	nodes_join(n, 0, 1);
	nodes_turn(n, 1);
	far = limit(n) + ((uint64_t)MINUTE << 16);
	nodes_turn(n, 0);
	assert_int_equal(say_rows(n, FRAME_VV, far, n->node[1].store.inc, far),
	    KV_OK);
	assert_int_equal(say_rows(n, FRAME_VV, far, 77, far), KV_OK);
	nodes_turn(n, 0);
	assert_true(nodes_are_up(n, 0, 1));
	nodes_put(n, 0, "k", "v");
	nodes_pass(n, 100);
	assert_non_null(nodes_get(n, 1, "k"));
	nothing_is_believed(n, limit(n));
}

static void
who_has_more_of_a_run_than_it_wrote_is_refused(void **state)
{
	struct nodes *n = *state;
	uint64_t own, clock;
	struct op ops[2];

	joined(n);
	own = n->node[0].store.inc;
	clock = n->node[0].store.now.clock;
	/* A copy of its disk closes a run at the clock's tick. */
	assert_true(clock > n->node[0].store.now.head);
	assert_int_equal(say_rows(n, FRAME_VV, 1, own, clock), KV_OK);
	a_protocol_error(n, say_rows(n, FRAME_VV, 1, own, clock + 100000));
	pulling(n);
	ops[0] = (struct op){ .type = OP_VVROW,
		.row = { n->node[0].store.now.clock + 100000, own } };
	ops[1] = mark_op(1, 1, OP_END);
	a_protocol_error(n, say_ops(n, FRAME_DATA_FULL, ops, 2));
	reading(n);
	ops[0].flags = OP_PURGED;
	a_protocol_error(n, say_ops(n, FRAME_DATA_RANGE, ops, 2));
}

/* The same in the first frame: node 1 was node 0 before that was put back. */
static void
who_ended_a_run_later_than_it_is_now_is_refused(void **state)
{
	struct nodes *n = *state;
	struct sim_store *s = &n->node[1].store;

	nodes_stop(n, 1);
	s->lineage[0] = (struct sim_row){ n->node[0].store.inc,
		n->node[0].store.now.clock + 100000 };
	s->lineage_count = 1;
	nodes_start(n, 1);
	nodes_join(n, 0, 1);
	nodes_pass(n, 100);
	assert_false(nodes_are_up(n, 0, 1));
	assert_int_equal(nodes_events(n, 0, REPLICA_PROTOCOL), 1);
}

/* ---- bounds ---- */

#define ROWS_MAX 20

/* Rows of runs that there never were, on each link. */
static int
tell_runs(struct nodes *n, uint64_t from, size_t count)
{
	struct frame f = { .type = FRAME_VV };
	struct buf bytes;
	size_t i;
	int rc;

	buf_init(&bytes);
	for (i = 0; i < count; i++)
		assert_int_equal(item_put_row(&bytes,
				     (struct item_row){ from + i, 1 }),
		    KV_OK);
	f.u.rows.rows = buf_slice(&bytes);
	rc = say(n, &f);
	buf_fini(&bytes);
	return rc;
}

static void
rows_have_one_bound_over_all_links(void **state)
{
	struct nodes *n = *state;
	uint64_t runs = 100000;
	unsigned i;

	nodes_stop(n, 0);
	n->node[0].config.tuning.rows_max = ROWS_MAX;
	nodes_start(n, 0);
	for (i = 0; i < 6; i++) {
		joined(n);
		assert_int_equal(tell_runs(n, runs, ROWS_MAX / 2), KV_OK);
		runs += ROWS_MAX / 2;
		nodes_pass(n, 50);
		assert_true(nodes_are_up(n, 0, 1));
		assert_true(n->node[0].store.now.row_count <= ROWS_MAX + 2);
	}
	assert_int_equal(nodes_events(n, 0, REPLICA_MANY_RUNS), 1);
	/* More than there can be on one link end it. */
	assert_int_equal(tell_runs(n, runs, ROWS_MAX * 2), KV_ECLOSED);
	/* Nobody else is harmed: who links with us has his row. */
	n->now_ms += 1000;
	nodes_stop(n, 1);
	nodes_start(n, 1);
	joined(n);
	nodes_put(n, 1, "k", "v");
	nodes_pass(n, 100);
	assert_non_null(nodes_get(n, 0, "k"));
	assert_true(
	    sim_row(&n->node[0].store.now, n->node[1].store.inc)->vv > 0);
}

static bool
nothing_passes(struct nodes *n, size_t from, size_t to, struct kv_slice frame)
{
	(void)n;
	(void)from;
	(void)to;
	(void)frame;
	return false;
}

static void
nobody_can_ask_to_be_waited_for_without_end(void **state)
{
	struct nodes *n = *state;
	struct frame f = { .type = FRAME_HELLO };

	n->filter = nothing_passes;
	nodes_join(n, 0, 1);
	nodes_turn(n, 0);
	f.u.hello.name = slice_of("x@host");
	f.u.hello.uid = f.u.hello.inc = 5;
	f.u.hello.wall_ms = n->node[0].store.wall_ms;
	f.u.hello.timeout_ms = UINT32_MAX;
	assert_int_equal(say(n, &f), KV_OK);
	assert_true(nodes_are_up(n, 0, 1));
	n->now_ms += 10 * MINUTE - 1000;
	nodes_turn(n, 0);
	assert_true(nodes_are_up(n, 0, 1));
	n->now_ms += 2000;
	nodes_turn(n, 0);
	assert_false(nodes_are_up(n, 0, 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, nodes_two, nodes_done)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_that_cannot_be_end_the_link),
		TEST(ops_that_cannot_be_end_the_link_and_leave_nothing),
		TEST(data_without_credit_ends_the_link),
		TEST(claims_of_the_future_are_refused),
		TEST(who_has_another_time_is_heard_and_not_believed),
		TEST(who_has_more_of_a_run_than_it_wrote_is_refused),
		TEST(who_ended_a_run_later_than_it_is_now_is_refused),
		TEST(rows_have_one_bound_over_all_links),
		TEST(nobody_can_ask_to_be_waited_for_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
