/* SPDX-License-Identifier: ISC */
/* Purging tombstones and dropped buckets; copies. */

#include "tree/apply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tree_model.h"

static char folder[64];
static struct tree *tree;
static struct model model;

static int
set_up(void **state)
{
	(void)state;
	folder_make(folder);
	tree = folder_open(folder, true);
	model_tell_runs(tree);
	model_init(&model, 4711);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	tree_close(tree);
	folder_remove(folder);
	return 0;
}

static uint64_t
now_ms(void)
{
	return model.seq >> 16;
}

static size_t
count_entries(void)
{
	struct tree_stat stat;

	assert_int_equal(tree_renew(tree), KV_OK);
	assert_int_equal(tree_stat(tree, &stat), KV_OK);
	tree_release(tree);
	return stat.entries;
}

/* ---- tombstones -------------------------------------------------------- */

static void
the_oldest_tombstones_go_first_and_no_more_than_asked(void **state)
{
	struct record r;
	unsigned i;
	size_t done;

	(void)state;
	for (i = 0; i < 10; i++)
		model_delete(&model, 0, i);
	model_apply(tree, &model, 0);
	assert_int_equal(apply_purge_tombs(tree, UINT64_MAX, 4, NULL, &done),
	    KV_OK);
	assert_int_equal(done, 4);
	for (i = 0; i < 4; i++)
		model.rows[0][i].there = false;
	assert_tree_is(tree, &model);
	assert_int_equal(apply_purge_tombs(tree, UINT64_MAX, 100, NULL, &done),
	    KV_OK);
	assert_int_equal(done, 6);
	assert_int_equal(apply_purge_tombs(tree, UINT64_MAX, 100, NULL, &done),
	    KV_OK);
	assert_int_equal(done, 0);
	assert_int_equal(tree_renew(tree), KV_OK);
	assert_int_equal(tree_get(tree, model_bid(0), slice_of("00"), &r),
	    KV_ENOTFOUND);
	assert_int_equal(count_entries(), 0);
}

static void
a_tombstone_younger_than_the_limit_stays(void **state)
{
	size_t done;
	uint64_t ms;

	(void)state;
	model_delete(&model, 0, 1);
	ms = now_ms();
	model_apply(tree, &model, 0);
	assert_int_equal(apply_purge_tombs(tree, ms, 10, NULL, &done), KV_OK);
	assert_int_equal(done, 0);
	assert_tree_is(tree, &model);
	assert_int_equal(apply_purge_tombs(tree, ms + 1, 10, NULL, &done),
	    KV_OK);
	assert_int_equal(done, 1);
}

/* The tombstone of an expired record has the stamp of its write, but dies with
 * its deadline. */
static void
an_expired_tombstone_lives_until_its_deadline(void **state)
{
	struct model_row *row = &model.rows[0][1];
	uint64_t ms;
	size_t done;

	(void)state;
	model_put(&model, 0, 1, now_ms() + 5000);
	row->r.type = RECORD_TOMB;
	row->r.flags |= RECORD_EXPIRED;
	ms = row->r.deadline;
	model_apply(tree, &model, 0);
	assert_int_equal(apply_purge_tombs(tree, ms, 10, NULL, &done), KV_OK);
	assert_int_equal(done, 0);
	assert_tree_is(tree, &model);
	assert_int_equal(apply_purge_tombs(tree, ms + 1, 10, NULL, &done),
	    KV_OK);
	assert_int_equal(done, 1);
	row->there = false;
	assert_tree_is(tree, &model);
}

static void
a_record_with_a_deadline_is_not_purged(void **state)
{
	size_t done;

	(void)state;
	model_put(&model, 0, 1, 5);
	model_apply(tree, &model, 0);
	assert_int_equal(apply_purge_tombs(tree, UINT64_MAX, 10, NULL, &done),
	    KV_OK);
	assert_int_equal(done, 0);
	assert_tree_is(tree, &model);
}

static void
the_highest_seq_of_purged_tombstones_is_noted(void **state)
{
	struct kv_slice row;
	uint64_t high;
	size_t done;

	(void)state;
	model_delete(&model, 0, 1);
	model_delete(&model, 0, 2);
	high = model.seq;
	model_apply(tree, &model, 0);
	assert_int_equal(apply_purge_tombs(tree, UINT64_MAX, 10, NULL, &done),
	    KV_OK);
	assert_int_equal(tree_renew(tree), KV_OK);
	assert_int_equal(tree_meta_get(tree, "purged_seq", &row), KV_OK);
	assert_int_equal(row.len, 8);
	assert_int_equal(bytes_get_be64(row.data), high);
	tree_release(tree);
}

/* ---- dropped buckets --------------------------------------------------- */

static void
purge_all(size_t max)
{
	size_t done;

	do {
		assert_int_equal(apply_purge_dropped(tree, max, &done), KV_OK);
		assert_true(done <= max);
	} while (done > 0);
}

static void
a_drop_takes_what_it_hides_and_leaves_what_is_newer(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 20; i++)
		model_put(&model, 1, i, i % 3 ? 0 : now_ms() + 9);
	model_delete(&model, 1, 20);
	model_put(&model, 0, 1, 0);
	model_apply(tree, &model, 0);
	model_drop(&model, 1);
	model_put(&model, 1, 5, 0);
	model_create(&model, 1);
	model_put(&model, 1, 6, 0);
	model_apply(tree, &model, 0);
	assert_tree_is(tree, &model); /* hidden, not gone */
	assert_int_equal(count_entries(), 22);
	purge_all(SIZE_MAX);
	assert_int_equal(count_entries(), 3);
	model_purge_dropped(&model);
	assert_tree_is(tree, &model);
}

static void
a_purge_in_small_pieces_ends_and_does_the_same(void **state)
{
	unsigned i, bucket;

	(void)state;
	for (bucket = 0; bucket < MODEL_BUCKETS; bucket++)
		for (i = 0; i < MODEL_KEYS; i++)
			model_put(&model, bucket, i, 0);
	model_apply(tree, &model, 0);
	for (bucket = 0; bucket < MODEL_BUCKETS; bucket++)
		model_drop(&model, bucket);
	for (bucket = 0; bucket < MODEL_BUCKETS; bucket++)
		for (i = 0; i < MODEL_KEYS; i += 2)
			model_put(&model, bucket, i, 0);
	model_apply(tree, &model, 0);
	purge_all(1);
	model_purge_dropped(&model);
	assert_tree_is(tree, &model);
}

static void
a_second_drop_while_purging_starts_again(void **state)
{
	unsigned i;
	size_t done;

	(void)state;
	for (i = 0; i < MODEL_KEYS; i++)
		model_put(&model, 1, i, 0);
	model_apply(tree, &model, 0);
	model_drop(&model, 1);
	for (i = 0; i < MODEL_KEYS; i++)
		model_put(&model, 1, i, 0);
	model_apply(tree, &model, 0);
	assert_int_equal(apply_purge_dropped(tree, 25, &done), KV_OK);
	assert_int_equal(done, 25);
	model_drop(&model, 1);
	model_apply(tree, &model, 0);
	purge_all(7);
	model_purge_dropped(&model);
	assert_int_equal(count_entries(), 0);
	assert_tree_is(tree, &model);
}

static void
a_bucket_written_again_without_a_new_drop_is_not_purged_again(void **state)
{
	size_t done;

	(void)state;
	model_drop(&model, 1);
	model_apply(tree, &model, 0);
	assert_int_equal(apply_purge_dropped(tree, 10, &done), KV_OK);
	assert_int_equal(done, 1);
	model_create(&model, 1);
	model_apply(tree, &model, 0);
	assert_int_equal(apply_purge_dropped(tree, 10, &done), KV_OK);
	assert_int_equal(done, 0);
}

/* ---- copies ------------------------------------------------------------ */

static void
a_copy_shows_the_same(void **state)
{
	char to[64], file[80];
	struct tree *copy;
	struct stat st;

	(void)state;
	model_write(&model, 300);
	model_apply(tree, &model, 0);
	folder_make(to);
	folder_remove(to);
	assert_int_equal(tree_copy(tree, to), KV_OK);
	assert_int_equal(stat(to, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	snprintf(file, sizeof(file), "%s/data.mdb", to);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	copy = folder_open(to, true);
	assert_tree_is(copy, &model);
	model_write(&model, 100);
	model_apply(copy, &model, 3); /* and can be written to */
	assert_tree_is(copy, &model);
	tree_close(copy);
	folder_remove(to);
}

static void
an_empty_tree_can_be_copied(void **state)
{
	char to[64];
	struct tree *copy;

	(void)state;
	folder_make(to);
	assert_int_equal(tree_copy(tree, to), KV_OK);
	copy = folder_open(to, false);
	assert_int_equal(tree_check_all(copy, NULL), 0);
	tree_close(copy);
	folder_remove(to);
}

static void
a_copy_does_not_replace_a_tree(void **state)
{
	char to[64];
	struct tree *copy;

	(void)state;
	model_write(&model, 10);
	model_apply(tree, &model, 0);
	folder_make(to);
	assert_int_equal(tree_copy(tree, to), KV_OK);
	assert_int_equal(tree_copy(tree, to), KV_EEXIST);
	copy = folder_open(to, false);
	assert_tree_is(copy, &model);
	tree_close(copy);
	folder_remove(to);
}

static void
stop(void *user)
{
	(void)user;
	_exit(0);
}

static void
a_half_applied_checkpoint_is_neither_copied_nor_checked(void **state)
{
	char to[64], file[80];
	struct batch b;
	struct stat st;
	pid_t pid;

	(void)state;
	model_write(&model, 200);
	model_take(&model, &b);
	tree_close(tree);
	if ((pid = fork()) == 0) {
		tree = folder_open(folder, true);
		(void)!batch_apply(tree, &b, 160, stop, NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	tree = folder_open(folder, true);
	folder_make(to);
	assert_int_equal(tree_check_all(tree, NULL), KV_EBUSY);
	assert_int_equal(tree_copy(tree, to), KV_EBUSY);
	snprintf(file, sizeof(file), "%s/data.mdb", to);
	assert_int_equal(stat(file, &st), -1);
	assert_int_equal(batch_apply(tree, &b, 0, NULL, NULL), KV_OK);
	assert_int_equal(tree_copy(tree, to), KV_OK);
	batch_fini(&b);
	folder_remove(to);
}

/* A checkpoint in many small transactions each time it is asked for. */
static void
write_when_told(int go, int done)
{
	char c;

	tree = folder_open(folder, true);
	while (read(go, &c, 1) == 1) {
		struct batch b;

		model_write(&model, 30);
		model_take(&model, &b);
		if (batch_apply(tree, &b, 1, NULL, NULL) != KV_OK ||
		    write(done, "", 1) != 1)
			_exit(1);
		batch_fini(&b);
	}
	_exit(0);
}

/* True when it was copied, false when refused. */
static bool
copy_is_whole_or_refused(void)
{
	char to[64];
	struct tree *copy;
	int rc;

	folder_make(to);
	rc = tree_copy(tree, to);
	assert_true(rc == KV_OK || rc == KV_EBUSY);
	if (rc == KV_OK) {
		copy = folder_open(to, false);
		assert_int_equal(tree_check_all(copy, NULL), 0);
		tree_close(copy);
	}
	folder_remove(to);
	return rc == KV_OK;
}

static void
a_copy_while_another_writes_is_whole_or_refused(void **state)
{
	int go[2], done[2], status;
	unsigned i, copied = 0;
	pid_t pid;
	char c;

	(void)state;
	tree_close(tree);
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(done), 0);
	if ((pid = fork()) == 0) {
		close(go[1]);
		write_when_told(go[0], done[1]);
	}
	close(go[0]);
	close(done[1]);
	tree = folder_open(folder, false);
	for (i = 0; i < 300; i++) {
		assert_int_equal(write(go[1], "", 1), 1);
		copied += copy_is_whole_or_refused();
		assert_int_equal(read(done[0], &c, 1), 1);
	}
	copied += copy_is_whole_or_refused();
	close(go[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	print_message("%u of %u copied\n", copied, i + 1);
	assert_true(copied > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		T(the_oldest_tombstones_go_first_and_no_more_than_asked),
		T(a_tombstone_younger_than_the_limit_stays),
		T(an_expired_tombstone_lives_until_its_deadline),
		T(a_record_with_a_deadline_is_not_purged),
		T(the_highest_seq_of_purged_tombstones_is_noted),
		T(a_drop_takes_what_it_hides_and_leaves_what_is_newer),
		T(a_purge_in_small_pieces_ends_and_does_the_same),
		T(a_second_drop_while_purging_starts_again),
		T(a_bucket_written_again_without_a_new_drop_is_not_purged_again),
		T(a_copy_shows_the_same),
		T(an_empty_tree_can_be_copied),
		T(a_copy_does_not_replace_a_tree),
		T(a_half_applied_checkpoint_is_neither_copied_nor_checked),
		T(a_copy_while_another_writes_is_whole_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
