/* SPDX-License-Identifier: ISC */
/* Rows looked for together are those that mdb_get finds, one by one. */

#include "tree/prefetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "tree/hot.h"
#include "tree/schema.h"
#include "tree_model.h"

#define ROWS 12000u
#define SMALL 200u /* bytes of a value that lies in the leaf */
#define LARGE 9000u

static char folder[64];
static struct tree *tree;
static struct tree_hot *hot;
static uint64_t random_seed = 7, lsn = 1, seq = 1;

static int
set_up(void **state)
{
	(void)state;
	folder_make(folder);
	tree = folder_open(folder, true);
	return tree_hot_new(&hot);
}

static int
tear_down(void **state)
{
	(void)state;
	tree_hot_free(hot);
	tree_close(tree);
	folder_remove(folder);
	return 0;
}

/* Of even numbers; keys of all lengths, some the beginning of others. */
static struct kv_slice
key_name(uint64_t i, char to[KV_KEY_MAX])
{
	int n = snprintf(to, KV_KEY_MAX, "%llu",
	    (unsigned long long)(i * 2654435761u % 1000003));

	if (i % 64 < 8)
		n += snprintf(to + n, KV_KEY_MAX - (size_t)n, "/%0*u",
		    (int)(i % 64 * 50), 1u);
	return (struct kv_slice){ to, (size_t)n };
}

static uint64_t
bucket_of(uint64_t i)
{
	return i % 3 + 1;
}

/* Rows of [from, to) in one checkpoint. */
static void
write_rows(uint64_t from, uint64_t to)
{
	struct record *rows = calloc(to - from, sizeof(*rows));
	char(*keys)[KV_KEY_MAX] = calloc(to - from, sizeof(*keys));
	char *value = calloc(1, LARGE);
	struct apply a = { .records = rows, .count = to - from };
	uint64_t i;

	assert_true(rows != NULL && keys != NULL && value != NULL);
	for (i = from; i < to; i++) {
		seq++;
		rows[i - from] = (struct record){ .type = RECORD_PUT,
			.bid = bucket_of(i),
			.seq = seq,
			.stamp = { seq, MODEL_INC },
			.key = key_name(i, keys[i - from]),
			.value = { value, i % 200 == 0 ? LARGE : i % SMALL } };
	}
	a.to = (struct tree_position){ ++lsn, seq };
	assert_int_equal(apply_checkpoint(tree, &a), KV_OK);
	free(rows);
	free(keys);
	free(value);
}

/* Look for n of those up to `most`, together; each must be as by itself. */
static void
look(size_t n, uint64_t most)
{
	char names[TREE_PREFETCH_MAX][KV_KEY_MAX];
	uint64_t bid[TREE_PREFETCH_MAX] = { 0 };
	struct kv_slice key[TREE_PREFETCH_MAX] = { { NULL, 0 } };
	const char *row[TREE_PREFETCH_MAX];
	struct record r;
	size_t i;

	for (i = 0; i < n; i++) {
		uint64_t k = rng_next(&random_seed) % most;

		bid[i] = bucket_of(k);
		key[i] = key_name(k, names[i]);
	}
	tree_prefetch(tree, bid, key, n, row);
	for (i = 0; i < n; i++) {
		if (tree_get(tree, bid[i], key[i], &r) < 0) {
			assert_null(row[i]);
			continue;
		}
		if (r.value.len == LARGE) {
			if (row[i] != NULL)
				tree_hot_enter(hot, tree, i, bid[i], key[i],
				    row[i]);
			assert_int_equal(tree_hot_get(hot, tree, i, bid[i],
					     key[i], &r),
			    KV_OK);
			assert_int_equal(r.value.len, LARGE);
			continue;
		}
		assert_ptr_equal(row[i], r.value.data - schema_row_head(&r));
	}
}

static void
what_is_looked_for_together_is_found_as_by_itself(void **state)
{
	static const uint64_t counts[] = { 0, 1, 2, 9, 100, 1500, ROWS };
	size_t i, n, round;

	(void)state;
	for (i = 1; i < sizeof(counts) / sizeof(counts[0]); i++) {
		assert_int_equal(tree_renew(tree), KV_OK);
		look(TREE_PREFETCH_MAX, counts[i]);
		tree_release(tree);
		write_rows(counts[i - 1], counts[i]);
		assert_int_equal(tree_renew(tree), KV_OK);
		for (round = 0; round < 400; round++)
			for (n = 0; n <= TREE_PREFETCH_MAX; n += 5)
				look(n, counts[i] + 20);
		tree_release(tree);
	}
}

static void
without_a_snapshot_nothing_is_found(void **state)
{
	const uint64_t bid = bucket_of(1);
	const char *row = "not set";
	char name[KV_KEY_MAX];
	struct kv_slice key = key_name(1, name);

	(void)state;
	write_rows(0, 10);
	tree_prefetch(tree, &bid, &key, 1, &row);
	assert_null(row);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    what_is_looked_for_together_is_found_as_by_itself, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    without_a_snapshot_nothing_is_found, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
