/* SPDX-License-Identifier: ISC */
/* What calls may hold when somebody does not read. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "services_rig.h"
#include "sync/items.h"

#define ARGS_FULL (ITEM_ARGS_BYTES - 1)

/* A asks B for something with a word of this size. */
static int
ask(struct rig *r, const char *word, size_t len, uint32_t deadline_ms)
{
	struct kv_slice argv[] = { { "2", 1 }, { word, len } };
	struct services_request q = { "b", argv, 2, deadline_ms };

	return services_ask(r->nodes[0].services, &q, r->now_ms,
	    &r->nodes[0].ask);
}

/* B's last job has so much more of an answer, and it leaves. */
static void
answer(struct rig *r, uint64_t job, size_t n)
{
	static const char bytes[SERVICES_WINDOW];

	assert_int_equal(services_reply(r->nodes[1].services, job,
			     (struct kv_slice){ bytes, n }),
	    KV_OK);
	rig_run(r);
	r->nodes[0].told.len = r->nodes[1].told.len = 0;
}

static void
after(struct rig *r, uint64_t ms)
{
	r->now_ms += ms;
	rig_run(r);
}

static void
an_answer_that_is_not_read_ends(void **state)
{
	struct rig *r = *state;
	uint64_t job;

	r->nodes[0].takes = r->nodes[1].echoes = false;
	assert_int_equal(ask(r, "HGET", 4, 60000), KV_OK);
	rig_run(r);
	job = r->nodes[1].job;
	answer(r, job, SERVICES_WINDOW);
	after(r, SERVICES_UNREAD_MS - 1);
	services_taken(r->nodes[0].services, r->nodes[0].ask,
	    SERVICES_WINDOW / 2);
	rig_run(r);
	after(r, SERVICES_UNREAD_MS); /* who goes on reading is in time */
	answer(r, job, SERVICES_WINDOW / 2);
	after(r, SERVICES_UNREAD_MS - 1);
	rig_told(r, 0, "");
	after(r, 1);
	rig_told(r, 1, "stop it\n");
	rig_told(r, 0, "end failed its answer is not read\n");
}

/* Of it only so much is kept for who does not read. */
static void
a_subscription_that_is_not_read_stays(void **state)
{
	struct rig *r = *state;

	r->nodes[0].takes = r->nodes[1].echoes = false;
	assert_int_equal(ask(r, "MONITOR", 7, 0), KV_OK);
	rig_run(r);
	answer(r, r->nodes[1].job, SERVICES_WINDOW);
	after(r, 10 * SERVICES_UNREAD_MS);
	rig_told(r, 1, "");
}

/* They are not sent while no turn of the link comes. */
static void
arguments_that_links_cannot_take_are_bounded_in_all(void **state)
{
	struct rig *r = *state;
	char *large = calloc(1, ARGS_FULL);
	unsigned n = 0;
	int rc;

	assert_non_null(large);
	r->nodes[1].echoes = false;
	while ((rc = ask(r, large, ARGS_FULL, 5000)) == KV_OK)
		n++;
	assert_int_equal(rc, KV_EBUSY);
	assert_in_range(n, 1, SERVICES_ARGS / ARGS_FULL);
	rig_run(r);
	assert_int_equal(ask(r, large, ARGS_FULL, 5000), KV_OK);
	free(large);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_pair, rig_done)
	const struct CMUnitTest tests[] = {
		TEST(an_answer_that_is_not_read_ends),
		TEST(a_subscription_that_is_not_read_stays),
		TEST(arguments_that_links_cannot_take_are_bounded_in_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
