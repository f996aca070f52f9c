/* SPDX-License-Identifier: ISC */
/* Records of other hosts, one by one. */

#include "engine/foreign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"
#include "engine/maintain.h"
#include "engine/trail.h"
#include "engine_model.h"
#include "tree/apply.h"

static struct model_shared *m;
static struct engine *e;

static void
refresh(void)
{
	assert_int_equal(engine_refresh(e), KV_OK);
}

static void
settle(void)
{
	assert_int_equal(maintain_settle(e), KV_OK);
}

static void
commit(void)
{
	uint64_t end;

	assert_int_equal(engine_commit(e, &end), KV_OK);
}

static int
set_up(void **state)
{
	(void)state;
	m = model_new();
	e = model_open(m, DURABILITY_EVERYSEC);
	refresh();
	assert_int_equal(engine_create(e, slice_of("a"), BUCKET_STAYS), KV_OK);
	commit();
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

static struct foreign
foreign_put(const char *key, uint64_t tick, uint64_t inc, const char *value)
{
	return (struct foreign){ .how = FOREIGN_MERGE,
		.record = { .type = RECORD_PUT,
		    .stamp = { tick, inc },
		    .bid = engine_bucket_id(slice_of("a")),
		    .key = slice_of(key),
		    .value = slice_of(value) } };
}

static void
merge(struct foreign f)
{
	uint64_t end = 0;

	assert_int_equal(foreign_commit(e, &f, 1, &end), KV_OK);
	assert_true(end > 0);
}

static struct record
raw(const char *key)
{
	struct record r;

	assert_int_equal(engine_get_raw(e, engine_bucket_id(slice_of("a")),
			     slice_of(key), &r),
	    KV_OK);
	return r;
}

static void
what_replaces_an_own_write_is_relayed_until_we_write_again(void **state)
{
	uint64_t later;
	const struct bucket *b;
	struct record r;

	(void)state;
	later = engine_control(e)->seq + 1000;
	assert_int_equal(engine_bucket(e, slice_of("a"), &b), KV_OK);
	merge(foreign_put("k", later, 7, "theirs"));
	assert_false(raw("k").flags & RECORD_RELAY);
	assert_int_equal(engine_put(e, b, slice_of("k"), slice_of("ours"), 0),
	    KV_OK);
	commit();
	assert_true(raw("k").stamp.tick > later);
	later = raw("k").stamp.tick;
	merge(foreign_put("k", later + 1, 8, "newer"));
	assert_true(raw("k").flags & RECORD_RELAY);
	merge(foreign_put("k", later + 2, 9, "newest"));
	assert_true(raw("k").flags & RECORD_RELAY);
	merge(foreign_put("k", later, 1, "old"));
	r = raw("k");
	assert_true(slice_equal(r.value, slice_of("newest")));
	/* Its deadline comes: the claim that it stands for stays. */
	assert_int_equal(engine_bucket(e, slice_of("a"), &b), KV_OK);
	r.deadline = 1;
	assert_int_equal(engine_expire(e, b, &r), KV_OK);
	commit();
	assert_int_equal(raw("k").type, RECORD_TOMB);
	assert_true(raw("k").flags & RECORD_RELAY);
	assert_int_equal(stamp_compare(raw("k").stamp, r.stamp), 0);
	engine_release(e);
	assert_int_equal(model_findings(e), 0);
}

static void
a_stamp_from_too_far_in_the_future_is_refused_whole(void **state)
{
	uint64_t far = (engine_now_ms(e) + FOREIGN_DRIFT_MS + 1) << 16, end;
	struct foreign batch[2] = { foreign_put("k", 1, 7, "fine"),
		foreign_put("l", far, 7, "future") };
	struct record r;

	(void)state;
	assert_int_equal(foreign_commit(e, batch, 2, &end), KV_EINVAL);
	assert_int_equal(engine_get_raw(e, engine_bucket_id(slice_of("a")),
			     slice_of("k"), &r),
	    KV_ENOTFOUND);
	assert_true(engine_control(e)->seq < far);
	engine_release(e);
}

static void
the_clock_moves_past_what_is_heard(void **state)
{
	uint64_t ahead = (engine_now_ms(e) + 60000) << 16;
	const struct bucket *b;

	(void)state;
	merge(foreign_put("k", ahead, UINT64_MAX, "theirs"));
	assert_int_equal(engine_bucket(e, slice_of("a"), &b), KV_OK);
	assert_int_equal(engine_put(e, b, slice_of("k"), slice_of("ours"), 0),
	    KV_OK);
	commit();
	assert_true(raw("k").stamp.tick > ahead);
	engine_release(e);
}

static void
erasing_takes_just_the_version_that_was_meant(void **state)
{
	uint64_t tick = engine_control(e)->seq + 10;
	struct foreign f = foreign_put("k", tick, 7, "v");

	(void)state;
	merge(f);
	f.how = FOREIGN_ERASE;
	f.record.stamp.tick--;
	merge(f);
	assert_int_equal(raw("k").type, RECORD_PUT);
	f.record.stamp.tick++;
	merge(f);
	assert_int_equal(raw("k").type, RECORD_TOMB);
	assert_int_equal(raw("k").stamp.tick, tick);
	f.record.key = slice_of("none");
	merge(f);
	engine_release(e);
	assert_int_equal(model_findings(e), 0);
}

/* A host that drops a bucket knows nothing of what others wrote since. */
static void
a_drop_leaves_what_is_newer_in_the_log_and_in_the_tree(void **state)
{
	struct foreign drop = { .how = FOREIGN_MERGE,
		.record = { .type = RECORD_BUCKET, .key = slice_of("a") } };
	const struct bucket *b;
	struct totals t;
	char name[16];
	unsigned i;

	(void)state;
	for (i = 0; i < 30; i++) {
		assert_int_equal(engine_bucket(e, slice_of("a"), &b), KV_OK);
		assert_int_equal(engine_put(e, b,
				     (snprintf(name, sizeof(name), "k%u", i),
					 slice_of(name)),
				     slice_of("v"), 0),
		    KV_OK);
		commit();
		if (i == 9)
			drop.bucket.dropped =
			    (struct stamp){ engine_control(e)->seq, 99 };
		if (i == 19) {
			engine_release(e);
			settle();
			refresh();
		}
	}
	drop.bucket.created =
	    (struct stamp){ drop.bucket.dropped.tick + 1, 99 };
	drop.bucket.options = BUCKET_STAYS;
	/* A drop of another host in our own tick hides this one too. */
	assert_int_equal(raw("k9").stamp.tick, drop.bucket.dropped.tick);
	merge(drop);
	assert_int_equal(engine_bucket(e, slice_of("a"), &b), KV_OK);
	assert_int_equal(engine_totals(e, b, &t), KV_OK);
	engine_release(e);
	assert_int_equal(model_findings(e), 0);
	settle();
	assert_int_equal(model_findings(e), 0);
	if (engine_control(e)->inc > 99)
		assert_int_equal(t.keys, 21);
	else
		assert_int_equal(t.keys, 20);
}

/* The newest row of bucket a in the log. */
static struct record
last_row(void)
{
	uint64_t bid = engine_bucket_id(slice_of("a"));
	struct trail_view view = { 0 };
	struct trail at = { 0, 0 };
	struct record r, row = { 0 };

	while (trail_next(e, &view, &at, &r) == KV_OK)
		if (r.type == RECORD_BUCKET && r.bid == bid)
			row = r;
	trail_end(&view);
	assert_int_equal(row.type, RECORD_BUCKET);
	return row;
}

/* Who follows the bucket was told of each key, or must be told of a gap. */
static void
a_drop_of_keys_without_their_tombstones_is_marked(void **state)
{
	uint64_t tick = engine_control(e)->seq + 1, end;
	struct foreign batch[3] = { foreign_put("k", tick + 3, 7, ""),
		foreign_put("l", tick + 4, 7, ""),
		{ .how = FOREIGN_MERGE,
		    .record = { .type = RECORD_BUCKET, .key = slice_of("a") },
		    .bucket = { .dropped = { tick + 5, 7 } } } };
	const struct bucket *b;

	(void)state;
	merge(foreign_put("k", tick, 7, "v"));
	merge(foreign_put("l", tick + 1, 7, "v"));
	batch[0].record.type = batch[1].record.type = RECORD_TOMB;
	assert_int_equal(foreign_commit(e, batch, 3, &end), KV_OK);
	assert_false(last_row().flags & RECORD_DROP);
	assert_int_equal(engine_create(e, slice_of("a"), BUCKET_STAYS), KV_OK);
	commit();
	assert_int_equal(engine_bucket(e, slice_of("a"), &b), KV_OK);
	assert_int_equal(engine_put(e, b, slice_of("k"), slice_of("v"), 0),
	    KV_OK);
	commit();
	batch[2].bucket.dropped.tick = engine_control(e)->seq + 1;
	merge(batch[2]);
	assert_true(last_row().flags & RECORD_DROP);
	engine_release(e);
	assert_int_equal(model_findings(e), 0);
}

/* Whatever the order in it. */
static void
sums_are_exact_when_a_batch_has_rows_among_records(void **state)
{
	uint64_t tick, end;
	struct foreign batch[6];
	const struct bucket *b;
	struct totals t;

	(void)state;
	merge(foreign_put("k", engine_control(e)->seq + 1, 7, "v"));
	tick = engine_control(e)->seq + 100;
	batch[0] = foreign_put("l", tick, 7, "hidden");
	batch[1] = foreign_put("m", tick + 9, 7, "shows");
	batch[2] = (struct foreign){ .how = FOREIGN_MERGE,
		.record = { .type = RECORD_BUCKET, .key = slice_of("a") },
		.bucket = { .dropped = { tick + 1, 7 } } };
	batch[3] = foreign_put("l", tick + 5, 7, "shows too");
	batch[4] = batch[2];
	batch[4].bucket.created = (struct stamp){ tick + 2, 7 };
	batch[5] = foreign_put("n", tick, 7, "late");
	assert_int_equal(foreign_commit(e, batch, 6, &end), KV_OK);
	assert_int_equal(engine_bucket(e, slice_of("a"), &b), KV_OK);
	assert_int_equal(engine_totals(e, b, &t), KV_OK);
	assert_int_equal(t.keys, 2);
	engine_release(e);
	assert_int_equal(model_findings(e), 0);
	settle();
	assert_int_equal(model_findings(e), 0);
}

/* Redis' keys may be empty, and then those of a neighbour are. */
static void
an_empty_key_comes_and_goes_like_any_other(void **state)
{
	struct foreign f = foreign_put("", engine_control(e)->seq + 1, 7, "v");
	struct purge_place place = { 0, 0 };
	const struct bucket *b;
	struct totals t;
	size_t purged = 0;

	(void)state;
	merge(f);
	assert_true(slice_equal(raw("").value, slice_of("v")));
	assert_int_equal(engine_bucket(e, slice_of("a"), &b), KV_OK);
	assert_int_equal(engine_totals(e, b, &t), KV_OK);
	assert_int_equal(t.keys, 1);
	assert_int_equal(engine_delete(e, b, slice_of("")), KV_OK);
	commit();
	engine_release(e);
	settle();
	assert_int_equal(model_findings(e), 0);
	assert_int_equal(apply_purge_tombs(engine_tree(e), UINT64_MAX, 10,
			     &place, &purged),
	    KV_OK);
	assert_int_equal(purged, 1);
	assert_int_equal(model_findings(e), 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(
		    what_replaces_an_own_write_is_relayed_until_we_write_again),
		TEST(a_stamp_from_too_far_in_the_future_is_refused_whole),
		TEST(the_clock_moves_past_what_is_heard),
		TEST(erasing_takes_just_the_version_that_was_meant),
		TEST(a_drop_leaves_what_is_newer_in_the_log_and_in_the_tree),
		TEST(a_drop_of_keys_without_their_tombstones_is_marked),
		TEST(sums_are_exact_when_a_batch_has_rows_among_records),
		TEST(an_empty_key_comes_and_goes_like_any_other),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
