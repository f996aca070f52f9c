/* SPDX-License-Identifier: ISC */
/* The engine as replication sees it. */

#include "syncd/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/rng.h"
#include "engine/maintain.h"

#define KEYS 60
#define CURSORS 3
#define STEPS 1200

static char dir[48], shm[48];
static struct engine *engine;
static struct syncd_store *store;
static struct sync_store s;
static uint64_t seed;

static uint32_t
pick(uint32_t below)
{
	return (uint32_t)(rng_next(&seed) >> 11) % below;
}

static void
life_begins(uint64_t retention_ms)
{
	const struct engine_options o = { .dir = dir,
		.shm_dir = shm,
		.segment_size = 1u << 20,
		.map_size = 1ull << 28,
		.retention_ms = retention_ms,
		.durability = DURABILITY_EVERYSEC,
		.role = ROLE_LIBRARY };

	assert_int_equal(engine_open(&o, &engine), KV_OK);
	assert_int_equal(syncd_store_new(engine, &store), KV_OK);
	s = syncd_store_ops(store);
}

static void
life_ends(void)
{
	syncd_store_free(store);
	engine_close(engine);
}

static int
set_up(void **state)
{
	const char *given = getenv("KV_SEED");

	(void)state;
	log_init("test", LOG_LEVEL_ERROR);
	seed = given != NULL ? strtoull(given, NULL, 10) : rng_u64() | 1;
	printf("seed %llu (KV_SEED)\n", (unsigned long long)seed);
	strcpy(dir, "/tmp/kv-test-syncd.XXXXXX");
	strcpy(shm, "/dev/shm/kv-test-syncd.XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_non_null(mkdtemp(shm));
	life_begins(1000ull * 3600 * 24);
	return 0;
}

static int
tear_down(void **state)
{
	char line[1024];

	(void)state;
	life_ends();
	snprintf(line, sizeof(line), "rm -rf %s %s", dir, shm);
	assert_int_equal(system(line), 0);
	return 0;
}

static void
refresh(void)
{
	assert_int_equal(s.ops->refresh(s.self), KV_OK);
}

static void
release(void)
{
	s.ops->release(s.self);
}

static void
settle(void)
{
	assert_int_equal(maintain_settle(engine), KV_OK);
}

/* ---- writing ---- */

static void
local_bucket(const char *name, uint32_t options)
{
	uint64_t end;

	refresh();
	assert_int_equal(engine_create(engine, slice_of(name), options), KV_OK);
	assert_int_equal(engine_commit(engine, &end), KV_OK);
	release();
}

/* NULL: delete. */
static struct stamp
local_write(const char *bucket, const char *key, const char *value)
{
	const struct bucket *b;
	struct record r;
	uint64_t end;
	int rc;

	refresh();
	assert_int_equal(engine_bucket(engine, slice_of(bucket), &b), KV_OK);
	rc = value == NULL
	    ? engine_delete(engine, b, slice_of(key))
	    : engine_put(engine, b, slice_of(key), slice_of(value), 0);
	assert_int_equal(rc, KV_OK);
	assert_int_equal(engine_commit(engine, &end), KV_OK);
	assert_int_equal(s.ops->get(s.self, engine_bucket_id(slice_of(bucket)),
			     slice_of(key), &r),
	    KV_OK);
	release();
	return r.stamp;
}

static struct sync_change
change_put(const char *key, uint64_t tick, uint64_t inc, const char *value)
{
	return (struct sync_change){ .how = CHANGE_MERGE,
		.item.record = { .type = RECORD_PUT,
		    .stamp = { tick, inc },
		    .bid = engine_bucket_id(slice_of("b")),
		    .key = slice_of(key),
		    .value = slice_of(value) } };
}

static int
commit(const struct sync_batch *b)
{
	uint64_t position = 0;
	int rc;

	refresh();
	rc = s.ops->commit(s.self, b, &position);
	release();
	if (rc == KV_OK)
		assert_true(position > 0);
	return rc;
}

static void
commit_row(struct sync_row row)
{
	const struct sync_batch b = { .rows = &row, .row_count = 1 };

	assert_int_equal(commit(&b), KV_OK);
}

/* ---- by seq ---- */

/* What somebody made of the order who read it from a cursor on. */
struct reader {
	struct sync_cursor at;
	uint64_t last;
	struct stamp newest[KEYS];
};

static void
reader_takes(struct reader *r, const struct sync_item *item)
{
	char text[16];
	unsigned k;

	assert_true(item->record.seq > r->last);
	assert_false(item->record.flags & RECORD_LOCAL);
	r->last = item->record.seq;
	assert_true(r->at.seq == r->last);
	if (item->record.type == RECORD_BUCKET) {
		assert_true(slice_equal(item->record.key, slice_of("b")));
		assert_true(bucket_is_live(&item->bucket));
		return;
	}
	snprintf(text, sizeof(text), "%.*s", (int)item->record.key.len,
	    item->record.key.data);
	k = (unsigned)strtoul(text, NULL, 10);
	assert_in_range(k, 0, KEYS - 1);
	r->newest[k] = item->record.stamp;
}

static void
reader_reads(struct reader *r, unsigned most)
{
	struct sync_item item;
	int rc = KV_OK;

	refresh();
	while (most-- > 0 && (rc = s.ops->next(s.self, &r->at, &item)) == KV_OK)
		reader_takes(r, &item);
	if (rc == KV_ENOTFOUND)
		assert_true(r->at.seq >= s.ops->head(s.self));
	else
		assert_int_equal(rc, KV_OK);
	release();
}

/* Values that fill segments soon, so that the log leaves cursors behind. */
static void
write_at_random(char *value, size_t size)
{
	char key[16];

	snprintf(key, sizeof(key), "%u", pick(KEYS));
	memset(value, 'v', size - 1);
	value[pick((uint32_t)size - 1)] = '\0';
	switch (pick(6)) {
	case 0:
		local_write("local", key, value);
		break;
	case 1:
		local_write("b", key, NULL);
		break;
	case 2:
		commit_row((struct sync_row){ .inc = 7, .vv = pick(1000) });
		break;
	default:
		local_write("b", key, value);
		break;
	}
}

static void
cursors_lose_nothing_while_the_log_moves_into_the_tree(void **state)
{
	struct reader readers[CURSORS] = { 0 };
	static char value[30000];
	struct record r;
	unsigned i, k, settled = 0;
	char key[16];
	int rc;

	(void)state;
	local_bucket("b", BUCKET_STAYS);
	local_bucket("local", BUCKET_STAYS | BUCKET_LOCAL);
	for (i = 0; i < STEPS; i++) {
		write_at_random(value, sizeof(value));
		if (pick(10) == 0)
			reader_reads(&readers[pick(CURSORS)], pick(40));
		/* Before the log is full: four segments of a mebibyte. */
		if (pick(60) == 0 || i - settled == 80) {
			settle();
			settled = i;
		}
		if (pick(40) == 0) /* told a peer, resumed by seq alone */
			readers[pick(CURSORS)].at.place = 0;
	}
	for (i = 0; i < CURSORS; i++) {
		reader_reads(&readers[i], UINT32_MAX);
		refresh();
		for (k = 0; k < KEYS; k++) {
			snprintf(key, sizeof(key), "%u", k);
			rc = s.ops->get(s.self,
			    s.ops->bucket_id(s.self, slice_of("b")),
			    slice_of(key), &r);
			if (rc == KV_ENOTFOUND)
				r.stamp = (struct stamp){ 0, 0 };
			assert_int_equal(stamp_compare(r.stamp,
					     readers[i].newest[k]),
			    0);
		}
		release();
	}
}

static uint64_t
head(void)
{
	uint64_t seq;

	refresh();
	seq = s.ops->head(s.self);
	release();
	return seq;
}

static void
the_head_is_the_newest_change_and_no_note_or_local_record(void **state)
{
	struct stamp stamp;
	uint64_t end;

	(void)state;
	local_bucket("b", BUCKET_STAYS);
	stamp = local_write("b", "1", "v");
	assert_int_equal(head(), stamp.tick);
	local_bucket("local", BUCKET_STAYS | BUCKET_LOCAL);
	local_write("local", "1", "v");
	commit_row((struct sync_row){ .inc = 7, .vv = 9 });
	refresh();
	assert_int_equal(engine_publish(engine, MESSAGE_CHANNEL, slice_of("c"),
			     slice_of("m")),
	    KV_OK);
	assert_int_equal(engine_commit(engine, &end), KV_OK);
	release();
	assert_int_equal(head(), stamp.tick);
	settle();
	assert_int_equal(head(), stamp.tick);
	life_ends();
	life_begins(1000ull * 3600 * 24);
	assert_int_equal(head(), stamp.tick);
	stamp = local_write("b", "1", NULL);
	assert_int_equal(head(), stamp.tick);
}

/* ---- rows and notes ---- */

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

	refresh();
	assert_int_equal(s.ops->rows(s.self, tree, find_row, &f), KV_OK);
	release();
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
	struct sync_change put = change_put("k", 5, 7, "v");
	const struct sync_batch b = { .changes = &put,
		.count = 1,
		.rows = &row,
		.row_count = 1 };
	struct sync_item item;
	struct sync_row found;
	unsigned calls = 0;
	int rc;

	(void)state;
	assert_int_equal(commit(&b), KV_OK);
	found = row_of(false, 7);
	assert_memory_equal(&found, &row, sizeof(row));
	assert_int_equal(row_of(true, 7).inc, 0);
	refresh();
	rc = s.ops->range(s.self, 0, slice_of(""), false, &item);
	assert_int_equal(rc, KV_ENOTFOUND);
	release();
	settle();
	found = row_of(true, 7);
	assert_memory_equal(&found, &row, sizeof(row));
	refresh();
	rc = s.ops->range(s.self, 0, slice_of(""), false, &item);
	assert_int_equal(rc, KV_OK);
	assert_true(slice_equal(item.record.key, slice_of("k")));
	assert_int_equal(item.record.stamp.tick, 5);
	assert_true(s.ops->tree_head(s.self) >= item.record.seq);
	rc = s.ops->rows(s.self, false, stop_at_once, &calls);
	assert_int_equal(rc, KV_EINVAL);
	assert_int_equal(calls, 1);
	release();
}

static void
the_newest_row_counts_after_a_restart_from_log_or_tree(void **state)
{
	unsigned i;

	(void)state;
	for (i = 1; i < 9; i++) {
		commit_row((struct sync_row){ .inc = 7, .vv = i });
		commit_row((struct sync_row){ .inc = 8, .own = 10 * i });
		if (i % 3 == 0)
			settle();
		syncd_store_free(store);
		assert_int_equal(syncd_store_new(engine, &store), KV_OK);
		s = syncd_store_ops(store);
		assert_int_equal(row_of(false, 7).vv, i);
		assert_int_equal(row_of(false, 8).own, 10 * i);
	}
}

static void
commit_note(const char *name, const char *value)
{
	const struct sync_batch b = { .note_name = slice_of(name),
		.note_value = slice_of(value) };

	assert_int_equal(commit(&b), KV_OK);
}

static bool
note_is(const char *name, const char *want)
{
	struct kv_slice value;
	bool is;
	int rc;

	refresh();
	rc = s.ops->note(s.self, slice_of(name), &value);
	is = want == NULL ? rc == KV_ENOTFOUND
			  : rc == KV_OK && slice_equal(value, slice_of(want));
	release();
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
	settle();
	assert_true(note_is("resync", "one"));
	commit_note("resync", "another");
	assert_true(note_is("resync", "another"));
	commit_note("resync", "");
	assert_true(note_is("resync", NULL));
	settle();
	assert_true(note_is("resync", NULL));
	commit_row((struct sync_row){ .inc = 7, .vv = 3 });
	assert_int_equal(row_of(false, 7).vv, 3);
}

static void
a_new_life_knows_all_that_its_last_one_wrote(void **state)
{
	uint64_t inc = syncd_store_self(store)->inc, tick;
	struct kv_slice lineage;

	(void)state;
	local_bucket("b", BUCKET_STAYS);
	tick = local_write("b", "1", "v").tick;
	life_ends();
	life_begins(1000ull * 3600 * 24);
	assert_true(syncd_store_self(store)->inc != inc);
	assert_true(syncd_store_self(store)->start > tick);
	lineage = syncd_store_self(store)->lineage;
	assert_true(lineage.len >= 16);
	assert_true(row_of(false, inc).vv >= tick);
	assert_true(row_of(false, inc).vv < syncd_store_self(store)->start);
	assert_true(row_of(true, inc).vv >= tick);
	assert_int_equal(row_of(false, inc).uid, syncd_store_self(store)->uid);
	/* Committed once, it stands without the lineage, and no lower. */
	commit_row((struct sync_row){ .inc = inc, .vv = tick + 1000 });
	assert_int_equal(row_of(false, inc).vv, tick + 1000);
}

static void
what_is_purged_here_shows_in_the_rows(void **state)
{
	uint64_t inc, tick, purges;
	int sleep_ms, i;

	(void)state;
	life_ends();
	life_begins(1);
	inc = syncd_store_self(store)->inc;
	local_bucket("b", BUCKET_STAYS);
	tick = local_write("b", "1", NULL).tick;
	commit_row((struct sync_row){ .inc = inc, .purged = 3 });
	refresh();
	purges = s.ops->purges(s.self);
	release();
	settle();
	assert_int_equal(maintain_take(engine, ROLE_CHECKPOINTER, false),
	    KV_OK);
	for (i = 0; i < 1000 && row_of(false, inc).purged < tick; i++)
		assert_int_equal(checkpoint_step(engine, false, &sleep_ms),
		    KV_OK);
	maintain_leave(engine, ROLE_CHECKPOINTER);
	assert_int_equal(row_of(false, inc).purged, tick);
	assert_int_equal(row_of(true, inc).purged, tick);
	refresh();
	assert_true(s.ops->purges(s.self) != purges);
	release();
}

/* ---- the rest ---- */

static void
settling_ends_when_the_tree_has_what_was_there_at_first(void **state)
{
	uint64_t since = 0;
	bool settled;

	(void)state;
	local_bucket("b", BUCKET_STAYS);
	refresh();
	assert_false(s.ops->settle(s.self, &since));
	release();
	assert_true(since != 0);
	settle();
	local_write("b", "1", "later");
	refresh();
	settled = s.ops->settle(s.self, &since);
	release();
	assert_true(settled);
}

static void
a_batch_that_cannot_be_leaves_nothing(void **state)
{
	struct sync_change changes[3] = { change_put("k", 5, 7, "v"),
		change_put("l", 5, 7, "v"), change_put("m", 5, 7, "v") };
	struct sync_row row = { .inc = 7, .vv = 5 };
	const struct sync_batch b = { .changes = changes,
		.count = 3,
		.rows = &row,
		.row_count = 1 };
	static char large[2u << 20];

	(void)state;
	changes[2].item.record.stamp.tick = UINT64_MAX / 2;
	assert_int_equal(commit(&b), KV_EINVAL);
	changes[2] = change_put("m", 5, 7, "v");
	changes[1].item.record.flags = RECORD_LOCAL;
	assert_int_equal(commit(&b), KV_EINVAL);
	changes[1] = change_put("l", 5, 7, "v");
	changes[2].item.record.value =
	    (struct kv_slice){ large, sizeof(large) };
	assert_int_equal(commit(&b), KV_ETOOBIG);
	assert_int_equal(row_of(false, 7).vv, 0);
	assert_int_equal(head(), 0);
	changes[2] = change_put("m", 5, 7, "v");
	assert_int_equal(commit(&b), KV_OK);
	assert_int_equal(row_of(false, 7).vv, 5);
}

static int
add_digest(void *user, uint64_t bid, const struct totals *t)
{
	struct totals *sum = user;

	assert_int_equal(bid, engine_bucket_id(slice_of("b")));
	assert_int_equal(t->keys, 0);
	sum->digest[0] += t->digest[0];
	sum->keys++;
	return KV_OK;
}

static uint64_t
digest(void)
{
	struct totals sum = { 0 };

	refresh();
	assert_int_equal(s.ops->digests(s.self, add_digest, &sum), KV_OK);
	release();
	assert_int_equal(sum.keys, 1);
	return sum.digest[0];
}

static void
digests_are_of_live_global_buckets_without_deadlines(void **state)
{
	struct sync_change put = change_put("k", 5, 7, "v");
	const struct sync_batch b = { .changes = &put, .count = 1 };
	uint64_t before, end;

	(void)state;
	local_bucket("b", BUCKET_STAYS);
	local_bucket("local", BUCKET_STAYS | BUCKET_LOCAL);
	local_bucket("gone", BUCKET_STAYS);
	refresh();
	assert_int_equal(engine_drop(engine, slice_of("gone")), KV_OK);
	assert_int_equal(engine_commit(engine, &end), KV_OK);
	release();
	local_write("b", "1", "v");
	local_write("local", "1", "v");
	before = digest();
	put.item.record.deadline = UINT64_MAX / 2;
	assert_int_equal(commit(&b), KV_OK);
	assert_true(digest() == before);
	put = change_put("l", 5, 7, "v");
	assert_int_equal(commit(&b), KV_OK);
	assert_true(digest() != before);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(cursors_lose_nothing_while_the_log_moves_into_the_tree),
		TEST(the_head_is_the_newest_change_and_no_note_or_local_record),
		TEST(rows_go_into_the_tree_with_their_data),
		TEST(the_newest_row_counts_after_a_restart_from_log_or_tree),
		TEST(a_note_is_kept_replaced_and_removed),
		TEST(a_new_life_knows_all_that_its_last_one_wrote),
		TEST(what_is_purged_here_shows_in_the_rows),
		TEST(settling_ends_when_the_tree_has_what_was_there_at_first),
		TEST(a_batch_that_cannot_be_leaves_nothing),
		TEST(digests_are_of_live_global_buckets_without_deadlines),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
