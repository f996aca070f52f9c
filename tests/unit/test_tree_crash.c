/* SPDX-License-Identifier: ISC */
/* Checkpoints broken off anywhere by death, made again from the same log, a
 * longer or a shorter one. */

#include "tree/apply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tree_model.h"

/* ---- broken off -------------------------------------------------------- */

static void
die_after(void *user)
{
	if (--*(unsigned *)user == 0)
		_exit(3);
}

/* Apply b in a process of its own that dies between its transactions k and
 * k + 1.  False when it had fewer. */
static bool
apply_until_death(struct batch *b, size_t chunk, unsigned k)
{
	int status;
	pid_t pid;

	if ((pid = fork()) == 0) {
		struct tree *t = folder_open(tree_folder, true);

		if (batch_apply(t, b, chunk, die_after, &k) != KV_OK)
			_exit(1);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3);
	return WEXITSTATUS(status) == 3;
}

static void
copy_folder(const char *from, const char *to)
{
	char command[256];

	snprintf(command, sizeof(command), "cp %s/data.mdb %s/data.mdb", from,
	    to);
	assert_int_equal(system(command), 0);
}

/* A tree with history in `folder`, the model of it, and writes to come. */
static void
make_history(struct model *m, uint64_t seed, unsigned writes)
{
	struct tree *t = folder_open(tree_folder, true);
	unsigned i;

	model_init(m, seed);
	for (i = 0; i < 5; i++) {
		model_write(m, 60);
		model_apply(t, m, 0);
	}
	tree_close(t);
	model_write(m, writes);
}

static void
a_checkpoint_broken_off_anywhere_is_made_again(void **state)
{
	char saved[64];
	struct model m;
	struct batch b;
	unsigned k, deaths = 0;
	bool died = true;

	(void)state;
	make_history(&m, test_seed(__func__), 100);
	model_take(&m, &b);
	folder_make(saved);
	copy_folder(tree_folder, saved);
	for (k = 1; died; k++) {
		struct tree *t;
		uint64_t seq;

		copy_folder(saved, tree_folder);
		died = apply_until_death(&b, 7, k);
		deaths += died;
		t = folder_open(tree_folder, true);
		assert_int_equal(tree_renew(t), KV_OK);
		assert_int_equal(tree_unfinished(t, &seq), KV_OK);
		assert_true(seq == 0 || (died && seq == m.seq));
		assert_int_equal(batch_apply(t, &b, 7, NULL, NULL), KV_OK);
		assert_tree_is(t, &m);
		assert_int_equal(tree_renew(t), KV_OK);
		assert_int_equal(tree_unfinished(t, &seq), KV_OK);
		assert_int_equal(seq, 0);
		tree_close(t);
	}
	assert_true(deaths > 20);
	batch_fini(&b);
	folder_remove(saved);
}

static void
a_checkpoint_broken_off_again_and_again_is_made_in_the_end(void **state)
{
	unsigned round;

	(void)state;
	for (round = 0; round < 40; round++) {
		struct model m;
		struct batch b;
		struct tree *t;
		unsigned i;

		make_history(&m, 3000 + round, 100);
		model_take(&m, &b);
		for (i = 0; i < 4; i++)
			apply_until_death(&b, 7,
			    1 + (unsigned)tree_model_random(&m, 50));
		t = folder_open(tree_folder, true);
		assert_int_equal(batch_apply(t, &b, 0, NULL, NULL), KV_OK);
		assert_tree_is(t, &m);
		tree_close(t);
		batch_fini(&b);
		folder_remove(tree_folder);
		folder_make(tree_folder);
	}
}

/* Apply b in a process that a timer kills wherever it is by then. */
static bool
apply_until_alarm(struct batch *b, uint64_t us)
{
	struct itimerval in = { { 0, 0 }, { 0, (suseconds_t)us } };
	int status;
	pid_t pid;

	if ((pid = fork()) == 0) {
		struct tree *t = folder_open(tree_folder, true);

		setitimer(ITIMER_REAL, &in, NULL);
		_exit(batch_apply(t, b, 7, NULL, NULL) == KV_OK ? 0 : 1);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status);
}

static void
a_writer_killed_at_any_instruction_loses_nothing(void **state)
{
	unsigned round, deaths = 0;
	struct model m;

	(void)state;
	make_history(&m, test_seed(__func__), 0);
	for (round = 0; round < 100; round++) {
		struct batch b;
		struct tree *t;

		model_write(&m, 60);
		model_take(&m, &b);
		while (apply_until_alarm(&b, 1 + tree_model_random(&m, 3000)))
			deaths++;
		t = folder_open(tree_folder, true);
		assert_tree_is(t, &m);
		tree_close(t);
		batch_fini(&b);
	}
	print_message("%u deaths\n", deaths);
	assert_true(deaths > 0);
}

static void
purge_dropped(struct tree *t)
{
	size_t done;

	do {
		assert_int_equal(apply_purge_dropped(t, 1000, &done), KV_OK);
	} while (done > 0);
}

/* Were a drop remembered before all that it hides is there, it would be
 * forgotten too early. */
static void
a_purge_amid_a_broken_checkpoint_leaves_nothing_behind(void **state)
{
	bool died = true;
	unsigned k, i;

	(void)state;
	for (k = 1; died; k++) {
		struct model m;
		struct batch b;
		struct tree *t;

		make_history(&m, 600 + k, 0);
		for (i = 0; i < MODEL_KEYS; i++)
			model_put(&m, 1, i, 0);
		model_drop(&m, 1);
		model_put(&m, 1, 3, 0);
		model_take(&m, &b);
		died = apply_until_death(&b, 5, k);
		t = folder_open(tree_folder, true);
		purge_dropped(t);
		assert_int_equal(batch_apply(t, &b, 0, NULL, NULL), KV_OK);
		purge_dropped(t);
		model_purge_dropped(&m);
		assert_tree_is(t, &m);
		tree_close(t);
		batch_fini(&b);
		folder_remove(tree_folder);
		folder_make(tree_folder);
	}
	assert_true(k > 10);
}

static void
a_repair_has_nothing_to_do_in_a_whole_tree(void **state)
{
	struct model m;
	struct tree *t;
	uint64_t before;

	(void)state;
	make_history(&m, 77, 0);
	t = folder_open(tree_folder, true);
	assert_int_equal(tree_renew(t), KV_OK);
	before = tree_snapshot(t);
	assert_int_equal(apply_repair(t, model_digest), KV_OK);
	assert_int_equal(tree_renew(t), KV_OK);
	assert_int_equal(tree_snapshot(t), before);
	assert_tree_is(t, &m);
	tree_close(t);
}

/* Between the death and the next try the log grew. */
static void
a_broken_checkpoint_is_overtaken_by_a_longer_one(void **state)
{
	unsigned round, k;

	(void)state;
	for (round = 0, k = 1; round < 40; round++, k += 2) {
		struct model m, longer;
		struct batch b, c;
		struct tree *t;

		make_history(&m, 1000 + round, 60);
		longer = m;
		model_take(&m, &b);
		apply_until_death(&b, 7, k);
		model_write(&longer, 60);
		model_take(&longer, &c);
		t = folder_open(tree_folder, true);
		assert_int_equal(batch_apply(t, &c, 11, NULL, NULL), KV_OK);
		assert_tree_is(t, &longer);
		tree_close(t);
		batch_fini(&b);
		batch_fini(&c);
		folder_remove(tree_folder);
		folder_make(tree_folder);
	}
}

/* Every key that both have: the tree's is not older than it was. */
static void
assert_not_older(struct tree *before, struct tree *after)
{
	struct record old, new;
	struct tree_scan *s;
	unsigned bucket;

	assert_int_equal(tree_renew(before), KV_OK);
	assert_int_equal(tree_renew(after), KV_OK);
	for (bucket = 0; bucket < MODEL_BUCKETS; bucket++) {
		assert_int_equal(tree_scan_open(before, TREE_BY_KEY,
				     model_bid(bucket), &s),
		    KV_OK);
		while (tree_scan_next(s, &old) == KV_OK) {
			assert_int_equal(tree_get(after, old.bid, old.key,
					     &new),
			    KV_OK);
			assert_true(new.seq >= old.seq);
		}
		tree_scan_close(s);
	}
	tree_release(before);
	tree_release(after);
}

static void
after_a_shorter_log_rows_are_kept_and_repair_mends_the_rest(void **state)
{
	unsigned round, mended = 0;

	(void)state;
	for (round = 0; round < 60; round++) {
		struct tree *t, *old;
		struct model m, shorter;
		char saved[64];
		struct batch b, c;
		uint64_t seq;

		make_history(&m, 5000 + round, 30);
		shorter = m;
		model_write(&m, 100);
		model_take(&m, &b);
		assert_true(apply_until_death(&b, 5, 1 + round));
		folder_make(saved);
		copy_folder(tree_folder, saved);
		model_take(&shorter, &c);
		t = folder_open(tree_folder, true);
		assert_int_equal(tree_renew(t), KV_OK);
		assert_int_equal(tree_unfinished(t, &seq), KV_OK);
		if (seq <= c.to.seq)
			seq = 0;
		assert_int_equal(batch_apply(t, &c, 3, NULL, NULL), KV_OK);
		if (seq != 0)
			assert_int_equal(tree_check_all(t, NULL), KV_EBUSY);
		assert_int_equal(apply_repair(t, model_digest), KV_OK);
		assert_int_equal(tree_check_all(t, NULL), 0);
		mended += seq != 0;
		old = folder_open(saved, false);
		assert_not_older(old, t);
		tree_close(old);
		tree_close(t);
		batch_fini(&b);
		batch_fini(&c);
		folder_remove(saved);
		folder_remove(tree_folder);
		folder_make(tree_folder);
	}
	assert_true(mended > 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, folder_set_up, folder_tear_down)
		T(a_checkpoint_broken_off_anywhere_is_made_again),
		T(a_checkpoint_broken_off_again_and_again_is_made_in_the_end),
		T(a_writer_killed_at_any_instruction_loses_nothing),
		T(a_purge_amid_a_broken_checkpoint_leaves_nothing_behind),
		T(a_repair_has_nothing_to_do_in_a_whole_tree),
		T(a_broken_checkpoint_is_overtaken_by_a_longer_one),
		T(after_a_shorter_log_rows_are_kept_and_repair_mends_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
