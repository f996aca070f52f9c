/* SPDX-License-Identifier: ISC */
/* libkv on a store's folder, without a daemon. */

#include <kv.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define B kv_text("shopping")

static char base[64], dir[128], shm[128];

static const struct kv_options *
options(void)
{
	static struct kv_options o;

	o = (struct kv_options){ .shm_dir = shm,
		.segment_size = 1u << 20,
		.map_size = 1u << 30,
		.durability = KV_DURABILITY_OS };
	return &o;
}

static int
set_up(void **state)
{
	(void)state;
	snprintf(base, sizeof(base), "/var/tmp/kv-test-lib.XXXXXX");
	if (mkdtemp(base) == NULL)
		return -1;
	snprintf(dir, sizeof(dir), "%s/store", base);
	snprintf(shm, sizeof(shm), "/dev/shm/%s", base + strlen("/var/tmp/"));
	setenv("HOME", base, 1);
	return mkdir(shm, 0700);
}

static int
tear_down(void **state)
{
	char command[512];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s %s", base, shm);
	return system(command);
}

static struct kv *
open_store(void)
{
	struct kv *kv;

	assert_int_equal(kv_open(dir, options(), &kv), KV_OK);
	return kv;
}

static struct kv *
open_with_bucket(void)
{
	struct kv *kv = open_store();

	assert_int_equal(kv_create(kv, B), KV_OK);
	return kv;
}

static void
put(struct kv *kv, const char *key, const char *value)
{
	assert_int_equal(kv_put(kv, B, kv_text(key), kv_text(value), 0), KV_OK);
}

static void
assert_value(struct kv *kv, const char *key, const char *value)
{
	struct kv_slice got;

	assert_int_equal(kv_get(kv, B, kv_text(key), &got), KV_OK);
	assert_int_equal(got.len, strlen(value));
	assert_memory_equal(got.data, value, got.len);
}

static void
assert_absent(struct kv *kv, const char *key)
{
	struct kv_slice got;

	assert_int_equal(kv_get(kv, B, kv_text(key), &got), KV_ENOTFOUND);
}

/* LMDB allows one environment a process, so others are children. */
static void
in_child(void (*what)(struct kv *kv, int number), int number)
{
	struct kv *kv;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (kv_open(dir, options(), &kv) < 0)
			_exit(9);
		what(kv, number);
		kv_close(kv);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
what_was_put_is_there_after_close_and_open(void **state)
{
	struct kv *kv = open_with_bucket();

	(void)state;
	put(kv, "milk", "1");
	kv_close(kv);
	kv = open_store();
	assert_value(kv, "milk", "1");
	kv_close(kv);
}

static void
a_store_that_must_exist_is_not_made(void **state)
{
	struct kv_options o = *options();
	struct kv *kv;

	(void)state;
	o.must_exist = true;
	assert_int_equal(kv_open(dir, &o, &kv), KV_ENOTFOUND);
	assert_int_equal(access(dir, F_OK), -1);
}

static void
options_that_make_no_sense_are_refused(void **state)
{
	struct kv_options o = *options();
	struct kv *kv;

	(void)state;
	o.segment_size = 4096;
	assert_int_equal(kv_open(dir, &o, &kv), KV_EINVAL);
	o = *options();
	o.durability = (enum kv_durability)7;
	assert_int_equal(kv_open(dir, &o, &kv), KV_EINVAL);
}

static void
what_does_not_exist_is_not_found(void **state)
{
	struct kv *kv = open_store();
	struct kv_cursor *c;
	struct kv_watch *w;
	uint64_t n;

	(void)state;
	assert_absent(kv, "milk");
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
	struct kv *kv = open_with_bucket();
	char key[KV_KEY_MAX + 1];
	struct kv_slice got;

	(void)state;
	memset(key, 'k', sizeof(key));
	assert_int_equal(kv_put(kv, B, kv_bytes(key, KV_KEY_MAX + 1),
			     kv_text("v"), 0),
	    KV_ETOOBIG);
	assert_int_equal(kv_put(kv, B, kv_bytes(key, 0), kv_text("v"), 0),
	    KV_EINVAL);
	assert_int_equal(kv_put(kv, B, kv_bytes(key, KV_KEY_MAX), kv_text("v"),
			     0),
	    KV_OK);
	assert_int_equal(kv_get(kv, B, kv_bytes(key, KV_KEY_MAX), &got), KV_OK);
	kv_close(kv);
}

static void
a_value_can_be_put_back_as_it_was_borrowed(void **state)
{
	struct kv *kv = open_with_bucket();
	struct kv_slice got;

	(void)state;
	put(kv, "milk", "a long value of milk");
	assert_int_equal(kv_get(kv, B, kv_text("milk"), &got), KV_OK);
	assert_string_equal(got.data, "a long value of milk");
	assert_int_equal(kv_put(kv, B, kv_text("eggs"), got, 0), KV_OK);
	assert_value(kv, "eggs", "a long value of milk");
	kv_close(kv);
}

static void
change_milk(struct kv *kv, int number)
{
	(void)number;
	if (kv_put(kv, B, kv_text("milk"), kv_text("2"), 0) < 0)
		_exit(8);
}

static void
a_turn_shows_one_snapshot_whatever_others_write(void **state)
{
	struct kv *kv = open_with_bucket();
	struct kv_slice before;

	(void)state;
	put(kv, "milk", "1");
	assert_int_equal(kv_begin(kv), KV_OK);
	assert_int_equal(kv_begin(kv), KV_EBUSY);
	assert_int_equal(kv_get(kv, B, kv_text("milk"), &before), KV_OK);
	in_child(change_milk, 0);
	assert_value(kv, "milk", "1");
	assert_memory_equal(before.data, "1", 1);
	assert_int_equal(kv_put(kv, B, kv_text("x"), kv_text("y"), 0),
	    KV_EINVAL);
	kv_end(kv);
	assert_value(kv, "milk", "2");
	kv_close(kv);
}

static void
a_deadline_hides_its_key_when_it_has_passed(void **state)
{
	struct kv *kv = open_with_bucket();
	struct kv_entry entry;
	struct timespec now;
	uint64_t ms;

	(void)state;
	clock_gettime(CLOCK_REALTIME, &now);
	ms = (uint64_t)now.tv_sec * 1000;
	assert_int_equal(kv_put(kv, B, kv_text("old"), kv_text("v"), ms - 1),
	    KV_OK);
	assert_absent(kv, "old");
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
	struct kv *kv = open_with_bucket();
	struct kv_batch *b;

	(void)state;
	put(kv, "milk", "1");
	assert_int_equal(kv_batch_new(&b), KV_OK);
	assert_int_equal(kv_batch_put(b, B, kv_text("milk"), kv_text("2"), 0),
	    KV_OK);
	assert_int_equal(kv_batch_put(b, kv_text("none"), kv_text("a"),
			     kv_text("b"), 0),
	    KV_OK);
	assert_int_equal(kv_write(kv, b), KV_ENOTFOUND);
	assert_value(kv, "milk", "1");

	kv_batch_clear(b);
	assert_int_equal(kv_batch_create(b, kv_text("none")), KV_OK);
	assert_int_equal(kv_batch_put(b, kv_text("none"), kv_text("a"),
			     kv_text("b"), 0),
	    KV_OK);
	assert_int_equal(kv_batch_delete(b, B, kv_text("milk")), KV_OK);
	assert_int_equal(kv_batch_delete(b, B, kv_text("never")), KV_OK);
	assert_int_equal(kv_write(kv, b), KV_OK);
	assert_absent(kv, "milk");
	kv_batch_free(b);
	kv_close(kv);
}

static void
a_batch_that_expects_something_else_writes_nothing(void **state)
{
	struct kv *kv = open_with_bucket();
	struct kv_entry entry;
	struct kv_batch *b;

	(void)state;
	put(kv, "milk", "1");
	assert_int_equal(kv_get_entry(kv, B, kv_text("milk"), &entry), KV_OK);
	assert_int_equal(kv_batch_new(&b), KV_OK);
	assert_int_equal(kv_batch_expect(b, B, kv_text("milk"), entry.seq),
	    KV_OK);
	assert_int_equal(kv_batch_expect(b, B, kv_text("eggs"), 0), KV_OK);
	assert_int_equal(kv_batch_put(b, B, kv_text("milk"), kv_text("2"), 0),
	    KV_OK);
	assert_int_equal(kv_write(kv, b), KV_OK);
	assert_int_equal(kv_write(kv, b), KV_ESTALE);
	put(kv, "milk", "3");
	assert_int_equal(kv_write(kv, b), KV_ESTALE);
	assert_value(kv, "milk", "3");
	kv_batch_free(b);
	kv_close(kv);
}

static void
fill(struct kv *kv, int from, int to)
{
	char key[16];

	for (; from < to; from++) {
		snprintf(key, sizeof(key), "k%05d", from);
		put(kv, key, key);
	}
}

static int
walk(struct kv *kv, const struct kv_range *range, const char *first)
{
	struct kv_cursor *c;
	struct kv_entry entry;
	char last[16] = "";
	int n = 0, rc;

	assert_int_equal(kv_cursor_open(kv, B, range, &c), KV_OK);
	while ((rc = kv_cursor_next(c, &entry)) == KV_OK) {
		if (n++ == 0)
			assert_memory_equal(entry.key.data, first, 6);
		assert_int_equal(entry.key.len, 6);
		assert_memory_equal(entry.value.data, entry.key.data, 6);
		assert_true(strncmp(entry.key.data, last, 6) > 0);
		memcpy(last, entry.key.data, 6);
	}
	assert_int_equal(rc, KV_ENOTFOUND);
	assert_int_equal(kv_cursor_next(c, &entry), KV_ENOTFOUND);
	kv_cursor_close(c);
	return n;
}

static void
a_cursor_walks_a_range_in_order_within_a_turn_and_outside(void **state)
{
	struct kv_range prefix = { .prefix = kv_text("k001") };
	struct kv_range range = { .from = kv_text("k00500"),
		.to = kv_text("k01500") };
	struct kv_range both = { .prefix = kv_text("k001"),
		.from = kv_text("k00150") };
	struct kv *kv = open_with_bucket();
	int i;

	(void)state;
	fill(kv, 0, 2000);
	for (i = 0; i < 2; i++) {
		if (i == 1)
			assert_int_equal(kv_begin(kv), KV_OK);
		assert_int_equal(walk(kv, NULL, "k00000"), 2000);
		assert_int_equal(walk(kv, &prefix, "k00100"), 100);
		assert_int_equal(walk(kv, &range, "k00500"), 1000);
		assert_int_equal(walk(kv, &both, "k00150"), 50);
	}
	kv_end(kv);
	kv_close(kv);
}

static void
a_cursor_outside_a_turn_lets_its_user_delete_what_it_shows(void **state)
{
	struct kv *kv = open_with_bucket();
	struct kv_cursor *c;
	struct kv_entry entry;
	uint64_t left;
	int n = 0;

	(void)state;
	fill(kv, 0, 1500);
	assert_int_equal(kv_cursor_open(kv, B, NULL, &c), KV_OK);
	while (kv_cursor_next(c, &entry) == KV_OK) {
		assert_int_equal(kv_delete(kv, B, entry.key), KV_OK);
		n++;
	}
	kv_cursor_close(c);
	assert_int_equal(n, 1500);
	assert_int_equal(kv_count(kv, B, &left), KV_OK);
	assert_int_equal(left, 0);
	kv_close(kv);
}

static void
a_cursor_ends_with_its_turn(void **state)
{
	struct kv *kv = open_with_bucket();
	struct kv_cursor *c;
	struct kv_entry entry;

	(void)state;
	put(kv, "milk", "1");
	assert_int_equal(kv_begin(kv), KV_OK);
	assert_int_equal(kv_cursor_open(kv, B, NULL, &c), KV_OK);
	kv_end(kv);
	assert_int_equal(kv_cursor_next(c, &entry), KV_ECLOSED);
	kv_close(kv); /* and closes it */
}

static void
buckets_are_listed_by_name_with_their_sums(void **state)
{
	struct kv_bucket_info info;
	struct kv_range range = { .prefix = kv_text("s") };
	struct kv *kv = open_with_bucket();
	struct kv_cursor *c;
	struct kv_entry entry;

	(void)state;
	assert_int_equal(kv_create(kv, kv_text("photos")), KV_OK);
	put(kv, "milk", "12");
	assert_int_equal(kv_bucket_info(kv, B, &info), KV_OK);
	assert_int_equal(info.keys, 1);
	assert_int_equal(info.bytes, 6);
	assert_true(info.stays && !info.local && !info.database);
	assert_int_equal(kv_buckets(kv, &range, &c), KV_OK);
	assert_int_equal(kv_cursor_next(c, &entry), KV_OK);
	assert_memory_equal(entry.key.data, "shopping", 8);
	assert_int_equal(entry.value.len, 0);
	assert_int_equal(kv_cursor_next(c, &entry), KV_ENOTFOUND);
	kv_cursor_close(c);
	assert_int_equal(kv_drop(kv, B), KV_OK);
	assert_int_equal(kv_count(kv, B, &(uint64_t){ 0 }), KV_ENOTFOUND);
	kv_close(kv);
}

static void
assert_change(struct kv_watch *w, enum kv_change_type type, const char *key,
    uint64_t *seq)
{
	struct kv_change change;

	assert_int_equal(kv_watch_next(w, &change), KV_OK);
	assert_int_equal(change.type, type);
	assert_int_equal(change.key.len, strlen(key));
	assert_memory_equal(change.key.data, key, change.key.len);
	*seq = change.seq;
}

static void
a_watch_shows_every_change_in_order_and_resumes(void **state)
{
	struct kv *kv = open_with_bucket();
	struct kv_change change;
	struct kv_watch *w;
	uint64_t seq, last;

	(void)state;
	put(kv, "before", "0");
	assert_int_equal(kv_create(kv, kv_text("other")), KV_OK);
	assert_int_equal(kv_watch_open(kv, B, KV_FROM_NOW, &w), KV_OK);
	assert_int_equal(kv_watch_next(w, &change), KV_EAGAIN);
	assert_int_equal(kv_watch_wait(w, 0), KV_ETIMEOUT);
	put(kv, "milk", "1");
	assert_int_equal(kv_put(kv, kv_text("other"), kv_text("a"),
			     kv_text("b"), 0),
	    KV_OK);
	assert_int_equal(kv_delete(kv, B, kv_text("milk")), KV_OK);
	assert_int_equal(kv_drop(kv, B), KV_OK);
	assert_int_equal(kv_create(kv, B), KV_OK);
	assert_change(w, KV_CHANGE_PUT, "milk", &seq);
	assert_change(w, KV_CHANGE_DELETE, "milk", &last);
	assert_true(last > seq);
	assert_change(w, KV_CHANGE_DROP, "", &last);
	assert_change(w, KV_CHANGE_CREATE, "", &last);
	assert_int_equal(kv_watch_next(w, &change), KV_EAGAIN);
	kv_watch_close(w);

	assert_int_equal(kv_watch_open(kv, B, seq, &w), KV_OK);
	assert_change(w, KV_CHANGE_DELETE, "milk", &last);
	kv_close(kv);
}

static void
a_watcher_is_woken_by_another_process(void **state)
{
	struct kv *kv = open_with_bucket();
	struct kv_change change;
	struct kv_watch *w;

	(void)state;
	assert_int_equal(kv_watch_open(kv, B, KV_FROM_NOW, &w), KV_OK);
	assert_int_equal(kv_watch_next(w, &change), KV_EAGAIN);
	in_child(change_milk, 0);
	assert_int_equal(kv_watch_wait(w, 5000), KV_OK);
	assert_int_equal(kv_watch_next(w, &change), KV_OK);
	assert_memory_equal(change.value.data, "2", 1);
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
	struct kv *kv = open_with_bucket();
	struct kv *own;
	pid_t pids[3];
	uint64_t keys;
	int i, status;

	(void)state;
	for (i = 0; i < 3; i++) {
		if ((pids[i] = fork()) != 0)
			continue;
		if (kv_open(dir, options(), &own) < 0)
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
	struct kv *kv = open_with_bucket();
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
	struct kv *kv = open_store();
	struct kv_process p[4];

	(void)state;
	assert_int_equal(kv_processes(kv, p, 4), 1);
	assert_int_equal(p[0].pid, getpid());
	assert_string_equal(p[0].role, "library");
	kv_close(kv);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

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
		TEST(a_batch_that_expects_something_else_writes_nothing),
		TEST(a_cursor_walks_a_range_in_order_within_a_turn_and_outside),
		TEST(
		    a_cursor_outside_a_turn_lets_its_user_delete_what_it_shows),
		TEST(a_cursor_ends_with_its_turn),
		TEST(buckets_are_listed_by_name_with_their_sums),
		TEST(a_watch_shows_every_change_in_order_and_resumes),
		TEST(a_watcher_is_woken_by_another_process),
		TEST(processes_without_a_daemon_write_side_by_side),
		TEST(a_log_longer_than_memory_is_moved_on_without_a_daemon),
		TEST(this_process_is_among_those_that_have_it_open),
	};

	return cmocka_run_group_tests_name("lib_store", tests, NULL, NULL);
}
