/* SPDX-License-Identifier: ISC */
/* Checkpoints, small ones and thousands of random ones against a model. */

#include "tree/apply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tree_model.h"

/* ---- whole checkpoints ------------------------------------------------- */

static void
an_empty_checkpoint_moves_the_position_only(void **state)
{
	struct apply a = { .to = { 77, 5 } };
	struct tree *t = folder_open(tree_folder, true);
	struct tree_position p;

	(void)state;
	assert_int_equal(apply_checkpoint(t, &a), KV_OK);
	assert_int_equal(tree_renew(t), KV_OK);
	assert_int_equal(tree_position(t, &p), KV_OK);
	assert_int_equal(p.checkpointed, 77);
	assert_int_equal(p.seq, 5);
	tree_release(t);
	tree_close(t);
}

static void
a_checkpoint_behind_the_tree_is_refused(void **state)
{
	struct apply a = { .to = { 77, 5 } };
	struct tree *t = folder_open(tree_folder, true);

	(void)state;
	assert_int_equal(apply_checkpoint(t, &a), KV_OK);
	a.to.checkpointed = 76;
	assert_int_equal(apply_checkpoint(t, &a), KV_EINVAL);
	tree_close(t);
}

static void
count_pause(void *user)
{
	++*(unsigned *)user;
}

static void
a_small_checkpoint_is_one_transaction(void **state)
{
	struct tree *t = folder_open(tree_folder, true);
	unsigned pauses = 0;
	struct model m;
	struct batch b;
	uint64_t before;

	(void)state;
	model_init(&m, 99);
	model_write(&m, 20);
	model_take(&m, &b);
	assert_int_equal(tree_renew(t), KV_OK);
	before = tree_snapshot(t);
	assert_int_equal(batch_apply(t, &b, 0, count_pause, &pauses), KV_OK);
	assert_int_equal(tree_renew(t), KV_OK);
	assert_int_equal(tree_snapshot(t), before + 1);
	assert_int_equal(pauses, 0);
	tree_release(t);
	assert_tree_is(t, &m);
	batch_fini(&b);
	tree_close(t);
}

static void
a_refused_record_leaves_the_tree_as_it_was(void **state)
{
	struct tree *t = folder_open(tree_folder, true);
	uint64_t before;
	struct model m;
	struct batch b;

	(void)state;
	model_init(&m, 99);
	model_write(&m, 20);
	model_take(&m, &b);
	assert_int_equal(tree_renew(t), KV_OK);
	before = tree_snapshot(t);
	b.records[b.count++] = b.records[0];
	assert_int_equal(batch_apply(t, &b, 1, NULL, NULL), KV_EINVAL);
	assert_int_equal(tree_renew(t), KV_OK);
	assert_int_equal(tree_snapshot(t), before);
	tree_release(t);
	batch_fini(&b);
	tree_close(t);
}

static void
a_bucket_row_gets_its_records_seq_and_is_found_by_id(void **state)
{
	struct kv_slice name;
	struct bucket b = { .bid = 8, .created = { 50, 1 }, .seq = 0 };
	struct record r = { .type = RECORD_BUCKET, .seq = 70 };
	struct apply a = { .records = &r, .count = 1, .to = { 1, 70 } };
	struct tree *t = folder_open(tree_folder, true);
	char row[SCHEMA_BUCKET_ROW];

	(void)state;
	schema_put_bucket(row, &b);
	r.key = slice_of("name");
	r.value = (struct kv_slice){ row, sizeof(row) };
	assert_int_equal(apply_checkpoint(t, &a), KV_OK);
	assert_int_equal(tree_renew(t), KV_OK);
	assert_int_equal(tree_get_bucket(t, slice_of("name"), &b), KV_OK);
	assert_int_equal(b.seq, 70);
	assert_int_equal(b.bid, 8);
	assert_int_equal(tree_get_bucket(t, slice_of("nam"), &b), KV_ENOTFOUND);
	b = (struct bucket){ 0 };
	assert_int_equal(tree_get_bucket_by_id(t, 8, &name, &b), KV_OK);
	assert_true(slice_equal(name, slice_of("name")));
	assert_int_equal(b.seq, 70);
	assert_int_equal(tree_get_bucket_by_id(t, 9, &name, &b), KV_ENOTFOUND);
	tree_release(t);
	tree_close(t);
}

static void
put_position(struct tree *t, const char *key, const char *value, uint64_t seq)
{
	struct record r = { .type = RECORD_POSITION, .seq = seq };
	struct apply a = { .records = &r, .count = 1, .to = { seq, seq } };

	r.key = slice_of(key);
	r.value = slice_of(value);
	assert_int_equal(apply_checkpoint(t, &a), KV_OK);
}

static void
positions_are_replaced_and_removed_by_an_empty_one(void **state)
{
	struct tree *t = folder_open(tree_folder, true);
	struct tree_scan *s;
	struct record r;

	(void)state;
	put_position(t, "b", "one", 1);
	put_position(t, "a", "two", 2);
	put_position(t, "b", "three", 3);
	put_position(t, "c", "four", 4);
	put_position(t, "c", "", 5);
	assert_int_equal(tree_renew(t), KV_OK);
	assert_int_equal(tree_get_position(t, slice_of("b"), &r), KV_OK);
	assert_true(slice_equal(r.value, slice_of("three")));
	assert_int_equal(r.type, RECORD_POSITION);
	assert_int_equal(r.bid, 0);
	assert_int_equal(tree_get_position(t, slice_of("c"), &r), KV_ENOTFOUND);
	assert_int_equal(tree_scan_open(t, TREE_BY_POSITION, 0, &s), KV_OK);
	assert_int_equal(tree_scan_next(s, &r), KV_OK);
	assert_true(slice_equal(r.key, slice_of("a")));
	assert_int_equal(tree_scan_next(s, &r), KV_OK);
	assert_true(slice_equal(r.key, slice_of("b")));
	assert_int_equal(tree_scan_next(s, &r), KV_ENOTFOUND);
	assert_int_equal(tree_scan_next(s, &r), KV_ENOTFOUND);
	tree_scan_close(s);
	tree_release(t);
	tree_close(t);
}

static struct tree *
open_small(uint64_t map_size)
{
	struct tree_options options = {
		.folder = tree_folder,
		.map_size = map_size,
		.max_readers = 8,
		.writable = true,
		.make_nosync = true,
	};
	struct tree *t = NULL;

	assert_int_equal(tree_open(&options, &t), KV_OK);
	return t;
}

static void
a_full_map_is_an_error_until_there_is_room(void **state)
{
	struct tree *t = open_small(1u << 20);
	struct tree_position before, after;
	struct model m;
	struct batch b;
	int rc = KV_OK;

	(void)state;
	model_init(&m, 99);
	while (rc == KV_OK) {
		assert_int_equal(tree_renew(t), KV_OK);
		assert_int_equal(tree_position(t, &before), KV_OK);
		model_write(&m, 200);
		model_take(&m, &b);
		rc = batch_apply(t, &b, 10, NULL, NULL);
		if (rc == KV_OK)
			batch_fini(&b);
	}
	assert_int_equal(rc, KV_ENOSPC);
	assert_int_equal(batch_apply(t, &b, 10, NULL, NULL), KV_ENOSPC);
	assert_int_equal(tree_renew(t), KV_OK); /* reads go on */
	assert_int_equal(tree_position(t, &after), KV_OK);
	assert_int_equal(after.checkpointed, before.checkpointed);
	tree_close(t);
	t = open_small(1u << 24);
	assert_int_equal(batch_apply(t, &b, 10, NULL, NULL), KV_OK);
	assert_tree_is(t, &m);
	batch_fini(&b);
	tree_close(t);
}

static void
what_a_snapshot_shows_stays_while_it_is_held(void **state)
{
	struct tree *t = folder_open(tree_folder, true);
	struct record before, still;
	struct model m;
	unsigned i;
	uint64_t sum;

	(void)state;
	model_init(&m, 99);
	model_put(&m, 0, 0, 0);
	model_apply(t, &m, 0);
	assert_int_equal(tree_renew(t), KV_OK);
	sum = tree_snapshot(t);
	for (i = 0; i < MODEL_KEYS; i++)
		model_put(&m, 0, i, 0);
	{
		struct tree_scan *s;

		assert_int_equal(tree_scan_open(t, TREE_BY_KEY, model_bid(0),
				     &s),
		    KV_OK);
		assert_int_equal(tree_scan_next(s, &before), KV_OK);
		tree_scan_close(s);
	}
	for (i = 0; i < 20; i++) {
		model_write(&m, 50);
		model_apply(t, &m, 3);
	}
	assert_int_equal(tree_get(t, before.bid, before.key, &still), KV_OK);
	assert_int_equal(still.seq, before.seq);
	assert_ptr_equal(still.value.data, before.value.data);
	assert_int_equal(tree_snapshot(t), sum);
	assert_int_equal(tree_renew(t), KV_OK);
	assert_true(tree_snapshot(t) > sum);
	tree_release(t);
	tree_close(t);
}

static void
thousands_of_random_checkpoints_equal_the_model(void **state)
{
	struct tree *t = folder_open(tree_folder, true);
	struct model m;
	unsigned i;

	(void)state;
	model_tell_runs(t);
	model_init(&m, test_seed(__func__));
	for (i = 0; i < 3000; i++) {
		size_t done;

		model_write(&m, 1 + (unsigned)tree_model_random(&m, 60));
		model_apply(t, &m, 1 + tree_model_random(&m, 100));
		if (tree_model_random(&m, 10) == 0) {
			uint64_t ms =
			    (m.seq >> 16) - tree_model_random(&m, 1000);

			assert_int_equal(apply_purge_tombs(t, ms, SIZE_MAX,
					     NULL, &done),
			    KV_OK);
			model_purge_tombs(&m, ms);
		}
		if (tree_model_random(&m, 10) == 0) {
			do {
				assert_int_equal(apply_purge_dropped(t,
						     1 +
							 tree_model_random(&m,
							     50),
						     &done),
				    KV_OK);
			} while (done > 0);
			model_purge_dropped(&m);
		}
		if (tree_model_random(&m, 20) == 0)
			assert_tree_is(t, &m);
		if (tree_model_random(&m, 50) == 0) {
			tree_close(t);
			t = folder_open(tree_folder, true);
		}
	}
	assert_tree_is(t, &m);
	tree_close(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, folder_set_up, folder_tear_down)
		T(an_empty_checkpoint_moves_the_position_only),
		T(a_checkpoint_behind_the_tree_is_refused),
		T(a_small_checkpoint_is_one_transaction),
		T(a_refused_record_leaves_the_tree_as_it_was),
		T(a_bucket_row_gets_its_records_seq_and_is_found_by_id),
		T(positions_are_replaced_and_removed_by_an_empty_one),
		T(a_full_map_is_an_error_until_there_is_room),
		T(what_a_snapshot_shows_stays_while_it_is_held),
		T(thousands_of_random_checkpoints_equal_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
