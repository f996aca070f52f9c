/* SPDX-License-Identifier: ISC */
/* One conversation of two nodes, cut at every byte, and every byte of it
 * altered: sealed, where the link ends and the next one makes good; and in
 * plaintext, as if the seal were no good, where nodes have to survive. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "duo.h"

static void
fill(struct duo *d)
{
	unsigned x;

	for (x = 0; x < 2; x++)
		assert_int_equal(sim_create(&d->store[x], slice_of("b"), 0),
		    KV_OK);
	duo_put(d, 0, "one", 3, 0);
	duo_put(d, 0, "two", 600, 0);
	duo_put(d, 1, "two", 5, 0);
	duo_put(d, 1, "three", 0, 0);
	duo_put(d, 1, "four", 200, DUO_START_MS + 3600000);
	duo_put(d, 0, "gone", 1, 0);
	assert_int_equal(sim_del(&d->store[0], slice_of("b"), slice_of("gone")),
	    KV_OK);
	duo_settle(d);
}

static void
begin(struct duo *d)
{
	duo_begin(d);
	fill(d);
}

/* Whatever became of the first link, the next one makes good. */
static void
are_alike_after(struct duo *d)
{
	duo_hang_up(d);
	d->allowed[0] = d->allowed[1] = SIZE_MAX;
	d->flipped[0] = d->flipped[1] = SIZE_MAX;
	duo_dial(d, false);
	assert_true(duo_talk(d, 2000));
	assert_true(duo_is_alike(d));
	assert_non_null(sim_find(&d->store[1].now, sim_bucket_id(slice_of("b")),
	    slice_of("one")));
	assert_non_null(sim_find(&d->store[0].now, sim_bucket_id(slice_of("b")),
	    slice_of("four")));
}

/* Bytes that go each way when nothing happens. */
static void
measure(struct duo *d, bool sealed, size_t n[2])
{
	begin(d);
	duo_dial(d, sealed);
	assert_true(duo_talk(d, 1000));
	assert_true(duo_is_alike(d));
	n[0] = d->passed[0];
	n[1] = d->passed[1];
	duo_end(d);
}

static int
setup(void **state)
{
	static struct duo d;

	if (cable_seal(&d.sealed, 0) < 0)
		return -1;
	d.value_max = 1u << 20;
	d.held_max = 8u << 20;
	d.turns_max = 2000;
	*state = &d;
	return 0;
}

static int
teardown(void **state)
{
	struct duo *d = *state;

	cable_fini(&d->cable);
	cable_fini(&d->sealed);
	arena_fini(&d->arena);
	return 0;
}

static void
a_link_that_is_cut_at_any_byte_loses_nothing(void **state)
{
	struct duo *d = *state;
	size_t n[2], at;
	unsigned x;

	measure(d, true, n);
	for (x = 0; x < 2; x++) {
		assert_true(n[x] > 500);
		for (at = 0; at < n[x]; at++) {
			begin(d);
			duo_dial(d, true);
			d->allowed[x] = at;
			(void)duo_talk(d, 200);
			assert_true(d->passed[x] <= at);
			are_alike_after(d);
			duo_end(d);
		}
	}
}

static void
a_link_of_which_any_byte_is_altered_ends_and_loses_nothing(void **state)
{
	struct duo *d = *state;
	size_t n[2], at;
	unsigned x;

	measure(d, true, n);
	for (x = 0; x < 2; x++) {
		for (at = 0; at < n[x]; at++) {
			begin(d);
			duo_dial(d, true);
			d->flipped[x] = at;
			d->bit = (unsigned)at % 8;
			/* A length that became larger waits for more. */
			(void)duo_talk(d, 1500);
			assert_true(d->flipped[x] == SIZE_MAX);
			assert_true(d->passed[x] <= at);
			are_alike_after(d);
			duo_end(d);
		}
	}
}

/* What it makes of altered data may be wrong, but it lives, in its bounds, and
 * talks to who comes next. */
static void
a_node_survives_any_altered_byte_within_a_frame(void **state)
{
	struct duo *d = *state;
	size_t n[2], at;
	unsigned x, bit;

	measure(d, false, n);
	for (x = 0; x < 2; x++) {
		for (at = 4; at < n[x]; at++) {
			for (bit = 0; bit < 8; bit++) {
				begin(d);
				duo_dial(d, false);
				d->flipped[x] = at;
				d->bit = bit;
				(void)duo_talk(d, 1500);
				duo_hang_up(d);
				duo_dial(d, false);
				(void)duo_talk(d, 300);
				duo_end(d);
			}
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_that_is_cut_at_any_byte_loses_nothing),
		cmocka_unit_test(
		    a_link_of_which_any_byte_is_altered_ends_and_loses_nothing),
		cmocka_unit_test(
		    a_node_survives_any_altered_byte_within_a_frame),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
