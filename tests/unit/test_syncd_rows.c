/* SPDX-License-Identifier: ISC */
/* What kv-syncd knows of incarnations, and what it commits. */

#include "syncd_rig.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/buf.h"
#include "engine/maintain.h"

struct find {
	uint64_t inc;
	struct sync_row row;
	unsigned found, all;
};

static int
find_row(void *user, const struct sync_row *row)
{
	struct find *f = user;

	f->all++;
	if (row->inc == f->inc) {
		f->row = *row;
		f->found++;
	}
	return KV_OK;
}

static struct sync_row
row_of(bool tree, uint64_t inc)
{
	struct find f = { .inc = inc };

	syncd_refresh();
	assert_int_equal(syncd_rig.s.ops->rows(syncd_rig.s.self, tree, find_row,
			     &f),
	    KV_OK);
	syncd_release();
	assert_in_range(f.found, 0, 1);
	return f.row;
}

static int
stop_at_once(void *user, const struct sync_row *row)
{
	(void)row;
	++*(unsigned *)user;
	return KV_EINVAL;
}

static void
rows_go_into_the_tree_with_their_data(void **state)
{
	const struct sync_row row = { 7, 11, 12, 13, 14, 15, 16, 17 };
	struct sync_change put = syncd_change_put("k", 5, 7, "v");
	const struct sync_batch b = { .changes = &put,
		.count = 1,
		.rows = &row,
		.row_count = 1 };
	struct sync_item item;
	struct sync_row found;
	unsigned calls = 0;
	int rc;

	(void)state;
	assert_int_equal(syncd_commit(&b), KV_OK);
	found = row_of(false, 7);
	assert_memory_equal(&found, &row, sizeof(row));
	assert_int_equal(row_of(true, 7).inc, 0);
	syncd_refresh();
	rc = syncd_rig.s.ops->range(syncd_rig.s.self, 0, slice_of(""), false,
	    &item);
	assert_int_equal(rc, KV_ENOTFOUND);
	syncd_release();
	syncd_settle();
	found = row_of(true, 7);
	assert_memory_equal(&found, &row, sizeof(row));
	syncd_refresh();
	rc = syncd_rig.s.ops->range(syncd_rig.s.self, 0, slice_of(""), false,
	    &item);
	assert_int_equal(rc, KV_OK);
	assert_true(slice_equal(item.record.key, slice_of("k")));
	assert_int_equal(item.record.stamp.tick, 5);
	assert_true(
	    syncd_rig.s.ops->tree_head(syncd_rig.s.self) >= item.record.seq);
	rc = syncd_rig.s.ops->rows(syncd_rig.s.self, false, stop_at_once,
	    &calls);
	assert_int_equal(rc, KV_EINVAL);
	assert_int_equal(calls, 1);
	syncd_release();
}

static void
the_newest_row_counts_after_a_restart_from_log_or_tree(void **state)
{
	unsigned i;

	(void)state;
	for (i = 1; i < 9; i++) {
		syncd_commit_row((struct sync_row){ .inc = 7, .vv = i });
		syncd_commit_row((struct sync_row){ .inc = 8, .own = 10 * i });
		if (i % 3 == 0)
			syncd_settle();
		syncd_store_free(syncd_rig.store);
		assert_int_equal(syncd_store_new(syncd_rig.engine,
				     &syncd_rig.store),
		    KV_OK);
		syncd_rig.s = syncd_store_ops(syncd_rig.store);
		assert_int_equal(row_of(false, 7).vv, i);
		assert_int_equal(row_of(false, 8).own, 10 * i);
	}
}

static void
commit_note(const char *name, const char *value)
{
	const struct sync_batch b = { .note_name = slice_of(name),
		.note_value = slice_of(value) };

	assert_int_equal(syncd_commit(&b), KV_OK);
}

static bool
note_is(const char *name, const char *want)
{
	struct kv_slice value;
	bool is;
	int rc;

	syncd_refresh();
	rc = syncd_rig.s.ops->note(syncd_rig.s.self, slice_of(name), &value);
	is = want == NULL ? rc == KV_ENOTFOUND
			  : rc == KV_OK && slice_equal(value, slice_of(want));
	syncd_release();
	return is;
}

static void
a_note_is_kept_replaced_and_removed(void **state)
{
	(void)state;
	assert_true(note_is("resync", NULL));
	commit_note("resync", "one");
	assert_true(note_is("resync", "one"));
	assert_true(note_is("resyn", NULL));
	syncd_settle();
	assert_true(note_is("resync", "one"));
	commit_note("resync", "another");
	assert_true(note_is("resync", "another"));
	commit_note("resync", "");
	assert_true(note_is("resync", NULL));
	syncd_settle();
	assert_true(note_is("resync", NULL));
	syncd_commit_row((struct sync_row){ .inc = 7, .vv = 3 });
	assert_int_equal(row_of(false, 7).vv, 3);
}

static void
a_new_life_knows_all_that_its_last_one_wrote(void **state)
{
	uint64_t inc = syncd_store_self(syncd_rig.store)->inc, tick;
	struct kv_slice lineage;

	(void)state;
	syncd_local_bucket("b", BUCKET_STAYS);
	tick = syncd_local_write("b", "1", "v").tick;
	syncd_life_ends();
	syncd_life_begins(1000ull * 3600 * 24);
	assert_true(syncd_store_self(syncd_rig.store)->inc != inc);
	assert_true(syncd_store_self(syncd_rig.store)->start > tick);
	lineage = syncd_store_self(syncd_rig.store)->lineage;
	assert_true(lineage.len >= 16);
	assert_true(row_of(false, inc).vv >= tick);
	assert_true(
	    row_of(false, inc).vv < syncd_store_self(syncd_rig.store)->start);
	assert_true(row_of(true, inc).vv >= tick);
	assert_int_equal(row_of(false, inc).uid,
	    syncd_store_self(syncd_rig.store)->uid);
	/* Committed once, it stands without the lineage, and no lower. */
	syncd_commit_row((struct sync_row){ .inc = inc, .vv = tick + 1000 });
	assert_int_equal(row_of(false, inc).vv, tick + 1000);
}

static void
what_is_purged_here_shows_in_the_rows(void **state)
{
	uint64_t inc, tick, purges;
	int sleep_ms, i;

	(void)state;
	syncd_life_ends();
	syncd_life_begins(1);
	inc = syncd_store_self(syncd_rig.store)->inc;
	syncd_local_bucket("b", BUCKET_STAYS);
	tick = syncd_local_write("b", "1", NULL).tick;
	syncd_commit_row((struct sync_row){ .inc = inc, .purged = 3 });
	syncd_refresh();
	purges = syncd_rig.s.ops->purges(syncd_rig.s.self);
	syncd_release();
	syncd_settle();
	assert_int_equal(maintain_take(syncd_rig.engine, ROLE_CHECKPOINTER,
			     false),
	    KV_OK);
	for (i = 0; i < 1000 && row_of(false, inc).purged < tick; i++)
		assert_int_equal(checkpoint_step(syncd_rig.engine, false,
				     &sleep_ms),
		    KV_OK);
	maintain_leave(syncd_rig.engine, ROLE_CHECKPOINTER);
	assert_int_equal(row_of(false, inc).purged, tick);
	assert_int_equal(row_of(true, inc).purged, tick);
	syncd_refresh();
	assert_true(syncd_rig.s.ops->purges(syncd_rig.s.self) != purges);
	syncd_release();
}

static void
a_batch_that_cannot_be_leaves_nothing(void **state)
{
	struct sync_change changes[3] = { syncd_change_put("k", 5, 7, "v"),
		syncd_change_put("l", 5, 7, "v"),
		syncd_change_put("m", 5, 7, "v") };
	struct sync_row row = { .inc = 7, .vv = 5 };
	const struct sync_batch b = { .changes = changes,
		.count = 3,
		.rows = &row,
		.row_count = 1 };
	static char large[2u << 20];

	(void)state;
	changes[2].item.record.stamp.tick = UINT64_MAX / 2;
	assert_int_equal(syncd_commit(&b), KV_EINVAL);
	changes[2] = syncd_change_put("m", 5, 7, "v");
	changes[1].item.record.flags = RECORD_LOCAL;
	assert_int_equal(syncd_commit(&b), KV_EINVAL);
	changes[1] = syncd_change_put("l", 5, 7, "v");
	changes[2].item.record.value =
	    (struct kv_slice){ large, sizeof(large) };
	assert_int_equal(syncd_commit(&b), KV_ETOOBIG);
	assert_int_equal(row_of(false, 7).vv, 0);
	syncd_refresh();
	assert_int_equal(syncd_rig.s.ops->head(syncd_rig.s.self), 0);
	syncd_release();
	changes[2] = syncd_change_put("m", 5, 7, "v");
	assert_int_equal(syncd_commit(&b), KV_OK);
	assert_int_equal(row_of(false, 7).vv, 5);
}

int
main(void)
{
#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, syncd_set_up, syncd_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(rows_go_into_the_tree_with_their_data),
		TEST(the_newest_row_counts_after_a_restart_from_log_or_tree),
		TEST(a_note_is_kept_replaced_and_removed),
		TEST(a_new_life_knows_all_that_its_last_one_wrote),
		TEST(what_is_purged_here_shows_in_the_rows),
		TEST(a_batch_that_cannot_be_leaves_nothing),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
