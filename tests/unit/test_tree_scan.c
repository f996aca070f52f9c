/* SPDX-License-Identifier: ISC */
/* Seeks.  Whole walks are compared with the model in every test. */

#include "tree/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tree_model.h"

/* ---- scans ------------------------------------------------------------- */

static int
compare_keys(const void *a, const void *b)
{
	return slice_compare(((const struct record *)a)->key,
	    ((const struct record *)b)->key);
}

/* After a seek to key, next() gives the first of sorted not below it. */
static void
assert_seek(struct tree_scan *s, const struct record *sorted, size_t n,
    struct kv_slice key)
{
	struct record r;
	size_t i = 0;

	while (i < n && slice_compare(sorted[i].key, key) < 0)
		i++;
	assert_int_equal(tree_scan_seek(s, key, 0), KV_OK);
	for (; i < n; i++) {
		assert_int_equal(tree_scan_next(s, &r), KV_OK);
		assert_true(slice_equal(r.key, sorted[i].key));
		assert_int_equal(r.seq, sorted[i].seq);
	}
	assert_int_equal(tree_scan_next(s, &r), KV_ENOTFOUND);
}

static void
a_seek_finds_the_first_key_not_below(void **state)
{
	struct tree *t = folder_open(tree_folder, true);
	struct record all[MODEL_RECORDS], of[MODEL_KEYS];
	struct totals sums[MODEL_BUCKETS];
	struct tree_scan *s;
	char key[KV_KEY_MAX + 100];
	struct buf bytes;
	struct model m;
	size_t n, i, k = 0;

	(void)state;
	model_init(&m, 99);
	model_write(&m, 150);
	model_apply(t, &m, 0);
	buf_init(&bytes);
	n = model_all(&m, all, sums, &bytes);
	for (i = 0; i < n; i++) {
		if (all[i].type != RECORD_BUCKET && all[i].bid == model_bid(1))
			of[k++] = all[i];
	}
	qsort(of, k, sizeof(*of), compare_keys);
	assert_int_equal(tree_renew(t), KV_OK);
	assert_int_equal(tree_scan_open(t, TREE_BY_KEY, model_bid(1), &s),
	    KV_OK);
	assert_seek(s, of, k, slice_of(""));
	memset(key, 0xff, sizeof(key));
	assert_seek(s, of, k, (struct kv_slice){ key, sizeof(key) });
	for (i = 0; i < k; i++) {
		size_t len = of[i].key.len;

		memcpy(key, of[i].key.data, len);
		memset(key + len, 0, sizeof(key) - len);
		assert_seek(s, of, k, (struct kv_slice){ key, len });
		assert_seek(s, of, k, (struct kv_slice){ key, len + 1 });
		assert_seek(s, of, k, (struct kv_slice){ key, len - 1 });
		assert_seek(s, of, k, (struct kv_slice){ key, sizeof(key) });
	}
	tree_scan_close(s);
	tree_close(t);
	buf_fini(&bytes);
}

static void
a_seek_by_number_finds_the_first_not_below(void **state)
{
	static const enum tree_order orders[] = { TREE_BY_SEQ, TREE_BY_DEADLINE,
		TREE_BY_DEATH };
	struct tree *t = folder_open(tree_folder, true);
	struct model m;
	size_t i, j, n;

	(void)state;
	model_init(&m, 99);
	model_write(&m, 150);
	model_apply(t, &m, 0);
	assert_int_equal(tree_renew(t), KV_OK);
	for (i = 0; i < 3; i++) {
		uint64_t numbers[MODEL_RECORDS];
		struct tree_scan *s;
		struct record r;

		assert_int_equal(tree_scan_open(t, orders[i], 0, &s), KV_OK);
		for (n = 0; tree_scan_next(s, &r) == KV_OK; n++)
			numbers[n] = i == 0 ? r.seq : schema_expiry_of(&r).ms;
		assert_true(n > 10);
		for (j = 0; j < n; j++) {
			uint64_t found;

			assert_int_equal(tree_scan_seek(s, slice_of(""),
					     j == 0 ? 0 : numbers[j - 1] + 1),
			    KV_OK);
			if (j > 0 && numbers[j] == numbers[j - 1])
				continue;
			assert_int_equal(tree_scan_next(s, &r), KV_OK);
			found = i == 0 ? r.seq : schema_expiry_of(&r).ms;
			assert_int_equal(found, numbers[j]);
		}
		assert_int_equal(tree_scan_seek(s, slice_of(""), UINT64_MAX),
		    KV_OK);
		assert_int_equal(tree_scan_next(s, &r), KV_ENOTFOUND);
		tree_scan_close(s);
	}
	tree_close(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, folder_set_up, folder_tear_down)
		T(a_seek_finds_the_first_key_not_below),
		T(a_seek_by_number_finds_the_first_not_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
