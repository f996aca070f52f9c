/* SPDX-License-Identifier: ISC */
/* The engine as replication sees it. */

#include "syncd_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "engine/maintain.h"

#define KEYS 60
#define CURSORS 3
#define STEPS 1200

/* ---- counting ---- */

static uint64_t
count_since(uint64_t seq, bool own)
{
	uint64_t n;

	syncd_refresh();
	assert_int_equal(syncd_rig.s.ops->count(syncd_rig.s.self, seq, own, &n),
	    KV_OK);
	syncd_release();
	return n;
}

/* From the log, from the tree, and where the two meet. */
static void
what_stands_behind_a_seq_is_counted_wherever_it_is(void **state)
{
	static const char theirs[] = "theirs";
	struct sync_change change;
	struct sync_batch batch = { .changes = &change, .count = 1 };
	uint64_t seqs[11], i;
	char key[16];
	int life;

	(void)state;
	syncd_local_bucket("b", BUCKET_STAYS);
	syncd_local_bucket("local", BUCKET_STAYS | BUCKET_LOCAL);
	for (i = 0; i < 11; i++) {
		snprintf(key, sizeof(key), "k%u", (unsigned)i);
		seqs[i] = syncd_local_write("b", key, "v").tick;
		syncd_local_write("local", key, "v");
	}
	change = syncd_change_put("foreign", 1000, 77, theirs);
	assert_int_equal(syncd_commit(&batch), KV_OK);
	for (life = 0; life < 3; life++) {
		/* In the log; in the tree; in the tree of another run. */
		for (i = 0; i < 11; i++) {
			assert_int_equal(count_since(seqs[i], false), 11 - i);
			if (life < 2)
				assert_int_equal(count_since(seqs[i], true),
				    10 - i);
		}
		assert_int_equal(count_since(0, false), 13);
		syncd_settle();
		if (life == 1) {
			syncd_life_ends();
			syncd_life_begins(0);
		}
	}
	syncd_local_write("b", "k0", "again");
	assert_int_equal(count_since(seqs[5], false), 7);
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

	syncd_refresh();
	while (most-- > 0 &&
	    (rc = syncd_rig.s.ops->next(syncd_rig.s.self, &r->at, &item)) ==
		KV_OK)
		reader_takes(r, &item);
	if (rc == KV_ENOTFOUND)
		assert_true(
		    r->at.seq >= syncd_rig.s.ops->head(syncd_rig.s.self));
	else
		assert_int_equal(rc, KV_OK);
	syncd_release();
}

/* Values that fill segments soon, so that the log leaves cursors behind. */
static void
write_at_random(char *value, size_t size)
{
	char key[16];

	snprintf(key, sizeof(key), "%u", syncd_pick(KEYS));
	memset(value, 'v', size - 1);
	value[syncd_pick((uint32_t)size - 1)] = '\0';
	switch (syncd_pick(6)) {
	case 0:
		syncd_local_write("local", key, value);
		break;
	case 1:
		syncd_local_write("b", key, NULL);
		break;
	case 2:
		syncd_commit_row(
		    (struct sync_row){ .inc = 7, .vv = syncd_pick(1000) });
		break;
	default:
		syncd_local_write("b", key, value);
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
	syncd_local_bucket("b", BUCKET_STAYS);
	syncd_local_bucket("local", BUCKET_STAYS | BUCKET_LOCAL);
	for (i = 0; i < STEPS; i++) {
		write_at_random(value, sizeof(value));
		if (syncd_pick(10) == 0)
			reader_reads(&readers[syncd_pick(CURSORS)],
			    syncd_pick(40));
		/* Before the log is full: four segments of a mebibyte. */
		if (syncd_pick(60) == 0 || i - settled == 80) {
			syncd_settle();
			settled = i;
		}
		if (syncd_pick(40) == 0) /* told a peer, resumed by seq alone */
			readers[syncd_pick(CURSORS)].at.place = 0;
	}
	for (i = 0; i < CURSORS; i++) {
		reader_reads(&readers[i], UINT32_MAX);
		syncd_refresh();
		for (k = 0; k < KEYS; k++) {
			snprintf(key, sizeof(key), "%u", k);
			rc = syncd_rig.s.ops->get(syncd_rig.s.self,
			    syncd_rig.s.ops->bucket_id(syncd_rig.s.self,
				slice_of("b")),
			    slice_of(key), &r);
			if (rc == KV_ENOTFOUND)
				r.stamp = (struct stamp){ 0, 0 };
			assert_int_equal(stamp_compare(r.stamp,
					     readers[i].newest[k]),
			    0);
		}
		syncd_release();
	}
}

static uint64_t
head(void)
{
	uint64_t seq;

	syncd_refresh();
	seq = syncd_rig.s.ops->head(syncd_rig.s.self);
	syncd_release();
	return seq;
}

static void
the_head_is_the_newest_change_and_no_note_or_local_record(void **state)
{
	struct stamp stamp;
	uint64_t end;

	(void)state;
	syncd_local_bucket("b", BUCKET_STAYS);
	stamp = syncd_local_write("b", "1", "v");
	assert_int_equal(head(), stamp.tick);
	syncd_local_bucket("local", BUCKET_STAYS | BUCKET_LOCAL);
	syncd_local_write("local", "1", "v");
	syncd_commit_row((struct sync_row){ .inc = 7, .vv = 9 });
	syncd_refresh();
	assert_int_equal(engine_publish(syncd_rig.engine, MESSAGE_CHANNEL,
			     slice_of("c"), slice_of("m")),
	    KV_OK);
	assert_int_equal(engine_commit(syncd_rig.engine, &end), KV_OK);
	syncd_release();
	assert_int_equal(head(), stamp.tick);
	syncd_settle();
	assert_int_equal(head(), stamp.tick);
	syncd_life_ends();
	syncd_life_begins(1000ull * 3600 * 24);
	assert_int_equal(head(), stamp.tick);
	stamp = syncd_local_write("b", "1", NULL);
	assert_int_equal(head(), stamp.tick);
}

/* ---- the rest ---- */

static void
settling_ends_when_the_tree_has_what_was_there_at_first(void **state)
{
	uint64_t since = 0;
	bool settled;

	(void)state;
	syncd_local_bucket("b", BUCKET_STAYS);
	syncd_refresh();
	assert_false(syncd_rig.s.ops->settle(syncd_rig.s.self, &since));
	syncd_release();
	assert_true(since != 0);
	syncd_settle();
	syncd_local_write("b", "1", "later");
	syncd_refresh();
	settled = syncd_rig.s.ops->settle(syncd_rig.s.self, &since);
	syncd_release();
	assert_true(settled);
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

	syncd_refresh();
	assert_int_equal(syncd_rig.s.ops->digests(syncd_rig.s.self, add_digest,
			     &sum),
	    KV_OK);
	syncd_release();
	assert_int_equal(sum.keys, 1);
	return sum.digest[0];
}

static void
digests_are_of_live_global_buckets_without_deadlines(void **state)
{
	struct sync_change put = syncd_change_put("k", 5, 7, "v");
	const struct sync_batch b = { .changes = &put, .count = 1 };
	uint64_t before, end;

	(void)state;
	syncd_local_bucket("b", BUCKET_STAYS);
	syncd_local_bucket("local", BUCKET_STAYS | BUCKET_LOCAL);
	syncd_local_bucket("gone", BUCKET_STAYS);
	syncd_refresh();
	assert_int_equal(engine_drop(syncd_rig.engine, slice_of("gone")),
	    KV_OK);
	assert_int_equal(engine_commit(syncd_rig.engine, &end), KV_OK);
	syncd_release();
	syncd_local_write("b", "1", "v");
	syncd_local_write("local", "1", "v");
	before = digest();
	put.item.record.deadline = UINT64_MAX / 2;
	assert_int_equal(syncd_commit(&b), KV_OK);
	assert_true(digest() == before);
	put = syncd_change_put("l", 5, 7, "v");
	assert_int_equal(syncd_commit(&b), KV_OK);
	assert_true(digest() != before);
}

int
main(void)
{
#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, syncd_set_up, syncd_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_stands_behind_a_seq_is_counted_wherever_it_is),
		TEST(cursors_lose_nothing_while_the_log_moves_into_the_tree),
		TEST(the_head_is_the_newest_change_and_no_note_or_local_record),
		TEST(settling_ends_when_the_tree_has_what_was_there_at_first),
		TEST(digests_are_of_live_global_buckets_without_deadlines),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
