/* SPDX-License-Identifier: ISC */
/* libkv on a store's folder, without a daemon: reading and writing. */

#include "lib_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

static void
what_was_put_is_there_after_close_and_open(void **state)
{
	struct kv *kv = lib_folder_open_bucket();

	(void)state;
	lib_folder_put(kv, "milk", "1");
	kv_close(kv);
	kv = lib_folder_open();
	lib_folder_assert_value(kv, "milk", "1");
	kv_close(kv);
}

static void
a_store_that_must_exist_is_not_made(void **state)
{
	struct kv_options o = *lib_folder_options();
	struct kv *kv;

	(void)state;
	o.must_exist = true;
	assert_int_equal(kv_open(lib_folder_dir(), &o, &kv), KV_ENOTFOUND);
	assert_int_equal(access(lib_folder_dir(), F_OK), -1);
}

static void
options_that_make_no_sense_are_refused(void **state)
{
	struct kv_options o = *lib_folder_options();
	struct kv *kv;

	(void)state;
	o.segment_size = 4096;
	assert_int_equal(kv_open(lib_folder_dir(), &o, &kv), KV_EINVAL);
	o = *lib_folder_options();
	o.durability = (enum kv_durability)7;
	assert_int_equal(kv_open(lib_folder_dir(), &o, &kv), KV_EINVAL);
	o = *lib_folder_options();
	o.reserved[7] = 1;
	assert_int_equal(kv_open(lib_folder_dir(), &o, &kv), KV_EINVAL);
}

static void
what_does_not_exist_is_not_found(void **state)
{
	struct kv *kv = lib_folder_open();
	struct kv_cursor *c;
	struct kv_watch *w;
	uint64_t n;

	(void)state;
	lib_folder_assert_absent(kv, "milk");
	assert_int_equal(kv_put(kv, B, kv_text("a"), kv_text("b"), 0),
	    KV_ENOTFOUND);
	assert_int_equal(kv_delete(kv, B, kv_text("a")), KV_ENOTFOUND);
	assert_int_equal(kv_drop(kv, B), KV_ENOTFOUND);
	assert_int_equal(kv_count(kv, B, &n), KV_ENOTFOUND);
	assert_int_equal(kv_cursor_open(kv, B, NULL, &c), KV_ENOTFOUND);
	assert_int_equal(kv_watch_open(kv, B, KV_FROM_NOW, &w), KV_ENOTFOUND);
	assert_int_equal(kv_create(kv, B), KV_OK);
	assert_int_equal(kv_create(kv, B), KV_OK);
	assert_int_equal(kv_delete(kv, B, kv_text("a")), KV_ENOTFOUND);
	kv_close(kv);
}

static void
keys_beyond_the_limits_are_refused(void **state)
{
	struct kv *kv = lib_folder_open_bucket();
	char key[KV_KEY_MAX + 1];
	struct kv_slice got;

	(void)state;
	memset(key, 'k', sizeof(key));
	assert_int_equal(kv_put(kv, B, kv_bytes(key, KV_KEY_MAX + 1),
			     kv_text("v"), 0),
	    KV_ETOOBIG);
	assert_int_equal(kv_put(kv, B, kv_bytes(key, 0), kv_text("v"), 0),
	    KV_OK);
	assert_int_equal(kv_get(kv, B, kv_bytes(key, 0), &got), KV_OK);
	assert_int_equal(kv_put(kv, B, kv_bytes(key, KV_KEY_MAX), kv_text("v"),
			     0),
	    KV_OK);
	assert_int_equal(kv_get(kv, B, kv_bytes(key, KV_KEY_MAX), &got), KV_OK);
	kv_close(kv);
}

static void
a_value_can_be_put_back_as_it_was_borrowed(void **state)
{
	struct kv *kv = lib_folder_open_bucket();
	struct kv_slice got;

	(void)state;
	lib_folder_put(kv, "milk", "a long value of milk");
	assert_int_equal(kv_get(kv, B, kv_text("milk"), &got), KV_OK);
	assert_string_equal(got.data, "a long value of milk");
	assert_int_equal(kv_put(kv, B, kv_text("eggs"), got, 0), KV_OK);
	lib_folder_assert_value(kv, "eggs", "a long value of milk");
	kv_close(kv);
}

static void
a_turn_shows_one_snapshot_whatever_others_write(void **state)
{
	struct kv *kv = lib_folder_open_bucket();
	struct kv_slice before;

	(void)state;
	lib_folder_put(kv, "milk", "1");
	assert_int_equal(kv_begin(kv), KV_OK);
	assert_int_equal(kv_begin(kv), KV_EBUSY);
	assert_int_equal(kv_get(kv, B, kv_text("milk"), &before), KV_OK);
	lib_folder_in_child(lib_folder_change_milk, 0);
	lib_folder_assert_value(kv, "milk", "1");
	assert_memory_equal(before.data, "1", 1);
	assert_int_equal(kv_put(kv, B, kv_text("x"), kv_text("y"), 0),
	    KV_EINVAL);
	kv_end(kv);
	lib_folder_assert_value(kv, "milk", "2");
	kv_close(kv);
}

static void
a_deadline_hides_its_key_when_it_has_passed(void **state)
{
	struct kv *kv = lib_folder_open_bucket();
	struct kv_entry entry;
	struct timespec now;
	uint64_t ms;

	(void)state;
	clock_gettime(CLOCK_REALTIME, &now);
	ms = (uint64_t)now.tv_sec * 1000;
	assert_int_equal(kv_put(kv, B, kv_text("old"), kv_text("v"), ms - 1),
	    KV_OK);
	lib_folder_assert_absent(kv, "old");
	assert_int_equal(kv_put(kv, B, kv_text("new"), kv_text("v"),
			     ms + 60000),
	    KV_OK);
	assert_int_equal(kv_get_entry(kv, B, kv_text("new"), &entry), KV_OK);
	assert_int_equal(entry.deadline_ms, ms + 60000);
	assert_true(entry.seq > 0 && entry.written_ms >= ms - 1000);
	kv_close(kv);
}

static void
a_batch_is_written_whole_or_not_at_all(void **state)
{
	struct kv *kv = lib_folder_open_bucket();
	struct kv_batch *b;

	(void)state;
	lib_folder_put(kv, "milk", "1");
	assert_int_equal(kv_batch_new(&b), KV_OK);
	assert_int_equal(kv_batch_put(b, B, kv_text("milk"), kv_text("2"), 0),
	    KV_OK);
	assert_int_equal(kv_batch_put(b, kv_text("none"), kv_text("a"),
			     kv_text("b"), 0),
	    KV_OK);
	assert_int_equal(kv_write(kv, b), KV_ENOTFOUND);
	lib_folder_assert_value(kv, "milk", "1");

	kv_batch_clear(b);
	assert_int_equal(kv_batch_create(b, kv_text("none")), KV_OK);
	assert_int_equal(kv_batch_put(b, kv_text("none"), kv_text("a"),
			     kv_text("b"), 0),
	    KV_OK);
	assert_int_equal(kv_batch_delete(b, B, kv_text("milk")), KV_OK);
	assert_int_equal(kv_batch_delete(b, B, kv_text("never")), KV_OK);
	assert_int_equal(kv_write(kv, b), KV_OK);
	lib_folder_assert_absent(kv, "milk");
	kv_batch_free(b);
	kv_close(kv);
}

static void
a_batch_makes_a_bucket_in_the_place_of_another(void **state)
{
	struct kv_bucket_options options = { .ttl_max_ms = 60000 };
	struct kv *kv = lib_folder_open_bucket();
	struct kv_bucket_info info;
	struct kv_batch *b;

	(void)state;
	lib_folder_put(kv, "milk", "1");
	assert_int_equal(kv_batch_new(&b), KV_OK);
	options.reserved[0] = 1;
	assert_int_equal(kv_batch_create_with(b, B, &options), KV_EINVAL);
	options.reserved[0] = 0;
	assert_int_equal(kv_batch_drop(b, B), KV_OK);
	assert_int_equal(kv_batch_create_with(b, B, &options), KV_OK);
	assert_int_equal(kv_batch_create_with(b, kv_text("plain"), NULL),
	    KV_OK);
	assert_int_equal(kv_write(kv, b), KV_OK);
	assert_int_equal(kv_bucket_info(kv, B, &info), KV_OK);
	assert_int_equal(info.ttl_max_ms, 60000);
	assert_int_equal(info.keys, 0);
	assert_int_equal(kv_bucket_info(kv, kv_text("plain"), &info), KV_OK);
	assert_int_equal(info.ttl_max_ms, 0);
	lib_folder_assert_absent(kv, "milk");
	kv_batch_free(b);
	kv_close(kv);
}

static void
a_batch_that_expects_something_else_writes_nothing(void **state)
{
	struct kv *kv = lib_folder_open_bucket();
	struct kv_entry entry;
	struct kv_batch *b;

	(void)state;
	lib_folder_put(kv, "milk", "1");
	assert_int_equal(kv_get_entry(kv, B, kv_text("milk"), &entry), KV_OK);
	assert_int_equal(kv_batch_new(&b), KV_OK);
	assert_int_equal(kv_batch_expect(b, B, kv_text("milk"), entry.seq),
	    KV_OK);
	assert_int_equal(kv_batch_expect(b, B, kv_text("eggs"), 0), KV_OK);
	assert_int_equal(kv_batch_put(b, B, kv_text("milk"), kv_text("2"), 0),
	    KV_OK);
	assert_int_equal(kv_write(kv, b), KV_OK);
	assert_int_equal(kv_write(kv, b), KV_ESTALE);
	lib_folder_put(kv, "milk", "3");
	assert_int_equal(kv_write(kv, b), KV_ESTALE);
	lib_folder_assert_value(kv, "milk", "3");
	kv_batch_free(b);
	kv_close(kv);
}

static void
count_to_200(struct kv *kv, int number)
{
	char key[32];
	int i;

	for (i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "%d-%d", number, i);
		if (kv_put(kv, B, kv_text(key), kv_text("v"), 0) < 0)
			_exit(7);
	}
}

static void
processes_without_a_daemon_write_side_by_side(void **state)
{
	struct kv *kv = lib_folder_open_bucket();
	struct kv *own;
	pid_t pids[3];
	uint64_t keys;
	int i, status;

	(void)state;
	for (i = 0; i < 3; i++) {
		if ((pids[i] = fork()) != 0)
			continue;
		if (kv_open(lib_folder_dir(), lib_folder_options(), &own) < 0)
			_exit(9);
		count_to_200(own, i);
		kv_close(own);
		_exit(0);
	}
	count_to_200(kv, 3);
	for (i = 0; i < 3; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(kv_count(kv, B, &keys), KV_OK);
	assert_int_equal(keys, 800);
	kv_close(kv);
}

static void
no_line(void *user, const char *line)
{
	(void)user;
	fail_msg("verify found: %s", line);
}

static void
a_log_longer_than_memory_is_moved_on_without_a_daemon(void **state)
{
	struct kv *kv = lib_folder_open_bucket();
	struct kv_status status;
	char key[16];
	static char value[4096];
	uint64_t keys;
	int i;

	(void)state;
	memset(value, 'v', sizeof(value));
	for (i = 0; i < 4000; i++) { /* 16 segments */
		snprintf(key, sizeof(key), "k%d", i % 1000);
		assert_int_equal(kv_put(kv, B, kv_text(key),
				     kv_bytes(value, sizeof(value)), 0),
		    KV_OK);
	}
	assert_int_equal(kv_sync(kv, 5000), KV_OK);
	kv_status(kv, &status);
	assert_true(status.durable >= status.checkpointed);
	assert_true(status.rolls >= 15);
	assert_null(status.trouble);
	assert_int_equal(kv_count(kv, B, &keys), KV_OK);
	assert_int_equal(keys, 1000);
	assert_int_equal(kv_verify(kv, no_line, NULL, NULL), 0);
	kv_close(kv);
}

static void
this_process_is_among_those_that_have_it_open(void **state)
{
	struct kv *kv = lib_folder_open();
	struct kv_process p[4];

	(void)state;
	assert_int_equal(kv_processes(kv, p, 4), 1);
	assert_int_equal(p[0].pid, getpid());
	assert_string_equal(p[0].role, "library");
	kv_close(kv);
}

#define TEST(f)                                                                \
	cmocka_unit_test_setup_teardown(f, lib_folder_set_up,                  \
	    lib_folder_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_put_is_there_after_close_and_open),
		TEST(a_store_that_must_exist_is_not_made),
		TEST(options_that_make_no_sense_are_refused),
		TEST(what_does_not_exist_is_not_found),
		TEST(keys_beyond_the_limits_are_refused),
		TEST(a_value_can_be_put_back_as_it_was_borrowed),
		TEST(a_turn_shows_one_snapshot_whatever_others_write),
		TEST(a_deadline_hides_its_key_when_it_has_passed),
		TEST(a_batch_is_written_whole_or_not_at_all),
		TEST(a_batch_makes_a_bucket_in_the_place_of_another),
		TEST(a_batch_that_expects_something_else_writes_nothing),
		TEST(processes_without_a_daemon_write_side_by_side),
		TEST(a_log_longer_than_memory_is_moved_on_without_a_daemon),
		TEST(this_process_is_among_those_that_have_it_open),
	};

	return cmocka_run_group_tests_name("lib_store", tests, NULL, NULL);
}
