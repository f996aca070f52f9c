/* SPDX-License-Identifier: ISC */
/* Looking up hosts in the event loop, as far as no DNS server is needed. */

#include "syncd/lookup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct loop *loop;
static struct lookup *l;
static struct lookup_answer got;
static bool done;

static int
setup(void **state)
{
	(void)state;
	done = false;
	memset(&got, 0, sizeof(got));
	return loop_new(&loop);
}

static int
teardown(void **state)
{
	(void)state;
	lookup_cancel(l);
	loop_free(loop);
	return 0;
}

static void
answered(void *arg, const struct lookup_answer *answer)
{
	assert_null(l);
	assert_ptr_equal(arg, &done);
	got = *answer;
	done = true;
	loop_stop(loop);
}

static void
look_up(const char *host, bool services)
{
	const struct lookup_question q = { host, 4069, services, answered,
		&done };

	assert_int_equal(lookup_start(loop, &q, &l), KV_OK);
	/* Never from within the call: the caller is not ready for it. */
	assert_false(done);
	assert_non_null(l);
	assert_int_equal(loop_run(loop), KV_OK);
	assert_true(done);
}

static bool
has(const char *text)
{
	char shown[LOOKUP_TEXT];
	size_t i;

	for (i = 0; i < got.count; i++) {
		lookup_text(&got.address[i], shown);
		if (strcmp(shown, text) == 0)
			return true;
	}
	return false;
}

static void
a_number_is_its_own_address(void **state)
{
	(void)state;
	look_up("10.1.2.3", true);
	assert_int_equal(got.count, 1);
	assert_true(has("10.1.2.3:4069"));
}

static void
of_ipv6_too(void **state)
{
	(void)state;
	look_up("2001:db8::7", false);
	assert_int_equal(got.count, 1);
	assert_true(has("[2001:db8::7]:4069"));
}

static void
names_of_etc_hosts_need_no_server(void **state)
{
	(void)state;
	look_up("localhost", false);
	assert_true(has("127.0.0.1:4069") || has("[::1]:4069"));
}

/* Whether a server says so or none answers. */
static void
a_name_that_cannot_be_has_no_address_and_a_reason(void **state)
{
	(void)state;
	look_up("nowhere.invalid", true);
	assert_int_equal(got.count, 0);
	assert_true(strlen(got.why) > 0);
}

static void
a_host_too_long_for_a_name_has_a_reason(void **state)
{
	char host[400];

	(void)state;
	memset(host, 'x', sizeof(host));
	host[sizeof(host) - 1] = '\0';
	look_up(host, true);
	assert_int_equal(got.count, 0);
	assert_true(strlen(got.why) > 0);
}

static void
what_is_cancelled_is_never_answered(void **state)
{
	struct lookup_question q = { "nowhere.invalid", 1, true, answered,
		&done };
	struct lookup *other;

	(void)state;
	assert_int_equal(lookup_start(loop, &q, &other), KV_OK);
	lookup_cancel(other);
	assert_null(other);
	q.host = "10.0.0.1";
	assert_int_equal(lookup_start(loop, &q, &other), KV_OK);
	lookup_cancel(other);
	loop_again(loop);
	assert_int_equal(loop_turn(loop), KV_OK);
	assert_false(done);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_number_is_its_own_address),
		T(of_ipv6_too),
		T(names_of_etc_hosts_need_no_server),
		T(a_name_that_cannot_be_has_no_address_and_a_reason),
		T(a_host_too_long_for_a_name_has_a_reason),
		T(what_is_cancelled_is_never_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
