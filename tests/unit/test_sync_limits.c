/* SPDX-License-Identifier: ISC */
/* What strangers may cost, on a clock of numbers. */

#include "sync/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

#define T0 1000000u /* ms; any start will do */

static struct limits *l;

static int
setup(void **state)
{
	(void)state;
	return limits_new(T0, &l);
}

static int
teardown(void **state)
{
	(void)state;
	limits_free(l);
	return 0;
}

static struct limits_address
v4(uint32_t host)
{
	struct limits_address a = { { [10] = 0xff, [11] = 0xff } };

	bytes_put_be32(a.bytes + 12, host);
	return a;
}

static struct limits_address
v6(uint64_t net, uint64_t host)
{
	struct limits_address a;

	bytes_put_be64(a.bytes, net);
	bytes_put_be64(a.bytes + 8, host);
	return a;
}

static enum limits_answer
enter(struct limits_address a, uint64_t now, unsigned *seat)
{
	unsigned ignored;

	return limits_enter(l, &a, now, seat != NULL ? seat : &ignored);
}

/* A guess at the cookie by this address; what stopped it. */
static enum limits_answer
guess(uint32_t host, uint64_t now)
{
	enum limits_answer got;
	unsigned seat;

	if ((got = enter(v4(host), now, &seat)) != LIMITS_ALLOW)
		return got;
	got = limits_m1(l, seat, now);
	limits_leave(l, seat, now);
	return got;
}

static void
a_source_has_four_seats_and_strangers_have_48(void **state)
{
	unsigned seats[LIMITS_SEATS], i;

	(void)state;
	for (i = 0; i < LIMITS_SEATS_EACH; i++)
		assert_int_equal(enter(v4(1), T0, &seats[i]), LIMITS_ALLOW);
	assert_int_equal(enter(v4(1), T0, NULL), LIMITS_SOURCE);
	for (; i < LIMITS_SEATS_UNKNOWN; i++)
		assert_int_equal(enter(v4(2 + i), T0, &seats[i]), LIMITS_ALLOW);
	assert_int_equal(enter(v4(1000), T0, NULL), LIMITS_FULL);
	assert_int_equal(limits_seated(l), LIMITS_SEATS_UNKNOWN);
	limits_leave(l, seats[20], T0);
	assert_int_equal(enter(v4(1000), T0, &seats[20]), LIMITS_ALLOW);
	for (i = 0; i < LIMITS_SEATS_UNKNOWN; i++)
		limits_leave(l, seats[i], T0);
	assert_int_equal(limits_seated(l), 0);
	assert_string_equal(limits_text(LIMITS_FULL), "too many handshakes");
	assert_int_equal(limits_count(l, LIMITS_FULL), 1);
	assert_int_equal(limits_count(l, LIMITS_SOURCE), 1);
}

static void
strangers_who_sit_still_do_not_lock_the_peers_out(void **state)
{
	bool taken[LIMITS_SEATS] = { false };
	unsigned i, seat;

	(void)state;
	for (i = 0; i < LIMITS_SEATS; i++) {
		struct limits_address peer = v4(5000 + i);

		limits_know(l, &peer, T0, T0 + 1);
		if (enter(v4(1 + i), T0, &seat) == LIMITS_ALLOW)
			taken[seat] = true;
	}
	for (i = 0; i < LIMITS_SEATS - LIMITS_SEATS_UNKNOWN; i++) {
		assert_int_equal(enter(v4(5000 + i), T0, &seat), LIMITS_ALLOW);
		assert_false(taken[seat]);
		taken[seat] = true;
	}
	assert_int_equal(enter(v4(5000 + i), T0, NULL), LIMITS_FULL);
}

static void
a_64_bit_network_is_one_source(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < LIMITS_SEATS_EACH; i++)
		assert_int_equal(enter(v6(7, i), T0, NULL), LIMITS_ALLOW);
	assert_int_equal(enter(v6(7, 99), T0, NULL), LIMITS_SOURCE);
	assert_int_equal(enter(v6(8, 99), T0, NULL), LIMITS_ALLOW);
	/* IPv4 addresses share the prefix of zeros and are not one. */
	for (i = 0; i < 10; i++)
		assert_int_equal(enter(v4(i), T0, NULL), LIMITS_ALLOW);
}

static void
m1_is_due_in_2_seconds_and_m3_in_5(void **state)
{
	unsigned a, b;

	(void)state;
	assert_int_equal(enter(v4(1), T0, &a), LIMITS_ALLOW);
	assert_int_equal(enter(v4(2), T0 + 1, &b), LIMITS_ALLOW);
	assert_int_equal(limits_deadline(l, a), T0 + 2000);
	assert_int_equal(limits_late(l, T0 + 1999), -1);
	assert_int_equal(limits_late(l, T0 + 2000), (int)a);
	assert_int_equal(limits_m1(l, a, T0 + 2000), LIMITS_LATE);
	limits_leave(l, a, T0 + 2000);
	assert_int_equal(limits_count(l, LIMITS_LATE), 1);
	assert_int_equal(limits_m1(l, b, T0 + 2000), LIMITS_ALLOW);
	/* From accept, not from M1. */
	assert_int_equal(limits_deadline(l, b), T0 + 5001);
	assert_int_equal(limits_late(l, T0 + 5000), -1);
	assert_int_equal(limits_late(l, T0 + 5001), (int)b);
}

/* How many of n strangers, a new address each, get to M2 at this time. */
static unsigned
flood(uint32_t from, unsigned n, uint64_t now, bool is_known, bool succeed)
{
	unsigned i, seat, allowed = 0;

	for (i = 0; i < n; i++) {
		struct limits_address a = v4(from + i);

		if (is_known)
			limits_know(l, &a, now, now + 1000000);
		assert_int_equal(enter(a, now, &seat), LIMITS_ALLOW);
		if (limits_m1(l, seat, now) == LIMITS_ALLOW) {
			allowed++;
			if (succeed) {
				limits_authenticated(l, seat, now);
				continue;
			}
		}
		limits_leave(l, seat, now);
	}
	return allowed;
}

static void
curve_work_is_limited_to_100_a_second(void **state)
{
	unsigned ms, allowed = 0;

	(void)state;
	/* They all succeed, so that only this limit is met. */
	assert_int_equal(flood(1, 500, T0, false, true), 50);
	assert_int_equal(flood(1000, 10, T0 + 9, false, true), 0);
	assert_int_equal(flood(2000, 10, T0 + 10, false, true), 1);
	for (ms = 11; ms <= 2010; ms++)
		allowed += flood(10000 + 10 * ms, 2, T0 + ms, false, true);
	assert_int_equal(allowed, 200);
}

static void
a_flood_does_not_starve_known_peers(void **state)
{
	(void)state;
	assert_int_equal(flood(1, 200, T0, false, false), 50);
	assert_int_equal(flood(1000, 1, T0, false, false), 0);
	assert_int_equal(flood(2000, 200, T0, true, true), 50);
	assert_int_equal(flood(3000, 5, T0 + 10, true, true), 1);
}

static void
guesses_are_limited_to_5_a_second(void **state)
{
	unsigned s, allowed = 0;

	(void)state;
	assert_int_equal(flood(1, 50, T0, false, false), 50);
	/* From here on the M1s would be let through, 100 a second. */
	for (s = 1; s <= 100; s++)
		allowed += flood(1000 * s, 50, T0 + 1000 * s, false, false);
	assert_int_equal(allowed, 500);
	assert_true(limits_count(l, LIMITS_GUESSES) >= 4000);
}

static void
seats_cannot_guess_at_once_on_the_last_token(void **state)
{
	unsigned seats[LIMITS_SEATS_UNKNOWN], i, allowed = 0;

	(void)state;
	assert_int_equal(flood(1, 49, T0, false, false), 49);
	for (i = 0; i < LIMITS_SEATS_UNKNOWN; i++)
		assert_int_equal(enter(v4(1000 + i), T0 + 100, &seats[i]),
		    LIMITS_ALLOW);
	for (i = 0; i < LIMITS_SEATS_UNKNOWN; i++)
		allowed += limits_m1(l, seats[i], T0 + 100) == LIMITS_ALLOW;
	assert_int_equal(allowed, 1);
}

static void
who_fails_waits_twice_as_long_each_time_up_to_300_seconds(void **state)
{
	uint64_t now = T0, penalty = 1000;
	int i;

	(void)state;
	for (i = 0; i < 12; i++) {
		assert_int_equal(guess(1, now), LIMITS_ALLOW);
		assert_int_equal(guess(1, now + penalty - 1), LIMITS_PENALTY);
		/* Others do not. */
		assert_int_equal(guess(100 + (uint32_t)i, now), LIMITS_ALLOW);
		now += penalty;
		penalty = penalty * 2 > 300000 ? 300000 : penalty * 2;
	}
	/* After as long a peace as the longest penalty it begins anew. */
	now += 300000 + 1;
	assert_int_equal(guess(1, now), LIMITS_ALLOW);
	assert_int_equal(guess(1, now + 999), LIMITS_PENALTY);
	assert_int_equal(guess(1, now + 1000), LIMITS_ALLOW);
}

static void
who_leaves_before_m1_has_not_guessed(void **state)
{
	unsigned i, seat;

	(void)state;
	for (i = 0; i < 200; i++) {
		assert_int_equal(enter(v4(1), T0, &seat), LIMITS_ALLOW);
		limits_leave(l, seat, T0);
	}
	assert_int_equal(flood(2, 50, T0, false, false), 50);
}

static void
who_authenticates_is_known_for_a_day_and_forgiven(void **state)
{
	uint64_t day = 24u * 3600 * 1000, now = T0 + 1000;
	unsigned seat;

	(void)state;
	assert_int_equal(guess(1, T0), LIMITS_ALLOW);
	assert_int_equal(enter(v4(1), now, &seat), LIMITS_ALLOW);
	assert_int_equal(limits_m1(l, seat, now), LIMITS_ALLOW);
	limits_authenticated(l, seat, now);
	/* Strangers use all there is; it still gets in. */
	flood(1000, 100, now, false, false);
	assert_int_equal(guess(2, now), LIMITS_RATE);
	assert_int_equal(guess(1, now), LIMITS_ALLOW);
	/* And its penalties begin at the beginning. */
	assert_int_equal(guess(1, now + 999), LIMITS_PENALTY);
	assert_int_equal(guess(1, now + 1000), LIMITS_ALLOW);
	/* A day later it is a stranger. */
	flood(3000, 100, now + day, false, false);
	assert_int_equal(guess(1, now + day), LIMITS_RATE);
}

static void
a_flood_of_sources_does_not_push_out_known_ones(void **state)
{
	struct limits_address peer = v4(7);
	uint64_t now = T0;
	unsigned i;

	(void)state;
	limits_know(l, &peer, now, UINT64_MAX);
	for (i = 0; i < 3 * LIMITS_SOURCES; i++) {
		now += 200;
		assert_int_equal(guess(1000 + i, now), LIMITS_ALLOW);
	}
	/* The newest of them are remembered, the oldest are not. */
	assert_int_equal(guess(1000 + i - 1, now), LIMITS_PENALTY);
	flood(100000, 200, now, false, false);
	assert_int_equal(guess(5, now), LIMITS_RATE);
	assert_int_equal(guess(7, now), LIMITS_ALLOW);
}

static void
a_clock_that_jumps_does_no_harm(void **state)
{
	(void)state;
	assert_int_equal(guess(1, UINT64_MAX / 2), LIMITS_ALLOW);
	assert_int_equal(guess(2, 0), LIMITS_ALLOW);
	assert_int_equal(flood(10, 60, UINT64_MAX - 10000, false, true), 50);
}

static void
a_long_silence_fills_up_what_may_be_spent(void **state)
{
	/* At 100 a second this many milliseconds are 0 modulo 2^64 or so. */
	uint64_t later = T0 + UINT64_MAX / 100 + 1;

	(void)state;
	assert_int_equal(flood(1, 60, T0, false, true), 50);
	assert_int_equal(flood(1000, 60, later, false, true), 50);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_source_has_four_seats_and_strangers_have_48),
		T(strangers_who_sit_still_do_not_lock_the_peers_out),
		T(a_64_bit_network_is_one_source),
		T(m1_is_due_in_2_seconds_and_m3_in_5),
		T(curve_work_is_limited_to_100_a_second),
		T(a_flood_does_not_starve_known_peers),
		T(guesses_are_limited_to_5_a_second),
		T(seats_cannot_guess_at_once_on_the_last_token),
		T(who_fails_waits_twice_as_long_each_time_up_to_300_seconds),
		T(who_leaves_before_m1_has_not_guessed),
		T(who_authenticates_is_known_for_a_day_and_forgiven),
		T(a_flood_of_sources_does_not_push_out_known_ones),
		T(a_clock_that_jumps_does_no_harm),
		T(a_long_silence_fills_up_what_may_be_spent),
#undef T
	};

	return cmocka_run_group_tests_name("sync_limits", tests, NULL, NULL);
}
