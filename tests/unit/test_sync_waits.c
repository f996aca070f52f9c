/* SPDX-License-Identifier: ISC */
/* WAIT counts whose disks have a write; a barrier holds when all members have
 * it and nothing that they had before is missing here. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "services_rig.h"

#define SEQ 500
#define LIMIT 3000

static int
setup(void **state)
{
	static struct rig r;

	rig_init(&r);
	rig_link(&r, 0, 1);
	rig_link(&r, 0, 2);
	*state = &r;
	return 0;
}

static uint64_t
wait_for(struct rig *r, unsigned want)
{
	uint64_t id;

	assert_int_equal(services_wait(r->nodes[0].services, SEQ, want,
			     r->now_ms + LIMIT, &id),
	    KV_OK);
	rig_run(r);
	return id;
}

static uint64_t
barrier(struct rig *r)
{
	const struct kv_slice nodes[] = { { "b", 1 }, { "c@host", 6 } };
	uint64_t id;

	assert_int_equal(services_barrier(r->nodes[0].services, SEQ, nodes, 2,
			     r->now_ms + LIMIT, &id),
	    KV_OK);
	rig_run(r);
	return id;
}

/* Node n has what node 0 wrote, on its disk, and 0 knows. */
static void
acks(struct rig *r, unsigned n, uint64_t seq)
{
	struct rig_node *node = &r->nodes[n];

	node->rows[0] = (struct sync_row){ .inc = r->nodes[0].inc, .own = seq };
	if (node->row_count == 0)
		node->row_count = 1;
	r->nodes[0].acked[n] = seq;
}

static void
wait_ends_as_soon_as_enough_have_it(void **state)
{
	struct rig *r = *state;

	wait_for(r, 1);
	assert_int_equal(r->next_ms, r->now_ms + LIMIT);
	rig_told(r, 0, "");
	acks(r, 2, SEQ - 1);
	rig_run(r);
	rig_told(r, 0, "");
	acks(r, 2, SEQ);
	rig_run(r);
	rig_told(r, 0, "settled 1\n");
	assert_int_equal(r->next_ms, UINT64_MAX);
}

static void
wait_ends_at_its_time_limit_with_the_number_of_those_who_have_it(void **state)
{
	struct rig *r = *state;

	acks(r, 1, SEQ + 1);
	wait_for(r, 2);
	r->now_ms += LIMIT - 1;
	rig_run(r);
	rig_told(r, 0, "");
	r->now_ms++;
	rig_run(r);
	rig_told(r, 0, "settled 1\n");
}

static void
a_wait_that_is_forgotten_tells_nothing(void **state)
{
	struct rig *r = *state;

	services_forget(r->nodes[0].services, wait_for(r, 1));
	services_forget(r->nodes[0].services, barrier(r));
	acks(r, 1, SEQ);
	r->now_ms += 2 * LIMIT;
	rig_run(r);
	rig_told(r, 0, "");
}

static void
a_barrier_holds_when_all_have_it_and_here_is_all_they_had(void **state)
{
	struct rig *r = *state;
	struct rig_node *a = &r->nodes[0], *b = &r->nodes[1];

	r->nodes[2].head = 0;
	acks(r, 2, SEQ);
	b->head = 900; /* b wrote something */
	b->rows[1] = (struct sync_row){ .inc = 77, .vv = 300 };
	b->row_count = 2;
	barrier(r);
	rig_told(r, 0, "");
	assert_int_equal(b->frames[FRAME_BARRIER], 0); /* (a) comes first */
	acks(r, 1, SEQ);
	rig_run(r);
	assert_int_equal(b->frames[FRAME_BARRIER], 1);
	assert_int_equal(a->frames[FRAME_BARRIER_OK], 2);
	rig_told(r, 0, "");
	a->rows[0] = (struct sync_row){ .inc = b->inc, .vv = 899 };
	a->rows[1] = (struct sync_row){ .inc = 77, .vv = 300 };
	a->row_count = 2;
	rig_run(r);
	rig_told(r, 0, "");
	a->rows[0].vv = 900;
	rig_run(r);
	rig_told(r, 0, "settled 2\n");
}

static void
what_a_member_writes_after_its_answer_is_not_waited_for(void **state)
{
	struct rig *r = *state;
	struct rig_node *a = &r->nodes[0];

	acks(r, 1, SEQ);
	r->nodes[1].head = 900;
	barrier(r);
	r->nodes[1].head = 5000;
	acks(r, 2, SEQ);
	a->rows[0] = (struct sync_row){ .inc = r->nodes[1].inc, .vv = 900 };
	a->row_count = 1;
	rig_run(r);
	rig_told(r, 0, "settled 2\n");
}

static void
a_barrier_names_the_member_that_is_missing(void **state)
{
	struct rig *r = *state;

	acks(r, 1, SEQ);
	barrier(r);
	r->now_ms += LIMIT;
	rig_run(r);
	rig_told(r, 0, "settled 1 without c@host\n");
	rig_unlink(r, 0, 1);
	barrier(r);
	acks(r, 2, SEQ);
	r->now_ms += LIMIT;
	rig_run(r);
	rig_told(r, 0, "settled 1 without b\n");
}

static void
whoever_is_linked_is_a_member_too(void **state)
{
	struct rig *r = *state;
	uint64_t id;

	acks(r, 1, SEQ);
	assert_int_equal(services_barrier(r->nodes[0].services, SEQ, NULL, 0,
			     r->now_ms + LIMIT, &id),
	    KV_OK);
	rig_run(r);
	rig_told(r, 0, "");
	acks(r, 2, SEQ);
	rig_run(r);
	rig_told(r, 0, "settled 2\n");
}

static void
a_node_that_is_alone_has_passed_its_barrier(void **state)
{
	struct rig *r = *state;
	uint64_t id;

	rig_unlink(r, 0, 1);
	rig_unlink(r, 0, 2);
	assert_int_equal(services_barrier(r->nodes[0].services, SEQ, NULL, 0,
			     r->now_ms + LIMIT, &id),
	    KV_OK);
	rig_run(r);
	rig_told(r, 0, "settled 0\n");
}

static void
after_a_lost_link_a_member_is_asked_again(void **state)
{
	struct rig *r = *state;

	acks(r, 1, SEQ);
	barrier(r);
	assert_int_equal(r->nodes[1].frames[FRAME_BARRIER], 1);
	rig_unlink(r, 0, 1);
	acks(r, 2, SEQ);
	rig_run(r);
	rig_told(r, 0, "");
	rig_link(r, 0, 1);
	rig_run(r);
	assert_int_equal(r->nodes[1].frames[FRAME_BARRIER], 2);
	rig_told(r, 0, "settled 2\n");
}

static void
a_vector_of_many_frames_comes_whole(void **state)
{
	struct rig *r = *state;
	struct frame f = { .type = FRAME_BARRIER_OK };
	struct kv_slice nodes[] = { { "b", 1 } };
	struct buf part;
	uint64_t id;
	unsigned i;

	/* From the peer's side by hand: 10,000 rows, of which one is news. */
	rig_unlink(r, 0, 2);
	r->nodes[0].acked[1] = SEQ;
	assert_int_equal(services_barrier(r->nodes[0].services, SEQ, nodes, 1,
			     r->now_ms + LIMIT, &id),
	    KV_OK);
	rig_run(r);
	assert_int_equal(r->nodes[1].frames[FRAME_BARRIER], 1);
	f.u.barrier_ok.id = id;
	buf_init(&part);
	for (i = 0; i < 10000; i++) {
		struct item_row row = { 1000 + i, 5 };

		assert_int_equal(item_put_row(&part, row), KV_OK);
		if (part.len < 64000 && i != 9999)
			continue;
		f.u.barrier_ok.flags = i == 9999 ? 0 : FRAME_MORE;
		f.u.barrier_ok.rows = buf_slice(&part);
		assert_int_equal(rig_push(r, 1, 0, &f), KV_OK);
		part.len = 0;
	}
	buf_fini(&part);
	rig_run(r);
	rig_told(r, 0, "");
	r->now_ms += LIMIT;
	rig_run(r);
	rig_told(r, 0, "settled 1 without b\n");
}

static void
a_vector_without_an_end_is_refused(void **state)
{
	struct rig *r = *state;
	struct frame f = { .type = FRAME_BARRIER_OK };
	struct kv_slice nodes[] = { { "b", 1 } };
	struct buf part;
	uint64_t inc = 1000;
	unsigned i, n;
	int rc = KV_OK;

	r->nodes[0].acked[1] = SEQ;
	assert_int_equal(services_barrier(r->nodes[0].services, SEQ, nodes, 1,
			     r->now_ms + LIMIT, &f.u.barrier_ok.id),
	    KV_OK);
	rig_unlink(r, 0, 2);
	rig_run(r);
	buf_init(&part);
	f.u.barrier_ok.flags = FRAME_MORE;
	for (i = 0; i < 100 && rc == KV_OK; i++) {
		part.len = 0;
		for (n = 0; n < 4000; n++) {
			struct item_row row = { inc++, 5 };

			assert_int_equal(item_put_row(&part, row), KV_OK);
		}
		f.u.barrier_ok.rows = buf_slice(&part);
		rc = rig_push(r, 1, 0, &f);
	}
	buf_fini(&part);
	assert_int_equal(rc, KV_EPROTO);
	assert_int_equal(i, 17);
}

static void
there_are_bounds_on_both_sides(void **state)
{
	struct rig *r = *state;
	struct frame f = { .type = FRAME_BARRIER, .u.barrier = { 1, 9999 } };
	uint64_t id;
	unsigned i;

	for (i = 0; i < SERVICES_WAITS; i++)
		assert_int_equal(services_wait(r->nodes[0].services, SEQ, 1, 1,
				     &id),
		    KV_OK);
	assert_int_equal(services_wait(r->nodes[0].services, SEQ, 1, 1, &id),
	    KV_EBUSY);
	for (i = 0; i < SERVICES_BARRIERS; i++)
		assert_int_equal(rig_push(r, 0, 1, &f), KV_OK);
	assert_int_equal(rig_push(r, 0, 1, &f), KV_EPROTO);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_done)
	const struct CMUnitTest tests[] = {
		TEST(wait_ends_as_soon_as_enough_have_it),
		TEST(
		    wait_ends_at_its_time_limit_with_the_number_of_those_who_have_it),
		TEST(a_wait_that_is_forgotten_tells_nothing),
		TEST(a_barrier_holds_when_all_have_it_and_here_is_all_they_had),
		TEST(what_a_member_writes_after_its_answer_is_not_waited_for),
		TEST(a_barrier_names_the_member_that_is_missing),
		TEST(whoever_is_linked_is_a_member_too),
		TEST(a_node_that_is_alone_has_passed_its_barrier),
		TEST(after_a_lost_link_a_member_is_asked_again),
		TEST(a_vector_of_many_frames_comes_whole),
		TEST(a_vector_without_an_end_is_refused),
		TEST(there_are_bounds_on_both_sides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
