/* SPDX-License-Identifier: ISC */
/* Sizes that the runs of the simulator have not: values of 16 MiB, ten thousand
 * buckets, storms of creates and drops. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "duo.h"

#define MIB (1u << 20)
#define BUCKETS 10000
#define CUTS 12

static struct duo *
duo_new(size_t value_max, size_t held_max)
{
	struct duo *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	d->value_max = value_max;
	d->held_max = held_max;
	d->turns_max = 100000;
	duo_begin(d);
	return d;
}

static void
duo_free(struct duo *d)
{
	duo_end(d);
	cable_fini(&d->cable);
	arena_fini(&d->arena);
	free(d);
}

static uint64_t
any_seed(void)
{
	const char *text = getenv("KV_SEED");
	uint64_t seed = text == NULL ? rng_u64() : strtoull(text, NULL, 10);

	print_message("KV_SEED=%llu\n", (unsigned long long)seed);
	return seed | 1;
}

/* Links that end anywhere, a log that is full now and then, and at last one
 * that lasts. */
static void
talk_badly(struct duo *d, uint64_t *seed, size_t bytes)
{
	unsigned i, x;

	for (i = 0; i < CUTS; i++) {
		duo_dial(d, false);
		for (x = 0; x < 2; x++) {
			d->allowed[x] = rng_next(seed) % bytes;
			d->store[x].refuse =
			    rng_next(seed) % 4 == 0 ? KV_ENOSPC : KV_OK;
		}
		(void)duo_talk(d, 500);
		duo_hang_up(d);
	}
	for (x = 0; x < 2; x++) {
		d->allowed[x] = SIZE_MAX;
		d->store[x].refuse = KV_OK;
	}
	duo_dial(d, false);
	assert_true(duo_talk(d, 5000));
	assert_true(duo_is_alike(d));
}

static void
values_of_16_mebibytes_cross_whole_over_links_that_end_anywhere(void **state)
{
	struct duo *d = duo_new(16 * MIB, 6 * 16 * MIB);
	uint64_t seed = any_seed();
	const struct record *r;
	unsigned x;

	(void)state;
	for (x = 0; x < 2; x++)
		assert_int_equal(sim_create(&d->store[x], slice_of("b"), 0),
		    KV_OK);
	duo_put(d, 0, "first", 16 * MIB, 0);
	duo_put(d, 0, "small", 10, 0);
	duo_put(d, 0, "last", 16 * MIB - 1, 0);
	duo_put(d, 1, "other", 16 * MIB, 0);
	duo_settle(d);
	talk_badly(d, &seed, 40 * MIB);
	for (x = 0; x < 2; x++) {
		r = sim_find(&d->store[x].now, sim_bucket_id(slice_of("b")),
		    slice_of(x == 0 ? "other" : "first"));
		assert_non_null(r);
		assert_int_equal(r->value.len, 16 * MIB);
	}
	duo_free(d);
}

/* Of its own: a name from the arena. */
static struct kv_slice
bucket_name(struct duo *d, unsigned i)
{
	char *name = arena_take(&d->arena, 8);

	return (struct kv_slice){ name,
		(size_t)snprintf(name, 8, "b%05u", i % 100000) };
}

static void
storm(struct duo *d, uint64_t *seed, unsigned n)
{
	struct kv_slice name, key = { "k", 1 };
	struct sim_store *s;

	while (n-- > 0) {
		s = &d->store[rng_next(seed) % 2];
		name = bucket_name(d, (unsigned)(rng_next(seed) % BUCKETS));
		s->wall_ms = DUO_START_MS + d->now_ms;
		if (sim_create(s, name, 0) == KV_ENOTFOUND &&
		    rng_next(seed) % 2)
			assert_int_equal(sim_drop(s, name), KV_OK);
		else
			(void)!sim_put(s, name, key, key, 0);
		if (n % 256 == 0)
			d->now_ms++;
	}
	duo_settle(d);
}

static void
ten_thousand_buckets_are_the_same_after_a_storm_of_creates_and_drops(
    void **state)
{
	struct duo *d = duo_new(MIB, 64 * MIB);
	uint64_t seed = any_seed();
	unsigned i;

	(void)state;
	for (i = 0; i < BUCKETS; i++)
		assert_int_equal(sim_create(&d->store[i % 2], bucket_name(d, i),
				     0),
		    KV_OK);
	storm(d, &seed, BUCKETS);
	talk_badly(d, &seed, 2 * MIB);
	duo_hang_up(d);
	storm(d, &seed, BUCKETS);
	talk_badly(d, &seed, MIB);
	assert_true(d->store[0].now.bucket_count == BUCKETS);
	assert_true(d->store[1].now.bucket_count == BUCKETS);
	duo_free(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    values_of_16_mebibytes_cross_whole_over_links_that_end_anywhere),
		cmocka_unit_test(
		    ten_thousand_buckets_are_the_same_after_a_storm_of_creates_and_drops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
