/* SPDX-License-Identifier: ISC */
/* The array store that the simulator trusts. */

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "state.h"

#define MINUTE 60000u

struct fixture {
	struct arena arena;
	struct sim_store s;
	struct sync_store ops;
};

static int
setup(void **state)
{
	static struct fixture f;
	int rc;

	f = (struct fixture){ 0 };
	sim_store_init(&f.s, &f.arena, 7);
	sim_store_start(&f.s, 100, 1000 * MINUTE);
	f.ops = sim_store_ops(&f.s);
	rc = sim_create(&f.s, slice_of("a"), 0);
	if (rc == KV_OK)
		rc = sim_create(&f.s, slice_of("here"), BUCKET_LOCAL);
	*state = &f;
	return rc;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	arena_fini(&f->arena);
	return 0;
}

static void
put(struct fixture *f, const char *key, const char *value)
{
	assert_int_equal(sim_put(&f->s, slice_of("a"), slice_of(key),
			     slice_of(value), 0),
	    KV_OK);
}

static const struct record *
find(const struct sim_state *t, const char *key)
{
	return sim_find(t, sim_bucket_id(slice_of("a")), slice_of(key));
}

static uint64_t
commit(struct fixture *f, const struct sync_batch *b)
{
	uint64_t position = 0;

	assert_int_equal(f->ops.ops->refresh(&f->s), KV_OK);
	assert_int_equal(f->ops.ops->commit(&f->s, b, &position), KV_OK);
	f->ops.ops->release(&f->s);
	return position;
}

static struct sync_change
foreign(const char *key, uint64_t tick, uint64_t inc)
{
	struct sync_change c = { .how = CHANGE_MERGE };

	c.item.record = (struct record){ .type = RECORD_PUT,
		.bid = sim_bucket_id(slice_of("a")),
		.key = slice_of(key),
		.value = slice_of("theirs"),
		.stamp = { tick, inc } };
	return c;
}

static void
merge(struct fixture *f, struct sync_change c)
{
	commit(f, &(struct sync_batch){ .changes = &c, .count = 1 });
}

static void
by_seq_hands_out_each_key_once_and_nothing_local(void **state)
{
	struct fixture *f = *state;
	struct sync_cursor c = { 0 };
	struct sync_item item;

	put(f, "x", "1");
	put(f, "y", "1");
	put(f, "x", "2");
	assert_int_equal(sim_put(&f->s, slice_of("here"), slice_of("z"),
			     slice_of("1"), 0),
	    KV_OK);
	assert_int_equal(f->ops.ops->refresh(&f->s), KV_OK);
	assert_int_equal(f->ops.ops->next(&f->s, &c, &item), KV_OK);
	assert_int_equal(item.record.type, RECORD_BUCKET);
	assert_int_equal(f->ops.ops->next(&f->s, &c, &item), KV_OK);
	assert_true(slice_equal(item.record.key, slice_of("y")));
	assert_int_equal(f->ops.ops->next(&f->s, &c, &item), KV_OK);
	assert_true(slice_equal(item.record.key, slice_of("x")));
	assert_true(slice_equal(item.record.value, slice_of("2")));
	assert_int_equal(f->ops.ops->next(&f->s, &c, &item), KV_ENOTFOUND);
	assert_true(c.seq >= f->ops.ops->head(&f->s));
	f->ops.ops->release(&f->s);
}

static void
the_higher_stamp_wins_and_what_replaces_our_own_is_handed_on(void **state)
{
	struct fixture *f = *state;
	uint64_t tick;

	put(f, "x", "mine");
	tick = find(&f->s.now, "x")->stamp.tick;
	merge(f, foreign("x", tick - 1, 5));
	assert_true(slice_equal(find(&f->s.now, "x")->value, slice_of("mine")));
	merge(f, foreign("x", tick + 70000, 5));
	assert_true(
	    slice_equal(find(&f->s.now, "x")->value, slice_of("theirs")));
	assert_true(find(&f->s.now, "x")->flags & RECORD_RELAY);
	assert_true(find(&f->s.now, "x")->seq > tick + 70000);
	merge(f, foreign("y", tick, 5));
	assert_false(find(&f->s.now, "y")->flags & RECORD_RELAY);
}

static void
an_erased_record_is_a_tombstone_of_the_same_stamp(void **state)
{
	struct fixture *f = *state;
	struct sync_change c;
	struct stamp stamp;

	put(f, "x", "1");
	stamp = find(&f->s.now, "x")->stamp;
	c = foreign("x", stamp.tick, stamp.inc + 1);
	c.how = CHANGE_ERASE;
	merge(f, c);
	assert_int_equal(find(&f->s.now, "x")->type, RECORD_PUT);
	c.item.record.stamp = stamp;
	merge(f, c);
	assert_int_equal(find(&f->s.now, "x")->type, RECORD_TOMB);
	assert_int_equal(stamp_compare(find(&f->s.now, "x")->stamp, stamp), 0);
}

static void
power_takes_what_was_not_synced_data_and_claims_together(void **state)
{
	struct fixture *f = *state;
	struct sync_row row = { .inc = 5, .vv = 9, .announced = 9 };
	struct sync_change c = foreign("x", 4, 5);
	uint64_t position;

	sim_sync(&f->s);
	position = commit(f,
	    &(struct sync_batch){ .changes = &c,
		.count = 1,
		.rows = &row,
		.row_count = 1 });
	assert_true(f->ops.ops->durable(&f->s) < position);
	sim_crash(&f->s, true);
	assert_null(find(&f->s.now, "x"));
	assert_null(sim_row(&f->s.now, 5));
	sim_store_start(&f->s, 101, 1001 * MINUTE);
	position = commit(f,
	    &(struct sync_batch){ .changes = &c,
		.count = 1,
		.rows = &row,
		.row_count = 1 });
	sim_sync(&f->s);
	assert_true(f->ops.ops->durable(&f->s) >= position);
	sim_crash(&f->s, true);
	assert_non_null(find(&f->s.now, "x"));
	assert_int_equal(sim_row(&f->s.now, 5)->vv, 9);
}

static void
the_tree_is_an_earlier_state_with_perhaps_newer_records(void **state)
{
	struct fixture *f = *state;
	uint64_t since = 0, head;

	put(f, "x", "1");
	sim_sync(&f->s);
	sim_checkpoint(&f->s, UINT_MAX);
	head = f->ops.ops->tree_head(&f->s);
	assert_int_equal(head, f->ops.ops->head(&f->s));
	put(f, "x", "2");
	put(f, "y", "2");
	assert_false(f->ops.ops->settle(&f->s, &since));
	assert_true(f->s.wants_tree);
	sim_sync(&f->s);
	sim_checkpoint(&f->s, 1);
	assert_true(slice_equal(find(&f->s.tree, "x")->value, slice_of("2")));
	assert_null(find(&f->s.tree, "y"));
	assert_int_equal(f->ops.ops->tree_head(&f->s), head);
	assert_false(f->ops.ops->settle(&f->s, &since));
	sim_checkpoint(&f->s, UINT_MAX);
	assert_true(f->ops.ops->settle(&f->s, &since));
	assert_non_null(find(&f->s.tree, "y"));
}

static void
a_range_has_a_buckets_row_before_its_records(void **state)
{
	struct fixture *f = *state;
	uint64_t bid = sim_bucket_id(slice_of("a"));
	struct kv_slice none = { "", 0 };
	struct sync_item item;

	put(f, "x", "1");
	put(f, "y", "1");
	sim_sync(&f->s);
	sim_checkpoint(&f->s, UINT_MAX);
	assert_int_equal(f->ops.ops->refresh(&f->s), KV_OK);
	assert_int_equal(f->ops.ops->range(&f->s, 0, none, false, &item),
	    KV_OK);
	assert_int_equal(item.record.type, RECORD_BUCKET);
	assert_int_equal(f->ops.ops->range(&f->s, bid, none, true, &item),
	    KV_OK);
	assert_true(slice_equal(item.record.key, slice_of("x")));
	assert_int_equal(f->ops.ops->range(&f->s, bid, slice_of("x"), true,
			     &item),
	    KV_OK);
	assert_true(slice_equal(item.record.key, slice_of("y")));
	assert_int_equal(f->ops.ops->range(&f->s, bid, slice_of("y"), true,
			     &item),
	    KV_ENOTFOUND);
	f->ops.ops->release(&f->s);
}

static void
an_old_tombstone_goes_unless_something_older_is_missing(void **state)
{
	struct fixture *f = *state;
	struct sync_row row = { .inc = 5, .vv = 1, .announced = 2 };

	put(f, "x", "1");
	assert_int_equal(sim_del(&f->s, slice_of("a"), slice_of("x")), KV_OK);
	commit(f, &(struct sync_batch){ .rows = &row, .row_count = 1 });
	sim_sync(&f->s);
	sim_checkpoint(&f->s, UINT_MAX);
	sim_purge(&f->s, UINT64_MAX);
	assert_non_null(find(&f->s.now, "x"));
	row.vv = row.announced;
	commit(f, &(struct sync_batch){ .rows = &row, .row_count = 1 });
	sim_sync(&f->s);
	sim_checkpoint(&f->s, UINT_MAX);
	sim_purge(&f->s, UINT64_MAX);
	assert_null(find(&f->s.now, "x"));
	assert_int_equal(f->ops.ops->purges(&f->s), 1);
	assert_true(sim_row(&f->s.now, 100)->purged > 0);
}

static void
a_full_log_takes_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t position, before = f->s.now.position;
	struct sync_change c = foreign("x", 4, 5);
	struct sync_batch b = { .changes = &c, .count = 1 };

	f->s.refuse = KV_EAGAIN;
	assert_int_equal(f->ops.ops->refresh(&f->s), KV_OK);
	assert_int_equal(f->ops.ops->commit(&f->s, &b, &position), KV_EAGAIN);
	f->ops.ops->release(&f->s);
	assert_null(find(&f->s.now, "x"));
	assert_int_equal(f->s.now.position, before);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(by_seq_hands_out_each_key_once_and_nothing_local),
		TEST(
		    the_higher_stamp_wins_and_what_replaces_our_own_is_handed_on),
		TEST(an_erased_record_is_a_tombstone_of_the_same_stamp),
		TEST(power_takes_what_was_not_synced_data_and_claims_together),
		TEST(the_tree_is_an_earlier_state_with_perhaps_newer_records),
		TEST(a_range_has_a_buckets_row_before_its_records),
		TEST(an_old_tombstone_goes_unless_something_older_is_missing),
		TEST(a_full_log_takes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
