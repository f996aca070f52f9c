/* SPDX-License-Identifier: ISC */
/* The table of hot rows shows what the tree has, and is as large as it must. */

#include "tree/hot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "tree_model.h"

#define BID 8u
#define SMALLEST ((size_t)8 << 10)
#define MANY 20000u

static char folder[64];
static struct tree *tree;
static struct tree_hot *hot;
static uint64_t lsn, seq;

static int
set_up(void **state)
{
	(void)state;
	folder_make(folder);
	tree = folder_open(folder, true);
	lsn = seq = 1;
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

/* Keys 0 to count - 1, 8 bytes each; the value is the round, 8 bytes. */
static void
write_rows(uint64_t count, uint64_t round)
{
	struct record *rows = calloc(count, sizeof(*rows));
	char(*keys)[8] = calloc(count, sizeof(*keys));
	struct apply a = { .records = rows, .count = count };
	char value[8];
	uint64_t i;

	assert_non_null(rows);
	assert_non_null(keys);
	bytes_put_be64(value, round);
	for (i = 0; i < count; i++) {
		bytes_put_be64(keys[i], i);
		seq++;
		rows[i] = (struct record){ .type = RECORD_PUT,
			.bid = BID,
			.seq = seq,
			.stamp = { seq, MODEL_INC },
			.key = { keys[i], sizeof(keys[i]) },
			.value = { value, sizeof(value) } };
	}
	a.to = (struct tree_position){ ++lsn, seq };
	assert_int_equal(apply_checkpoint(tree, &a), KV_OK);
	free(rows);
	free(keys);
}

static void
assert_row_is(uint64_t i, uint64_t round)
{
	struct record r;
	char key[8];

	bytes_put_be64(key, i);
	assert_int_equal(tree_hot_get(hot, tree, hash_u64(i), BID,
			     (struct kv_slice){ key, sizeof(key) }, &r),
	    KV_OK);
	assert_int_equal(r.value.len, 8);
	assert_int_equal(bytes_get_be64(r.value.data), round);
	assert_int_equal(bytes_get_be64(r.key.data), i);
}

static void
read_rows(uint64_t count, uint64_t round)
{
	uint64_t i;

	assert_int_equal(tree_renew(tree), KV_OK);
	for (i = 0; i < count; i++)
		assert_row_is(i, round);
	for (i = 0; i < count; i++)
		assert_row_is(i, round);
	tree_release(tree);
}

static void
a_row_of_an_old_snapshot_is_never_shown(void **state)
{
	uint64_t round;

	(void)state;
	for (round = 1; round < 20; round++) {
		write_rows(100, round);
		read_rows(100, round);
	}
}

static void
a_key_that_is_not_there_is_not_found_twice(void **state)
{
	struct record r;
	struct kv_slice key = slice_of("nothing!");

	(void)state;
	write_rows(10, 1);
	assert_int_equal(tree_renew(tree), KV_OK);
	/* The hash of a row that is there leads to it, not to this key. */
	assert_row_is(3, 1);
	assert_int_equal(tree_hot_get(hot, tree, hash_u64(3), BID, key, &r),
	    KV_ENOTFOUND);
	assert_int_equal(tree_hot_get(hot, tree, hash_u64(3), BID, key, &r),
	    KV_ENOTFOUND);
	assert_row_is(3, 1);
	tree_release(tree);
}

static void
it_grows_with_what_is_read_and_shrinks_when_that_was_little(void **state)
{
	size_t large, i;

	(void)state;
	write_rows(MANY, 1);
	read_rows(16, 1);
	assert_int_equal(tree_hot_bytes(hot), SMALLEST);
	read_rows(MANY, 1);
	large = tree_hot_bytes(hot);
	assert_true(large >= (size_t)MANY * 16 && large <= (size_t)8 << 20);
	for (i = 2; tree_hot_bytes(hot) > SMALLEST; i++) {
		assert_true(i < 20);
		write_rows(MANY, i);
		read_rows(16, i);
	}
	read_rows(MANY, i - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		T(a_row_of_an_old_snapshot_is_never_shown),
		T(a_key_that_is_not_there_is_not_found_twice),
		T(it_grows_with_what_is_read_and_shrinks_when_that_was_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
