/* SPDX-License-Identifier: ISC */
/* Other nodes: who they are and when they are dialled, on a clock of
 * numbers. */

#include "sync/member.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "sync/nodename.h"

#define T0 5000000u
#define DAY 86400000u

static struct members *m;
static uint64_t now;
static const char link_a, link_b;

static int
setup(void **state)
{
	(void)state;
	now = T0;
	return members_new("foo@jv", 7, &m);
}

static int
teardown(void **state)
{
	(void)state;
	members_free(m);
	return 0;
}

static void
nodes(const char *list)
{
	assert_int_equal(members_set_nodes(m, slice_of(list), now), KV_OK);
}

static size_t
shown(void)
{
	const struct member *c = NULL;
	size_t n = 0;

	while ((c = members_next(m, c)) != NULL)
		n++;
	return n;
}

static struct member *
link_up(struct member *dialled, const void *link, const char *address,
    const char *name, uint64_t uid)
{
	const struct member_link up = { link, address, name, uid };

	return members_up(m, dialled, &up, now);
}

/* The one candidate there is, due now. */
static struct member *
due(void)
{
	struct member *c = members_due(m, now);

	assert_non_null(c);
	return c;
}

static bool
try_in_vain(struct member *c, enum member_reason reason)
{
	member_dials(c, "a:1");
	return member_failed(m, c, reason, "", now);
}

static void
a_node_is_dialled_at_once_and_its_own_entry_never(void **state)
{
	(void)state;
	nodes("foo@jv,bar@jv");
	assert_int_equal(members_count(m), 1);
	assert_string_equal(due()->name, "bar@jv");
	assert_string_equal(due()->want, "bar");
	assert_true(due()->is_local);
	assert_int_equal(members_next_ms(m), T0);
	nodes("foo@jv.example:4071,foo@localhost,foo@127.0.0.1");
	assert_int_equal(members_count(m), 0);
	assert_int_equal(members_own_port(m), 4071);
	assert_null(members_due(m, now));
	assert_int_equal(members_next_ms(m), MEMBER_NEVER);
}

static void
one_name_on_many_hosts_is_many_nodes(void **state)
{
	(void)state;
	nodes("foo@jv,foo@b.example,foo@c.example,foo@10.0.0.7:4071");
	assert_int_equal(members_count(m), 3);
	assert_false(due()->is_local);
}

/* Each pause lies below its bound, and the bounds double up to 30 s. */
static void
it_is_tried_for_ever_with_jitter_and_growing_pauses(void **state)
{
	uint64_t most = MEMBER_PAUSE_MIN_MS, pause, sum = 0;
	unsigned i, tries = 0;

	(void)state;
	nodes("bar@b");
	for (i = 0; i < 12; i++) {
		try_in_vain(due(), MEMBER_REFUSED);
		pause = members_next_ms(m) - now;
		assert_in_range(pause, 1, most);
		assert_null(members_due(m, now + pause - 1));
		now += pause;
		if (most < MEMBER_PAUSE_MAX_MS)
			most *= 2;
		if (most > MEMBER_PAUSE_MAX_MS)
			most = MEMBER_PAUSE_MAX_MS;
	}
	for (; now < T0 + DAY; now += pause, tries++) {
		try_in_vain(due(), MEMBER_REFUSED);
		pause = members_next_ms(m) - now;
		sum += pause;
	}
	/* The mean of full jitter is half of the bound. */
	assert_in_range(sum / tries, MEMBER_PAUSE_MAX_MS * 45 / 100,
	    MEMBER_PAUSE_MAX_MS * 55 / 100);
}

static void
a_steady_link_makes_the_next_pause_short_and_a_brief_one_does_not(void **state)
{
	struct member *c;
	int i;

	(void)state;
	nodes("bar@b");
	for (i = 0; i < 20; i++) {
		try_in_vain(due(), MEMBER_TIMEOUT);
		now = members_next_ms(m);
	}
	c = due();
	member_dials(c, "a:1");
	link_up(c, &link_a, "a:1", "bar@b", 9);
	now += MEMBER_STEADY_MS - 1;
	members_down(m, &link_a, MEMBER_LOST, "", now);
	assert_int_equal(c->failures, 21);
	now = members_next_ms(m);
	link_up(due(), &link_a, "a:1", "bar@b", 9);
	now += MEMBER_STEADY_MS;
	members_down(m, &link_a, MEMBER_LOST, "", now);
	assert_in_range(members_next_ms(m), now + 1, now + MEMBER_PAUSE_MIN_MS);
}

static void
a_reason_is_news_once_until_the_link_is_up(void **state)
{
	struct member *c;

	(void)state;
	nodes("bar@b");
	c = due();
	assert_true(try_in_vain(c, MEMBER_REFUSED));
	assert_false(try_in_vain(c, MEMBER_REFUSED));
	assert_true(try_in_vain(c, MEMBER_COOKIE));
	assert_false(try_in_vain(c, MEMBER_COOKIE));
	link_up(c, &link_a, "a:1", "bar@b", 9);
	assert_true(members_down(m, &link_a, MEMBER_LOST, "", now));
	assert_true(try_in_vain(c, MEMBER_COOKIE));
}

static void
who_is_turned_away_after_a_wrong_cookie_has_still_a_wrong_cookie(void **state)
{
	struct member *c;

	(void)state;
	nodes("bar@b");
	c = due();
	try_in_vain(c, MEMBER_COOKIE);
	assert_false(try_in_vain(c, MEMBER_TURNED_AWAY));
	assert_int_equal(c->reason, MEMBER_COOKIE);
	assert_true(try_in_vain(c, MEMBER_REFUSED));
	assert_true(try_in_vain(c, MEMBER_TURNED_AWAY));
	assert_int_equal(c->reason, MEMBER_TURNED_AWAY);
}

/* Who is a duplicate is told so after each HELLO. */
static void
a_link_that_is_refused_again_and_again_is_news_once(void **state)
{
	struct member *c;
	uint64_t since;
	int i;

	(void)state;
	nodes("bar@b");
	c = link_up(due(), &link_a, "a:1", "bar@b", 9);
	assert_int_equal(c->refused, MEMBER_FINE);
	assert_true(members_down(m, &link_a, MEMBER_DUPLICATE, "", ++now));
	since = c->since_ms;
	for (i = 0; i < 5; i++) {
		now += 40000;
		link_up(c, &link_a, "a:1", "bar@b", 9);
		assert_int_not_equal(c->refused, MEMBER_FINE);
		now++;
		assert_false(
		    members_down(m, &link_a, MEMBER_DUPLICATE, "", now));
		assert_int_equal(c->since_ms, since);
	}
	/* Another reason, or a link that lasts, is news. */
	link_up(c, &link_a, "a:1", "bar@b", 9);
	assert_true(members_down(m, &link_a, MEMBER_CLOCK, "", ++now));
	link_up(c, &link_a, "a:1", "bar@b", 9);
	now += MEMBER_BRIEF_MS - 1;
	assert_null(members_proved(m, now));
	assert_ptr_equal(members_proved(m, ++now), c);
	assert_null(members_proved(m, now));
	assert_true(members_down(m, &link_a, MEMBER_CLOCK, "", ++now));
}

static void
since_tells_when_the_reason_began(void **state)
{
	struct member *c;

	(void)state;
	nodes("bar@b");
	c = due();
	now += 10;
	try_in_vain(c, MEMBER_REFUSED);
	now += 10;
	try_in_vain(c, MEMBER_REFUSED);
	assert_int_equal(c->since_ms, T0 + 10);
	now += 10;
	try_in_vain(c, MEMBER_COOKIE);
	assert_int_equal(c->since_ms, T0 + 30);
}

/* Who dialled us is not dialled, whatever its host is called here. */
static void
an_incoming_link_belongs_to_its_entry(void **state)
{
	struct member *c;

	(void)state;
	nodes("bar@jv,kv@b.example,kv@c.example");
	c = link_up(NULL, &link_a, "x:1", "bar@jv", 9);
	assert_string_equal(c->entry, "bar@jv");
	c = link_up(NULL, &link_b, "x:2", "kv@c", 8);
	assert_string_equal(c->entry, "kv@c.example");
	assert_string_equal(due()->entry, "kv@b.example");
	assert_int_equal(members_count(m), 3);
	/* Once it was met it is known by its store. */
	members_down(m, &link_b, MEMBER_LOST, "", now);
	c = link_up(NULL, &link_b, "x:2", "other@name", 8);
	assert_string_equal(c->entry, "kv@c.example");
}

static void
a_node_that_only_dialled_us_is_shown_and_forgotten_after_an_hour(void **state)
{
	(void)state;
	nodes("");
	link_up(NULL, &link_a, "x:1", "bar@b", 9);
	assert_int_equal(shown(), 1);
	now += DAY;
	members_down(m, &link_a, MEMBER_LOST, "", now);
	assert_int_equal(members_next_ms(m), MEMBER_NEVER);
	assert_null(members_due(m, now + MEMBER_GONE_MS - 1));
	assert_int_equal(shown(), 1);
	assert_null(members_due(m, now + MEMBER_GONE_MS));
	assert_int_equal(shown(), 0);
}

static void
who_dialled_us_while_we_looked_it_up_stays_up(void **state)
{
	struct member *c;

	(void)state;
	nodes("bar@b");
	c = due();
	member_dials(c, "");
	assert_ptr_equal(link_up(NULL, &link_a, "b:5", "bar@b", 9), c);
	member_dials(c, "b:4069"); /* the look-up has ended */
	assert_int_equal(c->state, MEMBER_UP);
	assert_string_equal(c->address, "b:5");
}

/* Our dial reached whoever has the well-known port, and that sends us on. */
static void
who_dialled_us_before_we_were_sent_on_stays_up(void **state)
{
	struct member *c;

	(void)state;
	nodes("bar@b");
	c = due();
	member_dials(c, "b:4069");
	assert_ptr_equal(link_up(NULL, &link_a, "b:5", "bar@b", 9), c);
	member_redirected(c, 5000, now);
	assert_int_equal(c->state, MEMBER_UP);
	assert_true(members_down(m, &link_a, MEMBER_STOPPED, "", now));
	assert_int_equal(c->redirect, 0);
}

static void
of_two_addresses_of_a_store_one_is_dialled(void **state)
{
	struct member *first, *second;

	(void)state;
	members_begin(m, MEMBER_OF_DNS);
	assert_int_equal(members_add(m, MEMBER_OF_DNS, "10.0.0.1", 0, now), 0);
	assert_int_equal(members_add(m, MEMBER_OF_DNS, "10.0.0.2", 0, now), 0);
	members_end(m, MEMBER_OF_DNS);
	first = due();
	member_dials(first, "10.0.0.1:1");
	second = due();
	assert_ptr_not_equal(first, second);
	member_dials(second, "10.0.0.2:1");
	link_up(first, &link_a, "10.0.0.1:1", "bar@b", 9);
	second->uid = 9;
	assert_false(member_failed(m, second, MEMBER_ALIAS, "", now));
	assert_int_equal(members_next_ms(m), MEMBER_NEVER);
	assert_int_equal(shown(), 1);
	members_down(m, &link_a, MEMBER_LOST, "", now);
	assert_int_not_equal(members_next_ms(m), MEMBER_NEVER);
	assert_int_equal(shown(), 2);
}

static void
a_newer_link_is_not_taken_down_with_the_older_one(void **state)
{
	struct member *c;

	(void)state;
	nodes("bar@b");
	c = link_up(due(), &link_a, "a:1", "bar@b", 9);
	assert_ptr_equal(link_up(NULL, &link_b, "a:2", "bar@b", 9), c);
	assert_false(members_down(m, &link_a, MEMBER_LOST, "", now));
	assert_int_equal(c->state, MEMBER_UP);
	assert_true(members_down(m, &link_b, MEMBER_LOST, "", now));
	assert_int_equal(c->state, MEMBER_DOWN);
}

static void
our_own_address_rests_for_an_hour_and_is_not_shown(void **state)
{
	struct member *c;

	(void)state;
	members_begin(m, MEMBER_OF_BEACON);
	assert_int_equal(members_add(m, MEMBER_OF_BEACON, "10.0.0.1", 1, now),
	    0);
	c = due();
	member_dials(c, "10.0.0.1:1");
	member_is_self(c, now);
	assert_int_equal(shown(), 0);
	assert_int_equal(members_next_ms(m), now + MEMBER_SELF_MS);
}

static void
a_redirected_node_is_dialled_there_at_once(void **state)
{
	struct member *c;

	(void)state;
	nodes("bar@b");
	c = due();
	member_dials(c, "b:4069");
	member_redirected(c, 5000, now);
	assert_ptr_equal(due(), c);
	assert_int_equal(c->redirect, 5000);
	try_in_vain(c, MEMBER_REFUSED);
	assert_int_equal(c->redirect, 0);
}

static void
a_reload_keeps_links_and_forgets_who_is_no_longer_named(void **state)
{
	struct member *bar;

	(void)state;
	nodes("bar@b,baz@c");
	bar = link_up(due(), &link_a, "a:1", "bar@b", 9);
	try_in_vain(due(), MEMBER_REFUSED);
	nodes("baz@c,qux@d");
	assert_int_equal(members_count(m), 3);
	assert_int_equal(bar->state, MEMBER_UP);
	assert_string_equal(due()->name, "qux@d");
	members_down(m, &link_a, MEMBER_LOST, "", now);
	try_in_vain(due(), MEMBER_REFUSED);
	now += DAY;
	assert_string_not_equal(due()->name, "bar@b");
	nodes("");
	assert_null(members_due(m, now));
	assert_int_equal(members_count(m), 0);
}

static void
there_are_no_more_than_so_many(void **state)
{
	char address[32];
	int i, rc = KV_OK;

	(void)state;
	link_up(NULL, &link_a, "x:1", "old@b", 3);
	members_down(m, &link_a, MEMBER_LOST, "", now);
	members_begin(m, MEMBER_OF_DNS);
	for (i = 0; rc == KV_OK && i < 1000; i++) {
		snprintf(address, sizeof(address), "10.0.%d.%d", i / 256,
		    i % 256);
		rc = members_add(m, MEMBER_OF_DNS, address, 0, now);
	}
	assert_int_equal(rc, KV_ETOOBIG);
	assert_int_equal(members_count(m), MEMBERS_MAX);
	assert_int_equal(i, MEMBERS_MAX + 1);
	/* A new node that dials us finds no room, and no crash. */
	assert_null(link_up(NULL, &link_b, "x:1", "new@b", 4));
}

static void
a_node_answers_to_all_of_its_name_and_to_what_stands_before_the_at(void **state)
{
	(void)state;
	assert_true(nodename_answers_to("foo@jv", slice_of("foo")));
	assert_true(nodename_answers_to("foo@jv", slice_of("foo@jv")));
	assert_false(nodename_answers_to("foo@jv", slice_of("foo@b")));
	assert_false(nodename_answers_to("foo@jv", slice_of("fo")));
	assert_false(nodename_answers_to("foo@jv", slice_of("")));
	assert_true(nodename_answers_to("jv", slice_of("jv")));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_node_is_dialled_at_once_and_its_own_entry_never),
		T(one_name_on_many_hosts_is_many_nodes),
		T(it_is_tried_for_ever_with_jitter_and_growing_pauses),
		T(a_steady_link_makes_the_next_pause_short_and_a_brief_one_does_not),
		T(a_reason_is_news_once_until_the_link_is_up),
		T(who_is_turned_away_after_a_wrong_cookie_has_still_a_wrong_cookie),
		T(a_link_that_is_refused_again_and_again_is_news_once),
		T(since_tells_when_the_reason_began),
		T(an_incoming_link_belongs_to_its_entry),
		T(a_node_that_only_dialled_us_is_shown_and_forgotten_after_an_hour),
		T(who_dialled_us_while_we_looked_it_up_stays_up),
		T(who_dialled_us_before_we_were_sent_on_stays_up),
		T(of_two_addresses_of_a_store_one_is_dialled),
		T(a_newer_link_is_not_taken_down_with_the_older_one),
		T(our_own_address_rests_for_an_hour_and_is_not_shown),
		T(a_redirected_node_is_dialled_there_at_once),
		T(a_reload_keeps_links_and_forgets_who_is_no_longer_named),
		T(there_are_no_more_than_so_many),
		T(a_node_answers_to_all_of_its_name_and_to_what_stands_before_the_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
