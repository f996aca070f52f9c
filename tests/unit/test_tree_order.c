/* SPDX-License-Identifier: ISC */
/* Sorting: against qsort(3), and the order in which a checkpoint is applied. */

#include "tree/order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/rng.h"
#include "base/scope.h"
#include "tree/schema.h"
#include "tree_model.h"

#define MANY 5000

static int
compare_items(const void *a, const void *b)
{
	const struct sort_item *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at); /* stable */
}

static void
random_items_are_sorted_as_qsort_would_and_stable(void **state)
{
	static struct sort_item items[MANY], expected[MANY], spare[MANY];
	uint64_t seed = test_seed(__func__), mask;
	unsigned round;
	size_t i, n;

	(void)state;
	for (round = 0; round < 200; round++) {
		n = rng_next(&seed) % MANY;
		mask = rng_next(&seed) & rng_next(&seed);
		for (i = 0; i < n; i++)
			items[i] = (struct sort_item){
				.key = rng_next(&seed) & mask,
				.at = (uint32_t)i,
			};
		memcpy(expected, items, sizeof(items));
		qsort(expected, n, sizeof(*expected), compare_items);
		sort_items(items, spare, n);
		assert_memory_equal(items, expected, n * sizeof(*items));
	}
}

static int
rank(const struct record *r)
{
	return r->type == RECORD_POSITION ? 2 : r->type == RECORD_BUCKET;
}

static int
compare_records(const struct record *a, const struct record *b)
{
	if (rank(a) != rank(b))
		return rank(a) - rank(b);
	if (rank(a) == 0 && a->bid != b->bid)
		return a->bid < b->bid ? -1 : 1;
	return slice_compare(a->key, b->key);
}

static char names[MANY][24];

/* Keys are distinct; of several shapes, so that every way of sorting them is
 * taken: a long common prefix, none, eight bytes that do not decide. */
static struct kv_slice
make_key(size_t i, uint64_t shape)
{
	unsigned long x = (unsigned long)(i * 2654435761u % 99991);
	size_t size = sizeof(names[i]);
	int n;

	if (shape == 0)
		n = snprintf(names[i], size, "user:00000:%06lu", x);
	else if (shape == 1)
		n = snprintf(names[i], size, "%lx", x);
	else
		n = snprintf(names[i], size, "%c%06lu%06lu", (int)(x % 26 + 97),
		    x % 7, x);
	return (struct kv_slice){ names[i], (size_t)n };
}

static void
make_records(struct record *records, size_t n, uint64_t *seed, char *row)
{
	static const enum record_type types[] = { RECORD_TOMB, RECORD_BUCKET,
		RECORD_POSITION, RECORD_PUT, RECORD_PUT, RECORD_PUT };
	uint64_t buckets = 1 + rng_next(seed) % 5, shape = rng_next(seed) % 3;
	size_t i;

	for (i = 0; i < n; i++) {
		struct record *r = &records[i];

		*r = (struct record){ .type = types[rng_next(seed) % 6] };
		r->seq = i + 1;
		r->key = make_key(i, shape);
		r->bid = rng_next(seed) % buckets << 60;
		if (r->type == RECORD_BUCKET)
			r->value = (struct kv_slice){ row, SCHEMA_BUCKET_ROW };
	}
}

static void
random_records_come_in_the_order_of_the_trees_keys(void **state)
{
	static struct record records[MANY];
	uint64_t seed = test_seed(__func__);
	char row[SCHEMA_BUCKET_ROW];
	struct bucket b = { .bid = 3 };
	struct order o;
	unsigned round;
	size_t i, n;

	(void)state;
	schema_put_bucket(row, &b);
	for (round = 0; round < 100; round++) {
		n = rng_next(&seed) % (round % 2 ? MANY : 100);
		make_records(records, n, &seed, row);
		assert_int_equal(order_init(&o, records, n), KV_OK);
		assert_int_equal(o.records + o.buckets + o.positions, n);
		for (i = 1; i < n; i++)
			assert_true(compare_records(&records[o.items[i - 1].at],
					&records[o.items[i].at]) < 0);
		order_fini(&o);
	}
}

/* ---- refusals ---------------------------------------------------------- */

static void
assert_refused(struct record r, int code)
{
	struct order o;

	assert_int_equal(order_init(&o, &r, 1), code);
	order_fini(&o);
}

static void
records_that_cannot_be_are_refused(void **state)
{
	static const char long_key[600];
	struct record good = { .type = RECORD_PUT, .seq = 1 }, r;

	(void)state;
	good.key = slice_of("k");
	assert_refused(good, KV_OK);
	r = good;
	r.seq = 0;
	assert_refused(r, KV_EINVAL);
	r = good;
	r.key.len = 0;
	assert_refused(r, KV_OK);
	r.type = RECORD_POSITION;
	assert_refused(r, KV_EINVAL);
	r = good;
	r.key = (struct kv_slice){ long_key, KV_KEY_MAX };
	assert_refused(r, KV_OK);
	r.key.len++;
	assert_refused(r, KV_EINVAL);
	r.type = RECORD_TOMB;
	assert_refused(r, KV_EINVAL);
	r = good;
	r.type = RECORD_END;
	assert_refused(r, KV_EINVAL);
	r.type = RECORD_BUCKET; /* without a row */
	assert_refused(r, KV_ECORRUPT);
	r.value = slice_of("\2");
	assert_refused(r, KV_EVERSION);
	r.key = (struct kv_slice){ long_key, SCOPE_NAME_MAX + 1 };
	assert_refused(r, KV_EINVAL);
}

static void
a_record_that_stands_there_twice_is_refused(void **state)
{
	static struct record records[MANY];
	uint64_t seed = 5;
	char row[SCHEMA_BUCKET_ROW];
	struct bucket b = { .bid = 3 };
	struct order o;
	size_t n;

	(void)state;
	schema_put_bucket(row, &b);
	for (n = 2; n < MANY; n = n * 3 / 2 + 1) {
		make_records(records, n, &seed, row);
		records[n - 1] = records[(n - 1) / 2];
		assert_int_equal(order_init(&o, records, n), KV_EINVAL);
		order_fini(&o);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    random_items_are_sorted_as_qsort_would_and_stable),
		cmocka_unit_test(
		    random_records_come_in_the_order_of_the_trees_keys),
		cmocka_unit_test(records_that_cannot_be_are_refused),
		cmocka_unit_test(a_record_that_stands_there_twice_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
