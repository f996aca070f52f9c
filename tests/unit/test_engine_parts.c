/* SPDX-License-Identifier: ISC */
/* Cursors, feeds and the verifier, each by itself. */

#include "engine/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/feed.h"
#include "engine/maintain.h"
#include "engine/scan.h"
#include "engine_model.h"

static struct model_shared *m;
static struct engine *e;
static const struct bucket *bucket;

static int
set_up(void **state)
{
	(void)state;
	m = model_new();
	e = model_open(m, DURABILITY_ALWAYS);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	engine_close(e);
	model_free(m);
	return 0;
}

static void
begin(void)
{
	uint64_t end;

	assert_int_equal(engine_refresh(e), KV_OK);
	assert_int_equal(engine_create(e, slice_of("b"), BUCKET_STAYS), KV_OK);
	assert_int_equal(engine_commit(e, &end), KV_OK);
	assert_int_equal(engine_bucket(e, slice_of("b"), &bucket), KV_OK);
}

static int
put(const char *key, const char *value)
{
	uint64_t end;
	int rc;

	assert_int_equal(engine_bucket(e, slice_of("b"), &bucket), KV_OK);
	rc = engine_put(e, bucket, slice_of(key), slice_of(value), 0);
	assert_int_equal(rc, KV_OK);
	return engine_commit(e, &end);
}

static int
load(uint64_t cursor, uint64_t bid, const char *want)
{
	char key[KV_KEY_MAX + 4];
	uint32_t phase;
	size_t len;
	int rc;

	rc = engine_cursor_load(e, cursor, bid, &phase, key, &len);
	if (rc == KV_OK) {
		assert_int_equal(phase, 3);
		assert_true(
		    slice_equal((struct kv_slice){ key, len }, slice_of(want)));
	}
	return rc;
}

static uint64_t
save(uint64_t cursor, const char *key)
{
	cursor = engine_cursor_save(e, cursor, 7, 3, slice_of(key));
	assert_true(cursor != 0 && cursor >> 63 == 0);
	return cursor;
}

static void
a_cursor_remembers_its_place_until_4096_are_younger(void **state)
{
	uint64_t one, two;
	unsigned i;

	(void)state;
	one = save(0, "milk");
	assert_int_equal(load(one, 7, "milk"), KV_OK);
	assert_int_equal(load(one, 8, "milk"), KV_ENOTFOUND);
	assert_int_equal(load(0, 7, ""), KV_ENOTFOUND);
	assert_int_equal(load(one + 1, 7, ""), KV_ENOTFOUND);
	assert_int_equal(load(one + CONTROL_CURSORS, 7, ""), KV_ENOTFOUND);
	assert_int_equal(load(one | 1ull << 63, 7, ""), KV_ENOTFOUND);
	for (i = 1; i < CONTROL_CURSORS; i++)
		save(0, "x");
	assert_int_equal(load(one, 7, "milk"), KV_OK);
	two = save(0, "eggs");
	assert_int_equal(load(one, 7, "milk"), KV_ENOTFOUND);
	assert_int_equal(load(two, 7, "eggs"), KV_OK);
}

static void
a_scan_that_goes_on_takes_no_other_scans_slot(void **state)
{
	uint64_t one = save(0, "milk"), two = save(0, "a"), before;
	unsigned i;

	(void)state;
	for (i = 0; i < 3 * CONTROL_CURSORS; i++) {
		before = two;
		two = save(two, "b");
		assert_true(two != before);
		assert_int_equal(load(before, 7, ""), KV_ENOTFOUND);
	}
	assert_int_equal(load(one, 7, "milk"), KV_OK);
	assert_int_equal(load(two, 7, "b"), KV_OK);
}

static void
a_follower_sees_a_change_when_it_is_on_disk(void **state)
{
	struct feed f;
	struct record r;

	(void)state;
	begin();
	model_maintain(m, e, true);
	assert_int_equal(engine_refresh(e), KV_OK);
	feed_tail(e, &f);
	assert_int_equal(put("milk", "1"), KV_OK);
	assert_int_equal(feed_next(e, &f, &r), KV_EAGAIN);
	assert_false(feed_want(e, &f));
	assert_int_equal(writer_flush(e), KV_OK);
	assert_true(feed_want(e, &f));
	assert_int_equal(feed_next(e, &f, &r), KV_OK);
	assert_true(slice_equal(r.key, slice_of("milk")));
	assert_int_equal(feed_next(e, &f, &r), KV_EAGAIN);
	engine_release(e);
}

static void
wants_of_followers_are_counted_exactly(void **state)
{
	struct control *c = e->control;
	struct feed f, behind;

	(void)state;
	begin();
	e->options.durability = DURABILITY_OS;
	feed_tail(e, &f);
	behind = f;
	assert_false(feed_want(e, &f));
	assert_false(feed_want(e, &f));
	assert_int_equal(atomic_load(&c->followers), 1);
	assert_int_equal(put("milk", "1"), KV_OK);
	assert_int_equal(atomic_load(&c->followers), 0);
	assert_true(feed_want(e, &behind));
	assert_int_equal(atomic_load(&c->followers), 0);
	e->options.durability = DURABILITY_ALWAYS;
	engine_release(e);
}

static void
publish(const char *text)
{
	uint64_t end;

	assert_int_equal(engine_publish(e, MESSAGE_CHANNEL, slice_of("news"),
			     slice_of(text)),
	    KV_OK);
	assert_int_equal(put("milk", text), KV_OK);
	assert_int_equal(engine_publish(e, MESSAGE_CHANNEL, slice_of("news"),
			     slice_of(text)),
	    KV_OK);
	assert_int_equal(engine_commit(e, &end), KV_OK);
}

/* Types of what a feed hands out, as letters. */
static void
handed_out(struct feed *f, const char *want)
{
	char got[32];
	struct record r;
	size_t n = 0;

	while (feed_next(e, f, &r) == KV_OK && n + 1 < sizeof(got))
		got[n++] = "?ptbrm"[r.type];
	got[n] = '\0';
	assert_string_equal(got, want);
}

static void
a_message_is_only_for_feeds_that_ask_and_leaves_nothing_behind(void **state)
{
	struct feed f, deaf;

	(void)state;
	begin();
	e->options.durability = DURABILITY_OS;
	feed_tail(e, &f);
	deaf = f;
	f.messages = true;
	publish("1");
	publish("2");
	handed_out(&f, "mpmmpm");
	handed_out(&deaf, "pp");
	engine_release(e);
	assert_int_equal(engine_verify(e, NULL, NULL, NULL), 0);
	model_maintain(m, e, true);
	assert_int_equal(engine_refresh(e), KV_OK);
	assert_int_equal(engine_publish(e, MESSAGE_CHANNEL, slice_of(""),
			     slice_of("x")),
	    KV_ETOOBIG);
	assert_int_equal(feed_seek(e, &deaf, 0), KV_OK);
	handed_out(&deaf, "bp"); /* the newest version, from the tree */
	engine_release(e);
	assert_int_equal(engine_verify(e, NULL, NULL, NULL), 0);
	e->options.durability = DURABILITY_ALWAYS;
}

static void
messages_survive_in_the_log_until_they_are_read(void **state)
{
	struct feed f;
	uint64_t seq;

	(void)state;
	begin();
	feed_tail(e, &f);
	seq = f.seq;
	publish("1");
	engine_release(e);
	append_lock(e);
	atomic_store(&e->control->indexed_end,
	    e->view_hi * e->segment_size + SEGMENT_HEADER);
	append_repair(e);
	append_unlock(e);
	assert_int_equal(engine_refresh(e), KV_OK);
	assert_int_equal(writer_flush(e), KV_OK);
	assert_int_equal(feed_seek(e, &f, seq), KV_OK);
	f.messages = true;
	handed_out(&f, "bmpm");
	engine_release(e);
	assert_int_equal(engine_verify(e, NULL, NULL, NULL), 0);
}

/* More than the memory holds. */
static void
fill(const char *prefix, unsigned n)
{
	static char value[20000];
	char key[32];
	unsigned i;

	memset(value, 'v', sizeof(value) - 1);
	for (i = 0; i < n; i++) {
		assert_int_equal(engine_refresh(e), KV_OK);
		snprintf(key, sizeof(key), "%s%u", prefix, i % 100);
		if (put(key, value) == KV_EAGAIN) {
			engine_release(e);
			model_maintain(m, e, false);
		}
		engine_release(e);
	}
	model_maintain(m, e, true);
	model_maintain(m, e, true);
}

static void
a_follower_that_fell_behind_goes_on_in_the_tree(void **state)
{
	struct feed f, last;
	struct record r;
	unsigned n = 0;
	int rc;

	(void)state;
	begin();
	feed_tail(e, &f);
	engine_release(e);
	fill("k", 500);
	assert_int_equal(engine_refresh(e), KV_OK);
	assert_int_equal(feed_next(e, &f, &r), KV_ENOTFOUND);
	assert_int_equal(feed_seek(e, &f, f.seq), KV_OK);
	last = f;
	while ((rc = feed_next(e, &f, &r)) == KV_OK) {
		assert_true(r.seq > last.seq);
		last = f;
		n += r.type == RECORD_PUT;
	}
	assert_int_equal(rc, KV_EAGAIN);
	assert_int_equal(n, 100); /* one version of each */
	assert_int_equal(feed_seek(e, &f, last.seq), KV_OK);
	assert_int_equal(feed_next(e, &f, &r), KV_EAGAIN);
	assert_int_equal(feed_seek(e, &f, last.seq + 1), KV_ENOTFOUND);
	assert_int_equal(feed_seek(e, &f, UINT64_MAX), KV_ENOTFOUND);
	engine_release(e);
}

static void
a_scan_does_not_see_what_was_committed_after_it_was_opened(void **state)
{
	struct record r;
	struct scan *s;

	(void)state;
	begin();
	assert_int_equal(put("a", "1"), KV_OK);
	assert_int_equal(put("c", "1"), KV_OK);
	assert_int_equal(scan_open(e, bucket, &s), KV_OK);
	assert_int_equal(put("b", "2"), KV_OK);
	assert_int_equal(put("c", "2"), KV_OK);
	assert_int_equal(scan_next(s, &r), KV_OK);
	assert_true(slice_equal(r.key, slice_of("a")));
	assert_int_equal(scan_next(s, &r), KV_OK);
	assert_true(slice_equal(r.key, slice_of("c")));
	assert_true(slice_equal(r.value, slice_of("1")));
	assert_int_equal(scan_next(s, &r), KV_ENOTFOUND);
	scan_close(s);
	engine_release(e);
}

static void
expect_next(struct scan *s, const char *key, const char *value)
{
	struct record r;

	assert_int_equal(scan_next(s, &r), KV_OK);
	assert_true(slice_equal(r.key, slice_of(key)));
	assert_true(slice_equal(r.value, slice_of(value)));
}

static void
stage_put(const char *key, const char *value)
{
	assert_int_equal(engine_put(e, bucket, slice_of(key), slice_of(value),
			     0),
	    KV_OK);
}

static void
scans_and_sums_see_what_is_staged(void **state)
{
	struct totals sums;
	struct record r, first;
	struct scan *s;
	unsigned i;

	(void)state;
	begin();
	assert_int_equal(put("a", "1"), KV_OK);
	assert_int_equal(put("c", "1"), KV_OK);
	assert_int_equal(put("e", "1"), KV_OK);
	stage_put("b", "22");
	stage_put("c", "2");
	assert_int_equal(engine_delete(e, bucket, slice_of("a")), KV_OK);
	assert_int_equal(engine_delete(e, bucket, slice_of("z")), KV_OK);
	stage_put("f", "2");
	assert_int_equal(engine_get(e, bucket, slice_of("b"), &first), KV_OK);
	assert_int_equal(scan_open(e, bucket, &s), KV_OK);
	for (i = 0; i < 2; i++) {
		expect_next(s, "b", "22");
		expect_next(s, "c", "2");
		expect_next(s, "e", "1");
		expect_next(s, "f", "2");
		assert_int_equal(scan_next(s, &r), KV_ENOTFOUND);
		assert_int_equal(scan_seek(s, slice_of("")), KV_OK);
	}
	assert_int_equal(scan_seek(s, slice_of("bb")), KV_OK);
	expect_next(s, "c", "2");
	scan_close(s);
	assert_int_equal(engine_totals(e, bucket, &sums), KV_OK);
	assert_int_equal(sums.keys, 4);
	assert_int_equal(sums.bytes, 9);
	for (i = 0; i < 1000; i++)
		stage_put("b", "a value that makes the stage grow");
	assert_true(slice_equal(first.value, slice_of("22")));
	assert_int_equal(engine_drop(e, slice_of("b")), KV_OK);
	assert_int_equal(engine_create(e, slice_of("b"), BUCKET_STAYS), KV_OK);
	assert_int_equal(engine_bucket(e, slice_of("b"), &bucket), KV_OK);
	stage_put("c", "3");
	assert_int_equal(engine_totals(e, bucket, &sums), KV_OK);
	assert_int_equal(sums.keys, 1);
	assert_int_equal(scan_open(e, bucket, &s), KV_OK);
	expect_next(s, "c", "3");
	assert_int_equal(scan_next(s, &r), KV_ENOTFOUND);
	scan_close(s);
	engine_rollback(e);
	assert_int_equal(engine_bucket(e, slice_of("b"), &bucket), KV_OK);
	assert_int_equal(engine_totals(e, bucket, &sums), KV_OK);
	assert_int_equal(sums.keys, 3);
	engine_release(e);
}

static unsigned findings;
static void
note(void *user, const char *line)
{
	(void)user;
	(void)line;
	findings++;
}

static struct wal_record *
newest_record(void)
{
	uint64_t at = view_find_chain(e,
	    index_hash_chain(e->control->hash_secret, bucket->bid), bucket->bid,
	    e->view_end);

	return (struct wal_record *)(void
		*)(engine_segment(e, engine_segment_of(e, at))->base +
	    engine_offset_of(e, at));
}

static void
damage_to_a_record_in_memory_is_found(void **state)
{
	struct wal_record *w;

	(void)state;
	begin();
	assert_int_equal(put("milk", "1"), KV_OK);
	assert_int_equal(engine_verify(e, note, NULL, NULL), 0);
	assert_int_equal(engine_refresh(e), KV_OK);
	w = newest_record();
	w->seq ^= 4;
	engine_release(e);
	assert_int_equal(engine_verify(e, note, NULL, NULL), 1);
	w->seq ^= 4;
	assert_int_equal(engine_verify(e, note, NULL, NULL), 0);
}

static void
sums_that_do_not_add_up_are_found(void **state)
{
	struct wal_record *w;
	uint64_t lsn;
	uint32_t check;

	(void)state;
	begin();
	assert_int_equal(put("milk", "1"), KV_OK);
	w = newest_record();
	check = w->check;
	lsn = e->view_end - w->len;
	w->totals.keys++;
	w->totals.digest[1]++;
	w->check = wal_record_check(w,
	    segment_header(engine_segment(e, e->view_hi))->nonce, lsn);
	engine_release(e);
	assert_int_equal(engine_verify(e, note, NULL, NULL), 2);
	w->totals.keys--;
	w->totals.digest[1]--;
	w->check = check;
	assert_int_equal(engine_verify(e, note, NULL, NULL), 0);
}

int
main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_cursor_remembers_its_place_until_4096_are_younger),
		TEST(a_scan_that_goes_on_takes_no_other_scans_slot),
		TEST(a_follower_sees_a_change_when_it_is_on_disk),
		TEST(wants_of_followers_are_counted_exactly),
		TEST(
		    a_message_is_only_for_feeds_that_ask_and_leaves_nothing_behind),
		TEST(messages_survive_in_the_log_until_they_are_read),
		TEST(a_follower_that_fell_behind_goes_on_in_the_tree),
		TEST(
		    a_scan_does_not_see_what_was_committed_after_it_was_opened),
		TEST(scans_and_sums_see_what_is_staged),
		TEST(damage_to_a_record_in_memory_is_found),
		TEST(sums_that_do_not_add_up_are_found),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
