/* SPDX-License-Identifier: ISC */
/* Opening, snapshots, lookups, measures. */

#include "tree/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <lmdb.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tree_model.h"

static int
try_open(bool writable, unsigned max_readers, struct tree **out)
{
	struct tree_options options = {
		.folder = tree_folder,
		.map_size = (uint64_t)1 << 20,
		.max_readers = max_readers,
		.writable = writable,
		.make_nosync = true,
	};

	return tree_open(&options, out);
}

/* ---- opening ----------------------------------------------------------- */

static void
a_reader_of_no_tree_is_told_so(void **state)
{
	struct tree *t = NULL;
	struct stat st;
	char file[80];

	(void)state;
	assert_int_equal(try_open(false, 8, &t), KV_ENOTFOUND);
	snprintf(file, sizeof(file), "%s/data.mdb", tree_folder);
	assert_int_equal(stat(file, &st), -1);
	folder_remove(tree_folder);
	assert_int_equal(try_open(false, 8, &t), KV_ENOTFOUND);
	assert_null(t);
}

/* Put a row into meta past the tree; with name NULL make an empty file. */
static void
write_meta(const char *name, const char *value, size_t n)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi meta;

	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
	assert_int_equal(mdb_env_open(env, tree_folder, MDB_NOSYNC, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	if (name != NULL) {
		char copy[16];
		MDB_val k = { strlen(name), copy }, v;

		memcpy(copy, name, k.mv_size);
		assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
		v.mv_size = n;
		assert_int_equal(mdb_put(txn, meta, &k, &v, MDB_RESERVE), 0);
		memcpy(v.mv_data, value, n);
	}
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void
a_reader_of_a_tree_without_databases_is_told_so(void **state)
{
	struct tree *t = NULL;

	(void)state;
	write_meta(NULL, NULL, 0);
	assert_int_equal(try_open(false, 8, &t), KV_ENOTFOUND);
	assert_int_equal(try_open(true, 8, &t), KV_OK);
	tree_close(t);
	assert_int_equal(try_open(false, 8, &t), KV_OK);
	tree_close(t);
}

static void
another_format_or_byteorder_is_refused_by_readers_and_writers(void **state)
{
	struct tree *t;

	(void)state;
	tree_close(folder_open(tree_folder, true));
	write_meta("format", "\0\0\0\2", 4);
	assert_int_equal(try_open(false, 8, &t), KV_EVERSION);
	assert_int_equal(try_open(true, 8, &t), KV_EVERSION);
	write_meta("format", "\0\0\0\1", 4);
	write_meta("byteorder", "big", 3);
	assert_int_equal(try_open(false, 8, &t), KV_EVERSION);
	assert_int_equal(try_open(true, 8, &t), KV_EVERSION);
	write_meta("byteorder", "little", 6);
	assert_int_equal(try_open(false, 8, &t), KV_OK);
	tree_close(t);
}

static void
a_file_that_is_no_lmdb_is_corrupt(void **state)
{
	struct tree *t;
	char file[80];
	FILE *f;
	int i;

	(void)state;
	snprintf(file, sizeof(file), "%s/data.mdb", tree_folder);
	assert_non_null(f = fopen(file, "w"));
	for (i = 0; i < 10000; i++)
		fputc('x', f);
	fclose(f);
	assert_int_equal(try_open(true, 8, &t), KV_ECORRUPT);
	assert_int_equal(try_open(false, 8, &t), KV_ECORRUPT);
}

static void
folder_and_files_are_for_the_owner_only(void **state)
{
	struct stat st;
	char path[80];

	(void)state;
	folder_remove(tree_folder);
	tree_close(folder_open(tree_folder, true));
	assert_int_equal(stat(tree_folder, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	snprintf(path, sizeof(path), "%s/data.mdb", tree_folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(path, sizeof(path), "%s/lock.mdb", tree_folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* ---- other processes --------------------------------------------------- */

/* The exit code of body(arg) in a child. */
static int
in_child(int (*body)(void *arg), void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(body(arg));
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int
open_as_reader(void *arg)
{
	struct tree *t;

	(void)arg;
	return -try_open(false, 1, &t);
}

static void
one_reader_too_many_is_told_to_come_again(void **state)
{
	struct tree *t;

	(void)state;
	assert_int_equal(try_open(true, 1, &t), KV_OK);
	assert_int_equal(in_child(open_as_reader, NULL), -KV_EBUSY);
	tree_close(t);
	assert_int_equal(in_child(open_as_reader, NULL), KV_OK);
}

struct pipes {
	int go[2], done[2];
};

/* Opens with a map of 1 MiB, then looks each time it is told to. */
static int
read_when_told(void *arg)
{
	struct pipes *p = arg;
	struct tree_position at;
	struct tree *t;
	char c;

	if (try_open(false, 8, &t) != KV_OK)
		return 1;
	close(p->go[1]);
	if (write(p->done[1], "", 1) != 1)
		return 4;
	while (read(p->go[0], &c, 1) == 1) {
		if (tree_renew(t) != KV_OK || tree_position(t, &at) != KV_OK)
			return 2;
		if (at.checkpointed != (uint64_t)c)
			return 3;
		if (write(p->done[1], "", 1) != 1)
			return 4;
	}
	tree_close(t);
	return 0;
}

static void
a_reader_follows_a_writer_past_the_size_of_its_map(void **state)
{
	struct tree *t = folder_open(tree_folder, true);
	struct tree_stat stat = { 0 };
	struct model m;
	struct pipes p;
	pid_t pid;
	int status;
	char c;

	(void)state;
	tree_close(t);
	assert_int_equal(pipe(p.go), 0);
	assert_int_equal(pipe(p.done), 0);
	if ((pid = fork()) == 0)
		_exit(read_when_told(&p));
	close(p.done[1]);
	assert_int_equal(read(p.done[0], &c, 1), 1);
	t = folder_open(tree_folder, true);
	model_init(&m, 7);
	for (c = 1; c < 100; c++) {
		model_write(&m, 500);
		model_apply(t, &m, 0);
		assert_int_equal(write(p.go[1], &c, 1), 1);
		assert_int_equal(read(p.done[0], &status, 1), 1);
	}
	close(p.go[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(tree_renew(t), KV_OK);
	assert_int_equal(tree_stat(t, &stat), KV_OK);
	assert_true(stat.used_bytes + stat.free_bytes > 1u << 20);
	tree_close(t);
}

static int
hold_a_snapshot(void *arg)
{
	struct tree *t;

	if (try_open(false, 8, &t) != KV_OK || tree_renew(t) != KV_OK)
		return 1;
	if (write(*(int *)arg, "", 1) != 1)
		return 2;
	for (;;)
		pause();
}

static void
a_killed_reader_is_seen_to_pin_pages_until_it_is_reaped(void **state)
{
	struct tree_stat stat;
	struct tree *t;
	struct model m;
	int ready[2];
	pid_t pid;
	char c;

	(void)state;
	tree_close(folder_open(tree_folder, true));
	assert_int_equal(pipe(ready), 0);
	if ((pid = fork()) == 0)
		_exit(hold_a_snapshot(&ready[1]));
	assert_int_equal(read(ready[0], &c, 1), 1);
	t = folder_open(tree_folder, true);
	model_init(&m, 7);
	model_apply(t, &m, 0);
	model_write(&m, 5);
	model_apply(t, &m, 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(tree_renew(t), KV_OK);
	assert_int_equal(tree_stat(t, &stat), KV_OK);
	assert_int_equal(stat.readers, 2);
	assert_int_equal(stat.oldest_reader, 2);
	tree_reap_readers(t);
	assert_int_equal(tree_stat(t, &stat), KV_OK);
	assert_int_equal(stat.readers, 1);
	assert_int_equal(stat.oldest_reader, 0);
	tree_close(t);
}

/* ---- lookups ----------------------------------------------------------- */

static void
an_empty_tree_has_nothing_and_stands_at_zero(void **state)
{
	struct tree *t = folder_open(tree_folder, true);
	struct tree_position p = { 1, 1 };
	struct totals sum = { 1, 1, { 1, 1 } };
	struct kv_slice value;
	struct bucket b;
	struct record r;
	uint64_t seq = 1;

	(void)state;
	assert_int_equal(tree_renew(t), KV_OK);
	assert_int_equal(tree_position(t, &p), KV_OK);
	assert_int_equal(p.checkpointed + p.seq, 0);
	assert_int_equal(tree_unfinished(t, &seq), KV_OK);
	assert_int_equal(seq, 0);
	assert_int_equal(tree_get(t, 1, slice_of("k"), &r), KV_ENOTFOUND);
	assert_int_equal(tree_get_bucket(t, slice_of("b"), &b), KV_ENOTFOUND);
	assert_int_equal(tree_get_position(t, slice_of("p"), &r), KV_ENOTFOUND);
	assert_int_equal(tree_meta_get(t, "uid", &value), KV_ENOTFOUND);
	assert_int_equal(tree_get_totals(t, 1, &sum), KV_OK);
	assert_int_equal(sum.keys + sum.bytes, 0);
	assert_int_equal(tree_check_all(t, NULL), 0);
	tree_close(t);
}

static void
keys_of_impossible_length_are_not_found(void **state)
{
	static const char bytes[1000];
	struct tree *t = folder_open(tree_folder, true);
	struct bucket b;
	struct record r;
	size_t n;

	(void)state;
	assert_int_equal(tree_renew(t), KV_OK);
	for (n = 0; n < sizeof(bytes); n += n < 600 ? 1 : 100) {
		struct kv_slice key = { bytes, n };

		assert_int_equal(tree_get(t, 1, key, &r), KV_ENOTFOUND);
		assert_int_equal(tree_get_bucket(t, key, &b), KV_ENOTFOUND);
		assert_int_equal(tree_get_position(t, key, &r), KV_ENOTFOUND);
	}
	tree_close(t);
}

static void
a_meta_value_is_kept_and_the_trees_own_are_refused(void **state)
{
	static const char *const own[] = { "format", "byteorder", "position",
		"applying", "purged_seq", "purges", "" };
	struct tree *t = folder_open(tree_folder, true);
	struct kv_slice value;
	size_t i;

	(void)state;
	assert_int_equal(apply_meta(t, "uid", slice_of("first")), KV_OK);
	assert_int_equal(apply_meta(t, "uid", slice_of("second")), KV_OK);
	assert_int_equal(apply_meta(t, "void", slice_of("")), KV_OK);
	tree_close(t);
	t = folder_open(tree_folder, true);
	assert_int_equal(tree_renew(t), KV_OK);
	assert_int_equal(tree_meta_get(t, "uid", &value), KV_OK);
	assert_true(slice_equal(value, slice_of("second")));
	assert_int_equal(tree_meta_get(t, "void", &value), KV_OK);
	assert_int_equal(value.len, 0);
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		assert_int_equal(apply_meta(t, own[i], slice_of("x")),
		    KV_EINVAL);
	tree_close(t);
}

/* ---- measures ------------------------------------------------------------ */

static void
stat_counts_rows_and_pages(void **state)
{
	struct tree *t = folder_open(tree_folder, true);
	struct tree_stat stat;
	struct model m;

	(void)state;
	model_init(&m, 99);
	model_put(&m, 0, 1, 0);
	model_put(&m, 0, 2, 0);
	model_delete(&m, 1, 2);
	model_apply(t, &m, 0);
	assert_int_equal(tree_renew(t), KV_OK);
	assert_int_equal(tree_stat(t, &stat), KV_OK);
	assert_int_equal(stat.map_size, 1u << 30);
	assert_int_equal(stat.entries, 3);
	assert_int_equal(stat.buckets, MODEL_BUCKETS);
	assert_int_equal(stat.depth, 1);
	assert_int_equal(stat.readers, 1);
	assert_int_equal(stat.oldest_reader, 0);
	assert_true(stat.used_bytes >= 10 * 4096);
	assert_true(stat.used_bytes < 100 * 4096);
	tree_close(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, folder_set_up, folder_tear_down)
		T(a_reader_of_no_tree_is_told_so),
		T(a_reader_of_a_tree_without_databases_is_told_so),
		T(another_format_or_byteorder_is_refused_by_readers_and_writers),
		T(a_file_that_is_no_lmdb_is_corrupt),
		T(folder_and_files_are_for_the_owner_only),
		T(one_reader_too_many_is_told_to_come_again),
		T(a_reader_follows_a_writer_past_the_size_of_its_map),
		T(a_killed_reader_is_seen_to_pin_pages_until_it_is_reaped),
		T(an_empty_tree_has_nothing_and_stands_at_zero),
		T(keys_of_impossible_length_are_not_found),
		T(a_meta_value_is_kept_and_the_trees_own_are_refused),
		T(stat_counts_rows_and_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
