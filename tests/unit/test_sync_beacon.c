/* SPDX-License-Identifier: ISC */
/* Beacons: their bytes, and who is remembered. */

#include "sync/beacon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"

#define T0 1000000u

static bool
decode(const uint8_t *bytes, size_t len, const char *cluster,
    struct beacon *out)
{
	struct kv_slice s = { (const char *)bytes, len };

	return beacon_decode(s, slice_of(cluster), out);
}

static void
a_beacon_has_these_48_bytes_and_nothing_secret(void **state)
{
	static const uint8_t expected[BEACON_BYTES] = { 'K', 'V', 'B', '1',
		/* BLAKE2b-128 of "prod" */
		0x0b, 0x4a, 0x89, 0x27, 0x05, 0xdb, 0x6a, 0xbd, 0xf5, 0xa3,
		0x0e, 0x39, 0x42, 0xec, 0x53, 0x5c,
		/* uid, port */
		1, 2, 3, 4, 5, 6, 7, 8, 0x0f, 0xe5 };
	struct beacon b = { 0x0102030405060708, 4069 };
	uint8_t bytes[BEACON_BYTES];

	(void)state;
	beacon_encode(slice_of("prod"), &b, bytes);
	assert_memory_equal(bytes, expected, sizeof(bytes));
}

static void
only_whole_beacons_of_this_cluster_are_taken(void **state)
{
	struct beacon b = { 7, 4069 }, got;
	uint8_t bytes[BEACON_BYTES];
	size_t i;

	(void)state;
	beacon_encode(slice_of("prod"), &b, bytes);
	assert_true(decode(bytes, sizeof(bytes), "prod", &got));
	assert_int_equal(got.uid, 7);
	assert_int_equal(got.port, 4069);
	assert_false(decode(bytes, sizeof(bytes), "test", &got));
	for (i = 0; i < sizeof(bytes); i++)
		assert_false(decode(bytes, i, "prod", &got));
	for (i = 0; i < 20; i++) {
		bytes[i] ^= 1;
		assert_false(decode(bytes, sizeof(bytes), "prod", &got));
		bytes[i] ^= 1;
	}
	b.port = 0;
	beacon_encode(slice_of("prod"), &b, bytes);
	assert_false(decode(bytes, sizeof(bytes), "prod", &got));
}

static void
ten_new_ones_a_minute_and_no_more(void **state)
{
	struct beacons all = { .fresh = 0 };
	struct beacon b = { 1, 4069 };
	uint64_t now = T0;
	unsigned i, fresh = 0;

	(void)state;
	for (i = 0; i < 1000; i++, b.uid++)
		fresh += beacons_hear(&all, &b, "10.0.0.1", now + i);
	assert_int_equal(fresh, BEACONS_NEW_MAX);
	assert_true(beacons_hear(&all, &b, "10.0.0.1", now + BEACONS_NEW_MS));
}

static void
one_that_is_known_is_no_news_and_stays_as_long_as_it_is_heard(void **state)
{
	struct beacons all = { .fresh = 0 };
	struct beacon b = { 1, 4069 };
	uint64_t now = T0;
	unsigned i;

	(void)state;
	assert_true(beacons_hear(&all, &b, "10.0.0.1", now));
	for (i = 0; i < 10; i++) {
		now += BEACONS_SILENT_MS - 1;
		assert_false(beacons_forget(&all, now));
		assert_false(beacons_hear(&all, &b, "10.0.0.1", now));
	}
	assert_true(beacons_forget(&all, now + BEACONS_SILENT_MS));
	assert_false(beacons_forget(&all, now + BEACONS_SILENT_MS));
	assert_true(
	    beacons_hear(&all, &b, "10.0.0.1", now + BEACONS_SILENT_MS));
}

static void
of_too_many_the_longest_silent_one_makes_room(void **state)
{
	struct beacons all = { .fresh = 0 };
	struct beacon b = { 1, 4069 };
	char address[BEACON_ADDRESS_TEXT];
	uint64_t now = T0;
	unsigned i;

	(void)state;
	for (i = 0; i < BEACONS_MAX + 1; i++) {
		now += BEACONS_NEW_MS; /* none is held back */
		snprintf(address, sizeof(address), "10.0.0.%u", i);
		assert_true(beacons_hear(&all, &b, address, now));
	}
	assert_false(beacons_hear(&all, &b, "10.0.0.1", now));
	assert_true(beacons_hear(&all, &b, "10.0.0.0", now));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_beacon_has_these_48_bytes_and_nothing_secret),
		cmocka_unit_test(only_whole_beacons_of_this_cluster_are_taken),
		cmocka_unit_test(ten_new_ones_a_minute_and_no_more),
		cmocka_unit_test(
		    one_that_is_known_is_no_news_and_stays_as_long_as_it_is_heard),
		cmocka_unit_test(of_too_many_the_longest_silent_one_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
