/* SPDX-License-Identifier: ISC */
/* Buckets of this host alone beside those that all hosts have. */

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "engine/foreign.h"
#include "engine/maintain.h"
#include "engine/scan.h"
#include "engine/trail.h"
#include "engine_model.h"
#include "tree/range.h"

#define NAMES 6
#define ROUNDS 400 /* of a random walk */

static struct model_shared *m;
static struct engine *e;

static void
print_finding(void *user, const char *line)
{
	(void)user;
	print_error("verify: %s\n", line);
}

static void
refresh(void)
{
	assert_int_equal(engine_refresh(e), KV_OK);
}

/* All there is moves into the tree. */
static void
settle(void)
{
	engine_release(e);
	assert_int_equal(maintain_settle(e), KV_OK);
	refresh();
}

/* Closed in order, and opened by the next one. */
static void
reopen(void)
{
	engine_release(e);
	assert_int_equal(engine_verify(e, print_finding, NULL, NULL), 0);
	engine_close(e);
	e = model_open(m, DURABILITY_EVERYSEC);
	refresh();
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
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	engine_release(e);
	assert_int_equal(engine_verify(e, print_finding, NULL, NULL), 0);
	engine_close(e);
	model_free(m);
	return 0;
}

static void
create(const char *name, uint32_t options)
{
	assert_int_equal(engine_create(e, slice_of(name),
			     BUCKET_STAYS | options),
	    KV_OK);
}

static void
put(const char *name, const char *value)
{
	const struct bucket *b;

	assert_int_equal(engine_bucket(e, slice_of(name), &b), KV_OK);
	assert_int_equal(engine_put(e, b, slice_of("k"), slice_of(value), 0),
	    KV_OK);
}

static void
expect_in(const struct bucket *b, const char *value)
{
	struct totals sums;
	struct record r;

	assert_int_equal(engine_get(e, b, slice_of("k"), &r), KV_OK);
	assert_true(slice_equal(r.value, slice_of(value)));
	assert_int_equal(engine_totals(e, b, &sums), KV_OK);
	assert_int_equal(sums.keys, 1);
	assert_int_equal(sums.bytes, 1 + strlen(value));
}

static void
expect(const char *name, const char *value)
{
	const struct bucket *b;

	assert_int_equal(engine_bucket(e, slice_of(name), &b), KV_OK);
	expect_in(b, value);
}

static void
expect_scope(enum scope scope, const char *name, const char *value)
{
	const struct bucket *b;

	assert_int_equal(engine_bucket_in(e, scope, slice_of(name), &b), KV_OK);
	assert_int_equal(scope_of_id(b->bid), scope);
	assert_int_equal(!!(b->options & BUCKET_LOCAL), scope == SCOPE_LOCAL);
	expect_in(b, value);
}

static void
of_two_buckets_of_one_name_the_local_one_is_meant(void **state)
{
	const struct bucket *b;
	int i;

	(void)state;
	create("x", 0);
	put("x", "all");
	commit();
	create("x", BUCKET_LOCAL);
	put("x", "here");
	commit();
	create("x", 0); /* it is there */
	create("x", BUCKET_LOCAL);
	assert_int_equal(engine_staged(e), 0);
	for (i = 0; i < 3; i++) {
		expect("x", "here");
		expect_scope(SCOPE_LOCAL, "x", "here");
		expect_scope(SCOPE_GLOBAL, "x", "all");
		if (i == 0)
			settle();
		if (i == 1)
			reopen();
	}
	assert_int_equal(engine_drop(e, slice_of("x")), KV_OK);
	expect("x", "all"); /* as it will be */
	commit();
	expect("x", "all");
	assert_int_equal(engine_bucket_in(e, SCOPE_LOCAL, slice_of("x"), &b),
	    KV_ENOTFOUND);
	reopen();
	expect("x", "all");
	assert_int_equal(engine_drop(e, slice_of("x")), KV_OK);
	commit();
	assert_int_equal(engine_bucket(e, slice_of("x"), &b), KV_ENOTFOUND);
	assert_int_equal(engine_drop(e, slice_of("x")), KV_ENOTFOUND);
	create("x", BUCKET_LOCAL);
	commit();
	assert_int_equal(engine_bucket(e, slice_of("x"), &b), KV_OK);
	assert_int_equal(scope_of_id(b->bid), SCOPE_LOCAL);
	put("x", "again");
	commit();
	expect("x", "again");
}

static void
names_mean_at_once_what_a_batch_makes_of_them(void **state)
{
	const struct bucket *b;

	(void)state;
	create("x", BUCKET_LOCAL);
	put("x", "here");
	expect("x", "here");
	assert_int_equal(engine_drop(e, slice_of("x")), KV_OK);
	assert_int_equal(engine_bucket(e, slice_of("x"), &b), KV_ENOTFOUND);
	create("x", 0);
	assert_int_equal(engine_bucket(e, slice_of("x"), &b), KV_OK);
	assert_int_equal(scope_of_id(b->bid), SCOPE_GLOBAL);
	put("x", "all");
	create("x", BUCKET_LOCAL);
	put("x", "here");
	engine_rollback(e);
	assert_int_equal(engine_bucket(e, slice_of("x"), &b), KV_ENOTFOUND);
	create("x", 0);
	put("x", "all");
	create("x", BUCKET_LOCAL);
	put("x", "here");
	commit();
	expect("x", "here");
	expect_scope(SCOPE_GLOBAL, "x", "all");
}

/* ---- replication ---- */

static int
merge(struct foreign f)
{
	uint64_t end;

	return foreign_commit(e, &f, 1, &end);
}

static struct foreign
foreign_row(const char *name, uint64_t created, uint64_t dropped)
{
	return (struct foreign){ .how = FOREIGN_MERGE,
		.record = { .type = RECORD_BUCKET, .key = slice_of(name) },
		.bucket = { .created = { created, 7 },
		    .dropped = { dropped, 7 },
		    .options = BUCKET_STAYS } };
}

static struct foreign
foreign_put(uint64_t bid, uint64_t tick, const char *value)
{
	return (struct foreign){ .how = FOREIGN_MERGE,
		.record = { .type = RECORD_PUT,
		    .stamp = { tick, 7 },
		    .bid = bid,
		    .key = slice_of("k"),
		    .value = slice_of(value) } };
}

static void
what_comes_behind_a_local_name_is_seen_after_its_drop(void **state)
{
	uint64_t bid = engine_bucket_id(slice_of("x"));

	(void)state;
	create("x", BUCKET_LOCAL);
	put("x", "here");
	commit();
	assert_int_equal(merge(foreign_put(bid, 6, "theirs")), KV_OK);
	assert_int_equal(merge(foreign_row("x", 5, 0)), KV_OK);
	expect("x", "here");
	expect_scope(SCOPE_GLOBAL, "x", "theirs");
	assert_int_equal(merge(foreign_row("x", 8, 7)), KV_OK);
	expect("x", "here");
	assert_int_equal(merge(foreign_put(bid, 9, "newer")), KV_OK);
	reopen();
	expect("x", "here");
	assert_int_equal(engine_drop(e, slice_of("x")), KV_OK);
	commit();
	expect("x", "newer");
}

static void
ids_and_names_of_local_buckets_are_refused_from_elsewhere(void **state)
{
	struct foreign f = foreign_put(SCOPE_LOCAL_IDS, 6, "v");
	char room[SCOPE_NAME_MAX];
	struct kv_slice row_name =
	    scope_row_name(SCOPE_LOCAL, slice_of("x"), room);

	(void)state;
	assert_int_equal(merge(f), KV_EINVAL);
	f.record.bid = engine_bucket_id(row_name);
	assert_int_equal(scope_of_id(f.record.bid), SCOPE_LOCAL);
	assert_int_equal(merge(f), KV_EINVAL);
	f.record.bid = SCOPE_LOCAL_IDS - 1;
	assert_int_equal(merge(f), KV_OK);
	f = foreign_row("x", 5, 0);
	f.record.key = row_name;
	assert_int_equal(merge(f), KV_EINVAL);
	f = foreign_row("x", 5, 0);
	f.bucket.options |= BUCKET_LOCAL;
	assert_int_equal(merge(f), KV_EINVAL);
}

/* What replication is shown of the store, by seq and by range. */
static void
expect_nothing_local(size_t by_seq, size_t by_range)
{
	struct trail_view view = { 0 };
	struct trail at = { 0, 0 };
	struct tree_range *range;
	struct record r = { .bid = 0 };
	bool after = false;
	size_t n = 0;

	for (; trail_next(e, &view, &at, &r) == KV_OK; n++)
		assert_int_equal(scope_of_id(r.bid), SCOPE_GLOBAL);
	trail_end(&view);
	assert_int_equal(n, by_seq);
	assert_int_equal(tree_range_open(engine_tree(e), &range), KV_OK);
	r = (struct record){ .bid = 0 };
	for (n = 0;
	     tree_range_next(range, r.bid,
		 r.type == RECORD_BUCKET ? (struct kv_slice){ "", 0 } : r.key,
		 after, &r) == KV_OK;
	     n++) {
		assert_int_equal(scope_of_id(r.bid), SCOPE_GLOBAL);
		after = true;
	}
	tree_range_close(range);
	assert_int_equal(n, by_range);
}

static void
replication_is_shown_nothing_of_local_buckets(void **state)
{
	(void)state;
	create("a", BUCKET_LOCAL);
	put("a", "here");
	create("x", 0);
	put("x", "all");
	create("x", BUCKET_LOCAL);
	put("x", "here");
	commit();
	expect_nothing_local(2, 0);
	settle();
	expect_nothing_local(2, 2);
	assert_int_equal(engine_drop(e, slice_of("x")), KV_OK);
	commit();
	expect_nothing_local(2, 2);
	settle();
	expect_nothing_local(2, 2);
}

/* ---- walks ---- */

struct naive {
	bool live[2][NAMES]; /* by enum scope */
};

static const char *const names[NAMES] = { "a", "\001b", "b", "m", "z/1",
	"\xff" };

/* The names in order, local before global. */
static void
expect_walk(const struct naive *want, bool also_shadowed, size_t from)
{
	static const size_t order[NAMES] = { 1, 0, 2, 3, 4, 5 };
	struct record r;
	struct scan *s;
	size_t i;

	assert_int_equal(scan_open_buckets(e, &s), KV_OK);
	if (also_shadowed)
		scan_also_shadowed(s);
	if (from > 0)
		assert_int_equal(scan_seek(s, slice_of(names[order[from]])),
		    KV_OK);
	for (i = from; i < NAMES; i++) {
		size_t n = order[i];

		if (want->live[SCOPE_LOCAL][n]) {
			assert_int_equal(scan_next(s, &r), KV_OK);
			assert_true(slice_equal(r.key, slice_of(names[n])));
			assert_int_equal(scope_of_id(r.bid), SCOPE_LOCAL);
		}
		if (want->live[SCOPE_GLOBAL][n] &&
		    (also_shadowed || !want->live[SCOPE_LOCAL][n])) {
			assert_int_equal(scan_next(s, &r), KV_OK);
			assert_true(slice_equal(r.key, slice_of(names[n])));
			assert_int_equal(scope_of_id(r.bid), SCOPE_GLOBAL);
		}
	}
	assert_int_equal(scan_next(s, &r), KV_ENOTFOUND);
	scan_close(s);
}

static void
walk_step(struct naive *now)
{
	size_t n = model_random(m, NAMES);
	enum scope scope = model_random(m, 2) ? SCOPE_LOCAL : SCOPE_GLOBAL;
	uint32_t options = scope == SCOPE_LOCAL ? BUCKET_LOCAL : 0;
	struct kv_slice name = slice_of(names[n]);

	if (now->live[scope][n] && model_random(m, 2) == 0)
		assert_int_equal(engine_drop_in(e, scope, name), KV_OK);
	else if (!now->live[scope][n])
		assert_int_equal(engine_create_in(e, scope, name,
				     BUCKET_STAYS | options),
		    KV_OK);
	else
		return;
	now->live[scope][n] = !now->live[scope][n];
}

static void
walks_show_each_name_once_and_both_buckets_when_asked(void **state)
{
	struct naive now = { 0 }, kept;
	unsigned i;

	(void)state;
	for (i = 0; i < ROUNDS; i++) {
		kept = now;
		walk_step(&now);
		if (model_random(m, 2) == 0)
			walk_step(&now);
		expect_walk(&now, model_random(m, 2), 0);
		expect_walk(&now, model_random(m, 2), model_random(m, NAMES));
		if (model_random(m, 5) == 0) {
			engine_rollback(e);
			now = kept;
		} else {
			commit();
		}
		expect_walk(&now, model_random(m, 2), 0);
		if (model_random(m, 40) == 0)
			reopen();
		else if (model_random(m, 20) == 0)
			settle();
	}
}

/* In stores of an older make. */
static void
a_local_bucket_with_a_global_id_goes_on_as_it_was(void **state)
{
	const struct bucket *b;

	(void)state;
	assert_int_equal(engine_create_in(e, SCOPE_GLOBAL, slice_of("x"),
			     BUCKET_STAYS | BUCKET_LOCAL),
	    KV_OK);
	put("x", "here");
	commit();
	reopen();
	expect("x", "here");
	create("x", BUCKET_LOCAL); /* it is */
	create("x", 0);
	assert_int_equal(engine_staged(e), 0);
	assert_int_equal(merge(foreign_row("x", 5, 0)), KV_OK);
	assert_int_equal(merge(foreign_put(engine_bucket_id(slice_of("x")),
			     UINT64_MAX >> 20, "theirs")),
	    KV_OK);
	expect("x", "here");
	expect_nothing_local(0, 0);
	/* Dropped and made again it has an id of its own. */
	assert_int_equal(engine_drop(e, slice_of("x")), KV_OK);
	create("x", BUCKET_LOCAL);
	commit();
	assert_int_equal(engine_bucket(e, slice_of("x"), &b), KV_OK);
	assert_int_equal(scope_of_id(b->bid), SCOPE_LOCAL);
}

static void
a_name_is_as_long_as_any_other(void **state)
{
	char text[KV_BUCKET_MAX + 2];
	const struct bucket *b;

	(void)state;
	memset(text, 'n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(engine_create(e, slice_of(text), BUCKET_LOCAL),
	    KV_ETOOBIG);
	text[KV_BUCKET_MAX] = '\0';
	create(text, BUCKET_LOCAL);
	put(text, "here");
	commit();
	reopen();
	expect(text, "here");
	assert_int_equal(engine_bucket_in(e, SCOPE_GLOBAL, slice_of(text), &b),
	    KV_ENOTFOUND);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(of_two_buckets_of_one_name_the_local_one_is_meant),
		TEST(names_mean_at_once_what_a_batch_makes_of_them),
		TEST(what_comes_behind_a_local_name_is_seen_after_its_drop),
		TEST(ids_and_names_of_local_buckets_are_refused_from_elsewhere),
		TEST(replication_is_shown_nothing_of_local_buckets),
		TEST(walks_show_each_name_once_and_both_buckets_when_asked),
		TEST(a_local_bucket_with_a_global_id_goes_on_as_it_was),
		TEST(a_name_is_as_long_as_any_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
