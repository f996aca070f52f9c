/* SPDX-License-Identifier: ISC */
/* Buckets with a ttl_max: every record ends by itself, and its tombstone, too. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "engine/feed.h"
#include "engine/foreign.h"
#include "engine/internal.h"
#include "engine/maintain.h"
#include "engine_model.h"
#include "tree/limit.h"

#define TTL_S 60u
#define TTL_MS (TTL_S * 1000u)
#define TTL (BUCKET_STAYS | TTL_S << BUCKET_TTL_SHIFT)
#define OLD_MS (10 * 60 * 1000u) /* more than a TTL and what clocks differ */
#define NODE 7			 /* another one's incarnation */

static struct model_shared *m;
static struct engine *e;

static void
refresh(void)
{
	assert_int_equal(engine_refresh(e), KV_OK);
}

static void
commit(void)
{
	uint64_t end;

	assert_int_equal(engine_commit(e, &end), KV_OK);
}

static void
create(const char *name, uint32_t options)
{
	assert_int_equal(engine_create(e, slice_of(name), options), KV_OK);
	commit();
}

static int
set_up(void **state)
{
	(void)state;
	m = model_new();
	e = model_open(m, DURABILITY_EVERYSEC);
	refresh();
	create("t", TTL);
	create("a", BUCKET_STAYS);
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

/* All of the log is in the tree, and nothing is left to be swept. */
static void
settle(void)
{
	uint64_t next;
	bool more = true;

	engine_release(e);
	while (more) {
		more = false;
		next = 0;
		assert_int_equal(maintain_settle(e), KV_OK);
		assert_int_equal(sweep_step(e, &more, &next), KV_OK);
	}
	assert_int_equal(maintain_settle(e), KV_OK);
	assert_int_equal(model_findings(e), 0);
	refresh();
}

static const struct bucket *
bucket(const char *name)
{
	const struct bucket *b;

	assert_int_equal(engine_bucket(e, slice_of(name), &b), KV_OK);
	return b;
}

static void
put(const char *name, const char *key, uint64_t deadline)
{
	assert_int_equal(engine_put(e, bucket(name), slice_of(key),
			     slice_of("v"), deadline),
	    KV_OK);
	commit();
}

static void delete (const char *name, const char *key)
{
	assert_int_equal(engine_delete(e, bucket(name), slice_of(key)), KV_OK);
	commit();
}

static struct record
raw(const char *name, const char *key)
{
	struct record r;

	assert_int_equal(engine_get_raw(e, bucket(name)->bid, slice_of(key),
			     &r),
	    KV_OK);
	return r;
}

static int
look(const char *name, const char *key)
{
	struct record r;

	return engine_get_raw(e, bucket(name)->bid, slice_of(key), &r);
}

static void
merge(enum record_type type, const char *name, const char *key, uint64_t ms,
    uint64_t deadline)
{
	struct foreign f = { .how = FOREIGN_MERGE,
		.record = { .type = type,
		    .stamp = { ms << 16, NODE },
		    .bid = engine_bucket_id(slice_of(name)),
		    .deadline = deadline,
		    .key = slice_of(key),
		    .value = slice_of(type == RECORD_PUT ? "theirs" : "") } };
	uint64_t end = 0;

	assert_int_equal(foreign_commit(e, &f, 1, &end), KV_OK);
}

static void
merge_row(const char *name, uint32_t options)
{
	struct foreign f = { .how = FOREIGN_MERGE,
		.record = { .type = RECORD_BUCKET, .key = slice_of(name) },
		.bucket = { .created = { engine_control(e)->seq + 1, NODE },
		    .options = options } };
	uint64_t end = 0;

	assert_int_equal(foreign_commit(e, &f, 1, &end), KV_OK);
}

/* ---- writes ------------------------------------------------------------ */

static void
a_write_ends_after_ttl_max_and_no_later(void **state)
{
	uint64_t now = engine_now_ms(e);

	(void)state;
	put("t", "without", 0);
	put("t", "later", now + TTL_MS + 1);
	put("t", "sooner", now + 5);
	put("a", "other", 0);
	assert_int_equal(raw("t", "without").deadline, now + TTL_MS);
	assert_int_equal(raw("t", "later").deadline, now + TTL_MS);
	assert_int_equal(raw("t", "sooner").deadline, now + 5);
	assert_int_equal(raw("a", "other").deadline, 0);
	settle();
	assert_int_equal(raw("t", "without").deadline, now + TTL_MS);
}

static void
what_another_host_wrote_ends_by_its_stamp(void **state)
{
	uint64_t ms = engine_now_ms(e) - 1000;
	struct record r;

	(void)state;
	merge(RECORD_PUT, "t", "without", ms, 0);
	merge(RECORD_PUT, "t", "later", ms, ms + TTL_MS + 1);
	merge(RECORD_PUT, "t", "sooner", ms, ms + 7000);
	merge(RECORD_PUT, "t", "over", ms - TTL_MS, 0);
	assert_int_equal(raw("t", "without").deadline, ms + TTL_MS);
	assert_int_equal(raw("t", "later").deadline, ms + TTL_MS);
	assert_int_equal(raw("t", "sooner").deadline, ms + 7000);
	assert_int_equal(engine_get(e, bucket("t"), slice_of("over"), &r),
	    KV_ENOTFOUND);
}

static void
a_tombstone_lasts_as_long_as_what_it_keeps_out(void **state)
{
	uint64_t now = engine_now_ms(e);
	struct record r;

	(void)state;
	put("t", "k", now + 10);
	delete ("t", "k");
	r = raw("t", "k");
	assert_int_equal(r.type, RECORD_TOMB);
	assert_true(r.flags & RECORD_SHORT);
	assert_int_equal(r.deadline, now + TTL_MS);
	merge(RECORD_TOMB, "t", "l", now - 3, 0);
	r = raw("t", "l");
	assert_true(r.flags & RECORD_SHORT);
	assert_int_equal(r.deadline, now - 3 + TTL_MS);
	delete ("a", "k");
	assert_false(raw("a", "k").flags & RECORD_SHORT);
	assert_int_equal(raw("a", "k").deadline, 0);
	/* A value that is older than it does not get past it. */
	merge(RECORD_PUT, "t", "k", now - 1, 0);
	assert_int_equal(raw("t", "k").type, RECORD_TOMB);
}

/* ---- the option -------------------------------------------------------- */

static void
the_option_changes_only_while_there_are_no_keys(void **state)
{
	const uint32_t other = BUCKET_STAYS | 9u << BUCKET_TTL_SHIFT;

	(void)state;
	create("t", BUCKET_STAYS); /* not asked for: as it is */
	assert_int_equal(bucket_ttl_ms(bucket("t")), TTL_MS);
	create("t", other);
	assert_int_equal(bucket_ttl_ms(bucket("t")), 9000);
	put("t", "k", 0);
	create("t", other);
	assert_int_equal(engine_create(e, slice_of("t"), TTL), KV_EEXIST);
	put("a", "k", 0);
	assert_int_equal(engine_create(e, slice_of("a"), TTL), KV_EEXIST);
	assert_int_equal(raw("a", "k").deadline, 0);
	settle();
	assert_int_equal(bucket_ttl_ms(bucket("t")), 9000);
}

static void
records_of_before_the_option_end_as_those_of_after(void **state)
{
	uint64_t now = engine_now_ms(e);
	struct totals sums;
	char key[16];
	unsigned i;

	(void)state;
	for (i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "k%03u", i);
		put("a", key, 0);
	}
	put("a", "sooner", now + 30000);
	merge(RECORD_PUT, "a", "old", now - OLD_MS, 0);
	merge_row("a", TTL);
	settle();
	for (i = 0; i < 200; i++) {
		struct record r;

		snprintf(key, sizeof(key), "k%03u", i);
		r = raw("a", key);
		assert_int_equal(r.deadline, stamp_ms(r.stamp) + TTL_MS);
		assert_int_equal(r.stamp.inc, engine_control(e)->inc);
		assert_true(slice_equal(r.value, slice_of("v")));
	}
	assert_int_equal(raw("a", "sooner").deadline, now + 30000);
	assert_int_equal(look("a", "old"), KV_ENOTFOUND); /* and forgotten */
	assert_int_equal(engine_totals(e, bucket("a"), &sums), KV_OK);
	assert_int_equal(sums.keys, 201);
	assert_int_equal(sums.digest[0] | sums.digest[1], 0);
}

static void
a_record_that_came_before_its_buckets_row_ends_too(void **state)
{
	uint64_t ms = engine_now_ms(e) - 500;

	(void)state;
	merge(RECORD_PUT, "new", "k", ms, 0);
	engine_release(e);
	assert_int_equal(maintain_settle(e), KV_OK);
	refresh();
	merge_row("new", TTL);
	settle();
	assert_int_equal(raw("new", "k").deadline, ms + TTL_MS);
}

static void
what_a_version_without_the_option_let_in_ends_too(void **state)
{
	struct bucket plain;
	uint64_t end;

	(void)state;
	settle();
	plain = *bucket("t");
	plain.options = BUCKET_STAYS; /* all it knows of */
	assert_int_equal(engine_put(e, &plain, slice_of("k"), slice_of("v"), 0),
	    KV_OK);
	assert_int_equal(engine_commit(e, &end), KV_OK);
	settle();
	assert_int_equal(raw("t", "k").deadline, 0);
	engine_release(e);
	engine_close(e);
	e = model_open(m, DURABILITY_EVERYSEC);
	refresh();
	settle();
	assert_int_equal(raw("t", "k").deadline,
	    stamp_ms(raw("t", "k").stamp) + TTL_MS);
}

/* ---- forgetting -------------------------------------------------------- */

static size_t
purge_short(uint64_t before_ms)
{
	uint64_t next;
	size_t done;

	engine_release(e);
	assert_int_equal(apply_purge_short(e->tree, before_ms, 100, &next,
			     &done),
	    KV_OK);
	refresh();
	return done;
}

/* Has it been noted that a tombstone of this host is gone? */
static int
purged_of(uint64_t inc)
{
	char key[SCHEMA_INC_KEY];
	struct record r;

	schema_put_inc(key, 'P', inc);
	return tree_get_position(e->tree, (struct kv_slice){ key, sizeof(key) },
	    &r);
}

static void
what_is_dead_everywhere_is_forgotten_without_a_trace(void **state)
{
	uint64_t now = engine_now_ms(e), next = 0;
	bool more = false;
	struct kv_slice row;

	(void)state;
	merge(RECORD_TOMB, "t", "tomb", now - OLD_MS, 0);
	merge(RECORD_PUT, "t", "put", now - OLD_MS, 0);
	merge(RECORD_TOMB, "t", "young", now - TTL_MS - BUCKET_DRIFT_MS + 5000,
	    0);
	merge(RECORD_TOMB, "a", "tomb", now - OLD_MS, 0);
	settle();
	assert_int_equal(look("t", "tomb"), KV_ENOTFOUND);
	assert_int_equal(look("t", "put"), KV_ENOTFOUND);
	assert_int_equal(look("t", "young"), KV_OK);
	assert_int_equal(look("a", "tomb"), KV_OK);
	assert_int_equal(purged_of(NODE), KV_ENOTFOUND);
	assert_int_equal(tree_meta_get(e->tree, "purged_seq", &row),
	    KV_ENOTFOUND);
	/* The next one has its time. */
	engine_release(e);
	assert_int_equal(sweep_step(e, &more, &next), KV_OK);
	assert_false(more);
	assert_int_equal(next, now + 5001);
	refresh();
}

static void
our_own_clock_may_be_ahead_of_the_wall(void **state)
{
	uint64_t now = engine_now_ms(e), ahead = now + 60000;
	struct record r;

	(void)state;
	/* What we write from now on is stamped later than the wall says. */
	merge(RECORD_PUT, "a", "k", ahead, 0);
	put("t", "k", 0);
	delete ("t", "k");
	settle();
	assert_true(stamp_ms(raw("t", "k").stamp) >= ahead);
	assert_int_equal(raw("t", "k").deadline, now + TTL_MS);
	assert_int_equal(purge_short(now + TTL_MS + 1), 1);
	r = raw("t", "k");
	assert_int_equal(r.deadline, stamp_ms(r.stamp) + TTL_MS);
	assert_int_equal(purge_short(ahead + TTL_MS), 0);
	assert_int_equal(purge_short(r.deadline + 1), 1);
	assert_int_equal(look("t", "k"), KV_ENOTFOUND);
}

static void
without_the_option_a_tombstone_is_kept_as_any_other(void **state)
{
	uint64_t now = engine_now_ms(e);
	size_t done;

	(void)state;
	put("t", "k", 0);
	delete ("t", "k");
	delete ("t", "l");
	merge_row("t", BUCKET_STAYS);
	settle();
	assert_int_equal(purge_short(now + OLD_MS), 2);
	assert_false(raw("t", "k").flags & RECORD_SHORT);
	assert_int_equal(purge_short(UINT64_MAX), 0);
	settle();
	engine_release(e);
	assert_int_equal(apply_purge_tombs(e->tree, now + OLD_MS, 100, NULL,
			     &done),
	    KV_OK);
	refresh();
	assert_int_equal(done, 2);
	assert_int_equal(look("t", "k"), KV_ENOTFOUND);
	assert_int_equal(purged_of(engine_control(e)->inc), KV_OK);
}

/* What peers sent may be waiting for room, and older than the tombstone. */
static void
no_tombstone_goes_until_there_was_room_for_a_minute(void **state)
{
	uint64_t next = 0, dead_ms;
	bool more = false;

	(void)state;
	delete ("a", "k");
	settle();
	dead_ms = stamp_ms(raw("a", "k").stamp);
	while (clock_wall_ms() <= dead_ms + 1)
		refresh();
	engine_release(e);
	e->options.retention_ms = 1;
	atomic_store(&e->control->trouble, TROUBLE_LOG_SPACE);
	assert_int_equal(sweep_step(e, &more, &next), KV_OK);
	atomic_store(&e->control->trouble, 0);
	assert_int_equal(sweep_step(e, &more, &next), KV_OK);
	assert_true(next > dead_ms);
	refresh();
	assert_int_equal(look("a", "k"), KV_OK);
	e->troubled_ms -= 60000;
	settle();
	assert_int_equal(look("a", "k"), KV_ENOTFOUND);
}

static void
who_follows_such_a_bucket_is_told_of_a_gap(void **state)
{
	uint64_t now = engine_now_ms(e);
	uint64_t seq;
	struct feed f;
	unsigned i;

	(void)state;
	seq = engine_control(e)->seq;
	merge(RECORD_TOMB, "t", "k", now - OLD_MS, 0);
	/* So much that the log does not reach back to it. */
	for (i = 0; i < 6; i++) {
		char *text = calloc(1, e->segment_size / 2);

		assert_non_null(text);
		assert_int_equal(engine_put(e, bucket("a"), slice_of("large"),
				     (struct kv_slice){ text,
					 e->segment_size / 2 },
				     0),
		    KV_OK);
		commit();
		free(text);
		settle();
	}
	assert_int_equal(feed_seek(e, &f, seq), KV_OK);
	assert_int_equal(feed_seek_in(e, &f, seq, bucket("a")), KV_OK);
	assert_int_equal(feed_seek_in(e, &f, seq, bucket("t")), KV_ENOTFOUND);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_write_ends_after_ttl_max_and_no_later),
		TEST(what_another_host_wrote_ends_by_its_stamp),
		TEST(a_tombstone_lasts_as_long_as_what_it_keeps_out),
		TEST(the_option_changes_only_while_there_are_no_keys),
		TEST(records_of_before_the_option_end_as_those_of_after),
		TEST(a_record_that_came_before_its_buckets_row_ends_too),
		TEST(what_a_version_without_the_option_let_in_ends_too),
		TEST(what_is_dead_everywhere_is_forgotten_without_a_trace),
		TEST(our_own_clock_may_be_ahead_of_the_wall),
		TEST(without_the_option_a_tombstone_is_kept_as_any_other),
		TEST(no_tombstone_goes_until_there_was_room_for_a_minute),
		TEST(who_follows_such_a_bucket_is_told_of_a_gap),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
