/* SPDX-License-Identifier: ISC */
/* libkv's cursors and watches, without a daemon. */

#include "lib_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <poll.h>

static void
fill(struct kv *kv, int from, int to)
{
	char key[16];

	for (; from < to; from++) {
		snprintf(key, sizeof(key), "k%05d", from);
		lib_folder_put(kv, key, key);
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
	struct kv *kv = lib_folder_open_bucket();
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
	struct kv *kv = lib_folder_open_bucket();
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
	struct kv *kv = lib_folder_open_bucket();
	struct kv_cursor *c;
	struct kv_entry entry;

	(void)state;
	lib_folder_put(kv, "milk", "1");
	assert_int_equal(kv_begin(kv), KV_OK);
	assert_int_equal(kv_cursor_open(kv, B, NULL, &c), KV_OK);
	kv_end(kv);
	assert_int_equal(kv_cursor_next(c, &entry), KV_ECLOSED);
	kv_close(kv); /* and closes it */
}

static void
a_cursor_of_outside_a_turn_reads_on_when_the_turn_is_over(void **state)
{
	struct kv *kv = lib_folder_open_bucket();
	struct kv_cursor *c;
	struct kv_entry entry;

	(void)state;
	lib_folder_put(kv, "milk", "1");
	assert_int_equal(kv_cursor_open(kv, B, NULL, &c), KV_OK);
	assert_int_equal(kv_begin(kv), KV_OK);
	assert_int_equal(kv_cursor_next(c, &entry), KV_EBUSY);
	kv_end(kv);
	assert_int_equal(kv_cursor_next(c, &entry), KV_OK);
	assert_memory_equal(entry.key.data, "milk", 4);
	kv_close(kv);
}

static void
buckets_are_listed_by_name_with_their_sums(void **state)
{
	struct kv_bucket_info info;
	struct kv_range range = { .prefix = kv_text("s") };
	struct kv *kv = lib_folder_open_bucket();
	struct kv_cursor *c;
	struct kv_entry entry;

	(void)state;
	assert_int_equal(kv_create(kv, kv_text("photos")), KV_OK);
	lib_folder_put(kv, "milk", "12");
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
	struct kv *kv = lib_folder_open_bucket();
	struct kv_change change;
	struct kv_watch *w;
	uint64_t seq, last;

	(void)state;
	lib_folder_put(kv, "before", "0");
	assert_int_equal(kv_create(kv, kv_text("other")), KV_OK);
	assert_int_equal(kv_watch_open(kv, B, KV_FROM_NOW, &w), KV_OK);
	assert_int_equal(kv_watch_next(w, &change), KV_EAGAIN);
	assert_int_equal(kv_watch_wait(w, 0), KV_ETIMEOUT);
	lib_folder_put(kv, "milk", "1");
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
	struct kv *kv = lib_folder_open_bucket();
	struct kv_change change;
	struct kv_watch *w;

	(void)state;
	assert_int_equal(kv_watch_open(kv, B, KV_FROM_NOW, &w), KV_OK);
	assert_int_equal(kv_watch_next(w, &change), KV_EAGAIN);
	lib_folder_in_child(lib_folder_change_milk, 0);
	assert_int_equal(kv_watch_wait(w, 5000), KV_OK);
	assert_int_equal(kv_watch_next(w, &change), KV_OK);
	assert_memory_equal(change.value.data, "2", 1);
	kv_close(kv);
}

static int
readable(const struct kv_watch *w, int timeout_ms)
{
	struct pollfd p = { .fd = kv_watch_fd(w), .events = POLLIN };

	return poll(&p, 1, timeout_ms);
}

static void
a_watch_is_readable_when_there_is_a_change_to_take(void **state)
{
	struct kv *kv = lib_folder_open_bucket();
	struct kv_change change;
	struct kv_watch *w;

	(void)state;
	assert_int_equal(kv_watch_open(kv, B, KV_FROM_NOW, &w), KV_OK);
	assert_int_equal(kv_watch_next(w, &change), KV_EAGAIN);
	assert_int_equal(readable(w, 0), 0);
	lib_folder_in_child(lib_folder_change_milk, 0);
	assert_int_equal(readable(w, 5000), 1);
	assert_int_equal(kv_watch_next(w, &change), KV_OK);
	assert_memory_equal(change.key.data, "milk", 4);
	assert_int_equal(kv_watch_next(w, &change), KV_EAGAIN);
	assert_int_equal(readable(w, 0), 0);
	kv_close(kv);
}

static void
assert_scope(struct kv *kv, bool local, bool shadows)
{
	struct kv_bucket_info info;

	assert_int_equal(kv_bucket_info(kv, B, &info), KV_OK);
	assert_int_equal(info.local, local);
	assert_int_equal(info.shadows, shadows);
}

static void
a_watch_follows_the_bucket_that_its_name_means(void **state)
{
	const struct kv_bucket_options here = { .local = true };
	struct kv *kv = lib_folder_open_bucket();
	struct kv_change change;
	struct kv_watch *w;
	uint64_t seq;

	(void)state;
	assert_scope(kv, false, false);
	assert_int_equal(kv_watch_open(kv, B, KV_FROM_NOW, &w), KV_OK);
	lib_folder_put(kv, "a", "shared");
	assert_int_equal(kv_create_with(kv, B, &here), KV_OK);
	assert_int_equal(kv_create(kv, B), KV_OK);
	assert_scope(kv, true, true);
	lib_folder_put(kv, "b", "local");
	assert_int_equal(kv_drop(kv, B), KV_OK);
	assert_scope(kv, false, false);
	lib_folder_put(kv, "c", "shared");
	assert_change(w, KV_CHANGE_PUT, "a", &seq);
	assert_change(w, KV_CHANGE_CREATE, "", &seq);
	assert_change(w, KV_CHANGE_PUT, "b", &seq);
	assert_change(w, KV_CHANGE_DROP, "", &seq);
	assert_change(w, KV_CHANGE_PUT, "c", &seq);
	assert_int_equal(kv_watch_next(w, &change), KV_EAGAIN);
	kv_close(kv);
}

#define TEST(f)                                                                \
	cmocka_unit_test_setup_teardown(f, lib_folder_set_up,                  \
	    lib_folder_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_cursor_walks_a_range_in_order_within_a_turn_and_outside),
		TEST(
		    a_cursor_outside_a_turn_lets_its_user_delete_what_it_shows),
		TEST(a_cursor_ends_with_its_turn),
		TEST(a_cursor_of_outside_a_turn_reads_on_when_the_turn_is_over),
		TEST(buckets_are_listed_by_name_with_their_sums),
		TEST(a_watch_shows_every_change_in_order_and_resumes),
		TEST(a_watcher_is_woken_by_another_process),
		TEST(a_watch_is_readable_when_there_is_a_change_to_take),
		TEST(a_watch_follows_the_bucket_that_its_name_means),
	};

	return cmocka_run_group_tests_name("lib_walk", tests, NULL, NULL);
}
