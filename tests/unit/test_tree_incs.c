/* SPDX-License-Identifier: ISC */
/* What purging does to the rows of incarnations, and they to it; the walk over
 * all buckets that hosts compare. */

#include "tree/incs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "tree/range.h"
#include "tree_model.h"

static char folder[64];
static struct tree *tree;
static struct model model;

static int
set_up(void **state)
{
	char lineage[32];

	(void)state;
	folder_make(folder);
	tree = folder_open(folder, true);
	model_tell_runs(tree);
	/* Runs of ours before this one. */
	bytes_put_be64(lineage, 7);
	bytes_put_be64(lineage + 8, UINT64_MAX);
	bytes_put_be64(lineage + 16, 8);
	bytes_put_be64(lineage + 24, UINT64_MAX);
	assert_int_equal(apply_meta(tree, "lineage",
			     (struct kv_slice){ lineage, sizeof(lineage) }),
	    KV_OK);
	model_init(&model, 4711);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	tree_close(tree);
	folder_remove(folder);
	return 0;
}

/* ---- purging ----------------------------------------------------------- */

static void
delete_as(unsigned bucket, unsigned key, uint64_t inc)
{
	model_delete(&model, bucket, key);
	model.rows[bucket][key].r.stamp.inc = inc;
}

static void
put_vector(struct schema_vector v)
{
	char key[SCHEMA_INC_KEY], value[SCHEMA_VECTOR_ROW];
	struct record r = { .type = RECORD_POSITION,
		.seq = ++model.seq,
		.key = { key, sizeof(key) },
		.value = { value, sizeof(value) } };
	struct apply a = { .records = &r,
		.count = 1,
		.to = { ++model.checkpointed, model.seq } };

	schema_put_inc(key, 'V', v.inc);
	schema_put_vector(value, &v);
	assert_int_equal(apply_checkpoint(tree, &a), KV_OK);
}

static size_t
purge(void)
{
	size_t done;

	assert_int_equal(apply_purge_tombs(tree, UINT64_MAX, 100, NULL, &done),
	    KV_OK);
	return done;
}

/* Highest tick of inc that was purged, 0: none. */
static uint64_t
purged(uint64_t inc)
{
	char key[SCHEMA_INC_KEY];
	struct record r;
	uint64_t found, tick = 0;
	int rc;

	schema_put_inc(key, 'P', inc);
	assert_int_equal(tree_renew(tree), KV_OK);
	rc = tree_get_position(tree, (struct kv_slice){ key, sizeof(key) }, &r);
	if (rc == KV_OK) {
		assert_int_equal(schema_get_purged(r.key, r.value, &found,
				     &tick),
		    KV_OK);
		assert_int_equal(found, inc);
	} else
		assert_int_equal(rc, KV_ENOTFOUND);
	tree_release(tree);
	return tick;
}

static uint64_t
purges(void)
{
	struct kv_slice row;
	uint64_t n = 0;

	assert_int_equal(tree_renew(tree), KV_OK);
	if (tree_meta_get(tree, "purges", &row) == KV_OK)
		n = bytes_get_be64(row.data);
	tree_release(tree);
	return n;
}

static void
the_highest_purged_tick_of_each_incarnation_is_kept(void **state)
{
	uint64_t seven, eight, before;

	(void)state;
	delete_as(0, 1, 7);
	delete_as(0, 2, 8);
	eight = model.seq;
	delete_as(1, 1, 7);
	seven = model.seq;
	model_apply(tree, &model, 0);
	before = purges();
	assert_int_equal(purge(), 3);
	assert_int_equal(purged(7), seven);
	assert_int_equal(purged(8), eight);
	assert_int_equal(purged(9), 0);
	assert_int_equal(purges(), before + 3);
	assert_int_equal(purge(), 0);
	assert_int_equal(purges(), before + 3);
	assert_int_equal(tree_check_all(tree, NULL), 0);
}

static void
an_older_purge_later_does_not_lower_it(void **state)
{
	uint64_t high;

	(void)state;
	delete_as(0, 1, 7);
	delete_as(0, 2, 7);
	high = model.seq;
	/* The older of the two lies under a deadline and goes last. */
	model.rows[0][1].r.deadline = (model.seq >> 16) + 5000;
	model.rows[0][1].r.flags |= RECORD_DEADLINE | RECORD_EXPIRED;
	model_apply(tree, &model, 0);
	assert_int_equal(purge(), 2);
	assert_int_equal(purged(7), high);
}

static void
tombstones_of_local_buckets_and_what_a_drop_hides_are_not_told(void **state)
{
	size_t done;

	(void)state;
	delete_as(MODEL_BUCKETS - 1, 1, 7);
	model_apply(tree, &model, 0);
	assert_int_equal(purge(), 1);
	assert_int_equal(purged(7), 0);
	delete_as(0, 1, 7);
	model_drop(&model, 0);
	model_apply(tree, &model, 0);
	do
		assert_int_equal(apply_purge_dropped(tree, 100, &done), KV_OK);
	while (done > 0);
	assert_int_equal(purge(), 0);
	assert_int_equal(purged(7), 0);
}

static void
no_tombstone_goes_past_what_is_known_to_be_missing(void **state)
{
	uint64_t first, second;

	(void)state;
	delete_as(0, 1, 7);
	first = model.seq;
	delete_as(0, 2, 7);
	second = model.seq;
	model_apply(tree, &model, 0);
	put_vector((struct schema_vector){ .inc = 8,
	    .vv = first,
	    .announced = second });
	put_vector((struct schema_vector){ .inc = 9,
	    .vv = second + 5,
	    .announced = second + 9 });
	/* A closed one says nothing. */
	put_vector(
	    (struct schema_vector){ .inc = 10, .vv = 5, .announced = 5 });
	assert_int_equal(purge(), 1);
	assert_int_equal(purged(7), first);
	put_vector((struct schema_vector){ .inc = 8,
	    .vv = second,
	    .announced = second });
	assert_int_equal(purge(), 1);
	assert_int_equal(purged(7), second);
}

static void
our_own_run_has_no_gap(void **state)
{
	(void)state;
	delete_as(0, 1, 7);
	model_apply(tree, &model, 0);
	put_vector((struct schema_vector){ .inc = MODEL_INC, .announced = 1 });
	assert_int_equal(purge(), 1);
}

/* Or peers would be told of a purged delete that nobody can claim. */
static void
a_tombstone_past_its_runs_vector_waits_and_keeps_no_other(void **state)
{
	struct purge_place place = { 0, 0 };
	uint64_t seen, later, own;
	size_t done;

	(void)state;
	delete_as(0, 1, 11);
	seen = model.seq;
	delete_as(0, 2, 11);
	later = model.seq;
	delete_as(0, 3, 12);
	delete_as(0, 4, MODEL_INC);
	own = model.seq;
	model_apply(tree, &model, 0);
	assert_int_equal(apply_seen(tree, 11, seen), KV_OK);
	assert_int_equal(apply_seen(tree, 11, seen - 1), KV_OK);
	assert_int_equal(purge(), 2);
	assert_int_equal(purged(11), seen);
	assert_int_equal(purged(MODEL_INC), own);
	assert_int_equal(purged(12), 0);
	/* In small pieces, over those that stay, to the end. */
	delete_as(0, 5, 7);
	model_apply(tree, &model, 0);
	assert_int_equal(apply_purge_tombs(tree, UINT64_MAX, 2, &place, &done),
	    KV_OK);
	assert_int_equal(done, 0);
	assert_true(place.seq > later);
	assert_int_equal(apply_purge_tombs(tree, UINT64_MAX, 2, &place, &done),
	    KV_OK);
	assert_int_equal(done, 1);
	assert_int_equal(place.seq, 0);
	assert_int_equal(apply_seen(tree, 11, later), KV_OK);
	assert_int_equal(purge(), 1);
	assert_int_equal(tree_check_all(tree, NULL), 0);
}

/* ---- ranges ------------------------------------------------------------ */

/* A row of a bucket stands at its empty key. */
static struct kv_slice
place_key(const struct record *r)
{
	return r->type == RECORD_BUCKET ? (struct kv_slice){ "", 0 } : r->key;
}

static int
place_compare(uint64_t bid, struct kv_slice key, const struct record *r)
{
	if (bid != r->bid)
		return bid < r->bid ? -1 : 1;
	return slice_compare(key, place_key(r));
}

/* The first of all that are not local, at or past the place, the naive way. */
static const struct record *
first_of(const struct record *all, size_t n, uint64_t bid, struct kv_slice key,
    bool after)
{
	const struct record *found = NULL;
	size_t i;

	for (i = 0; i < n; i++) {
		int order = place_compare(bid, key, &all[i]);

		if (all[i].flags & RECORD_LOCAL || order > 0 ||
		    (after && order == 0))
			continue;
		if (found == NULL ||
		    place_compare(all[i].bid, place_key(&all[i]), found) < 0)
			found = &all[i];
	}
	return found;
}

static void
check_step(struct tree_range *range, const struct record *all, size_t n,
    uint64_t bid, struct kv_slice key, bool after)
{
	const struct record *want = first_of(all, n, bid, key, after);
	struct record r;
	int rc = tree_range_next(range, bid, key, after, &r);

	assert_int_equal(rc, want == NULL ? KV_ENOTFOUND : KV_OK);
	if (want == NULL)
		return;
	assert_int_equal(r.type, want->type);
	assert_int_equal(r.bid, want->bid);
	assert_int_equal(r.seq, want->seq);
	assert_true(slice_equal(r.key, want->key));
	assert_true(slice_equal(r.value, want->value));
}

static void
a_range_goes_on_from_any_place_over_all_but_local_buckets(void **state)
{
	struct record all[MODEL_RECORDS], r;
	struct totals sums[MODEL_BUCKETS];
	struct buf bytes = { 0 };
	struct tree_range *range;
	struct kv_slice key = { "", 0 };
	uint64_t bid = 0, steps = 0;
	bool after = false;
	size_t n, i;

	(void)state;
	model.random = test_seed("range");
	model_write(&model, 300);
	model_apply(tree, &model, 0);
	n = model_all(&model, all, sums, &bytes);
	assert_int_equal(tree_renew(tree), KV_OK);
	assert_int_equal(tree_range_open(tree, &range), KV_OK);
	while (tree_range_next(range, bid, key, after, &r) == KV_OK) {
		check_step(range, all, n, bid, key, after);
		bid = r.bid;
		key = place_key(&r);
		after = true;
		steps++;
	}
	for (i = 0; i < n; i++)
		steps -= !(all[i].flags & RECORD_LOCAL);
	assert_int_equal(steps, 0);
	for (i = 0; i < 3000; i++) {
		const struct record *at = &all[tree_model_random(&model, n)];
		uint64_t what = tree_model_random(&model, 10);

		key = what < 7 ? place_key(at) : slice_of(what < 9 ? "" : "1");
		check_step(range, all, n, at->bid + (what == 8), key,
		    tree_model_random(&model, 2) == 0);
	}
	tree_range_close(range);
	tree_release(tree);
	buf_fini(&bytes);
}

static void
an_empty_tree_has_no_range_and_no_seq(void **state)
{
	struct tree_range *range;
	struct record r;
	uint64_t seq;

	(void)state;
	assert_int_equal(tree_renew(tree), KV_OK);
	assert_int_equal(tree_range_open(tree, &range), KV_OK);
	assert_int_equal(tree_range_next(range, 0, slice_of(""), false, &r),
	    KV_ENOTFOUND);
	assert_int_equal(tree_range_next(range, UINT64_MAX, slice_of("x"), true,
			     &r),
	    KV_ENOTFOUND);
	assert_int_equal(tree_last_seq(tree, &seq), KV_OK);
	assert_int_equal(seq, 0);
	tree_range_close(range);
	tree_release(tree);
}

static void
the_last_seq_is_of_what_others_may_want(void **state)
{
	uint64_t want, seq;

	(void)state;
	model_put(&model, 0, 1, 0);
	want = model.seq;
	model_put(&model, MODEL_BUCKETS - 1, 1, 0);
	model_apply(tree, &model, 0);
	assert_int_equal(tree_renew(tree), KV_OK);
	assert_int_equal(tree_last_seq(tree, &seq), KV_OK);
	assert_int_equal(seq, want);
	tree_release(tree);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		T(the_highest_purged_tick_of_each_incarnation_is_kept),
		T(an_older_purge_later_does_not_lower_it),
		T(tombstones_of_local_buckets_and_what_a_drop_hides_are_not_told),
		T(no_tombstone_goes_past_what_is_known_to_be_missing),
		T(our_own_run_has_no_gap),
		T(a_tombstone_past_its_runs_vector_waits_and_keeps_no_other),
		T(a_range_goes_on_from_any_place_over_all_but_local_buckets),
		T(an_empty_tree_has_no_range_and_no_seq),
		T(the_last_seq_is_of_what_others_may_want),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
