/* SPDX-License-Identifier: ISC */
/* Who is connected where: each node owns its list. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "services_rig.h"

static void
client(struct rig *r, unsigned n, uint64_t id, const char *name)
{
	struct item_client c = { .id = id, .tick = id, .name = slice_of(name) };

	assert_int_equal(services_client(r->nodes[n].services, &c), KV_OK);
}

static int
count_client(void *user, const struct services_presence *p)
{
	uint64_t *sum = user;

	*sum += p->client.id;
	return KV_OK;
}

static int
say_client(void *user, const struct services_presence *p)
{
	struct rig_node *n = user;

	return buf_printf(&n->told, "%s %llu %.*s\n",
	    p->node == NULL ? "here" : p->node,
	    (unsigned long long)p->client.id, (int)p->client.name.len,
	    p->client.name.data);
}

static void
clients_are(struct rig *r, unsigned n, const char *expected)
{
	assert_int_equal(services_each_client(r->nodes[n].services, say_client,
			     &r->nodes[n]),
	    KV_OK);
	rig_told(r, n, expected);
}

static void
a_new_link_tells_all_clients_and_then_what_changes(void **state)
{
	struct rig *r = *state;

	client(r, 0, 1, "web");
	client(r, 0, 2, "127.0.0.1:5");
	client(r, 0, 3, "gone before");
	services_client_gone(r->nodes[0].services, 3);
	rig_link(r, 0, 1);
	rig_run(r);
	clients_are(r, 1, "a@host 1 web\na@host 2 127.0.0.1:5\n");
	clients_are(r, 0, "here 1 web\nhere 2 127.0.0.1:5\n");
	client(r, 0, 4, "new");
	client(r, 0, 2, "worker");
	services_client_gone(r->nodes[0].services, 1);
	r->now_ms += SERVICES_CLIENTS_MS;
	rig_run(r);
	clients_are(r, 1, "a@host 2 worker\na@host 4 new\n");
	rig_unlink(r, 0, 1);
	clients_are(r, 1, "");
	rig_link(r, 0, 1);
	rig_run(r);
	clients_are(r, 1, "a@host 4 new\na@host 2 worker\n");
}

static void
who_is_gone_and_forgotten_is_no_news_for_ever(void **state)
{
	struct rig *r = *state;
	unsigned i;

	client(r, 0, 1, "web");
	client(r, 0, 2, "gone before");
	services_client_gone(r->nodes[0].services, 2);
	rig_run(r); /* nobody is there to be told */
	rig_link(r, 0, 1);
	for (i = 0; i < 10; i++) {
		rig_run(r);
		r->now_ms += SERVICES_CLIENTS_MS;
	}
	assert_int_equal(r->nodes[1].frames[FRAME_PRESENCE], 1);
	clients_are(r, 1, "a@host 1 web\n");
}

static void
changes_within_a_tenth_of_a_second_are_one_frame(void **state)
{
	struct rig *r = *state;
	unsigned i;

	rig_link(r, 0, 1);
	rig_run(r);
	assert_int_equal(r->nodes[1].frames[FRAME_PRESENCE], 1);
	for (i = 0; i < 100; i++) {
		client(r, 0, 1 + i, "c");
		if (i % 2)
			services_client_gone(r->nodes[0].services, 1 + i);
		rig_run(r);
		assert_int_equal(r->next_ms, r->now_ms - r->now_ms % 100 + 100);
		if (i % 10 == 9)
			r->now_ms += 9;
	}
	r->now_ms = 1100;
	rig_run(r);
	assert_int_equal(r->nodes[1].frames[FRAME_PRESENCE], 2);
	assert_int_equal(r->next_ms, UINT64_MAX);
}

static void
a_list_beyond_one_frame_comes_whole_and_its_bound_holds(void **state)
{
	struct rig *r = *state;
	struct item_client c = { .name = slice_of("a name of some length") };
	uint64_t sum = 0;
	unsigned i;

	for (i = 1; i <= SERVICES_CLIENTS; i++) {
		c.id = i;
		assert_int_equal(services_client(r->nodes[0].services, &c),
		    KV_OK);
	}
	c.id = i;
	assert_int_equal(services_client(r->nodes[0].services, &c), KV_EBUSY);
	rig_link(r, 0, 1);
	rig_run(r);
	assert_true(r->nodes[1].frames[FRAME_PRESENCE] > 30);
	assert_int_equal(services_each_client(r->nodes[1].services,
			     count_client, &sum),
	    KV_OK);
	assert_int_equal(sum, SERVICES_CLIENTS * (SERVICES_CLIENTS + 1ull) / 2);
	/* All of them go: nothing is kept of them. */
	for (i = 1; i <= SERVICES_CLIENTS; i++)
		services_client_gone(r->nodes[0].services, i);
	r->now_ms += 1000;
	rig_run(r);
	clients_are(r, 1, "");
	rig_run(r);
	for (i = 1; i <= SERVICES_CLIENTS; i++) {
		c.id = SERVICES_CLIENTS + i;
		assert_int_equal(services_client(r->nodes[0].services, &c),
		    KV_OK);
	}
}

/* "b@host 7", or "". */
static void
holder_is(struct rig *r, unsigned n, const char *expected)
{
	struct services_presence p;
	char text[64] = "";

	if (services_holder(r->nodes[n].services, slice_of("leader"), &p) ==
	    KV_OK)
		snprintf(text, sizeof(text), "%s %u",
		    p.node == NULL ? r->nodes[n].name : p.node,
		    (unsigned)p.client.id);
	assert_string_equal(text, expected);
}

static void
named(struct rig *r, unsigned n, uint64_t id, uint64_t tick)
{
	struct item_client c = { .id = id,
		.tick = tick,
		.name = slice_of("leader") };

	assert_int_equal(services_client(r->nodes[n].services, &c), KV_OK);
	r->now_ms += 1000;
	rig_run(r);
}

/* Two sides of a split give it to one each; together again all say the same. */
static void
a_name_taken_twice_is_whose_stamp_is_lowest_on_every_node(void **state)
{
	struct rig *r = *state;
	unsigned n;

	holder_is(r, 0, "");
	named(r, 0, 5, 500);
	named(r, 0, 4, 600);
	named(r, 1, 9, 400);
	named(r, 2, 8, 400);
	holder_is(r, 0, "a@host 5");
	holder_is(r, 1, "b@host 9");
	holder_is(r, 2, "c@host 8");
	rig_link(r, 0, 1);
	rig_link(r, 1, 2);
	rig_link(r, 2, 0);
	r->now_ms += 1000;
	rig_run(r);
	for (n = 0; n < 3; n++) /* of one stamp the lower incarnation */
		holder_is(r, n, "b@host 9");
	services_client_gone(r->nodes[1].services, 9);
	r->now_ms += 1000;
	rig_run(r);
	for (n = 0; n < 3; n++)
		holder_is(r, n, "c@host 8");
	rig_unlink(r, 1, 2);
	rig_unlink(r, 2, 0);
	holder_is(r, 0, "a@host 5");
	holder_is(r, 1, "a@host 5");
	holder_is(r, 2, "c@host 8");
	services_client_gone(r->nodes[0].services, 5);
	r->now_ms += 1000;
	rig_run(r);
	holder_is(r, 1, "a@host 4");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_alone, rig_done)
	const struct CMUnitTest tests[] = {
		TEST(a_new_link_tells_all_clients_and_then_what_changes),
		TEST(who_is_gone_and_forgotten_is_no_news_for_ever),
		TEST(changes_within_a_tenth_of_a_second_are_one_frame),
		TEST(a_name_taken_twice_is_whose_stamp_is_lowest_on_every_node),
		TEST(a_list_beyond_one_frame_comes_whole_and_its_bound_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
