/* SPDX-License-Identifier: ISC */
/* What the replication core is made of: who wins, vectors, rows, pending
 * changes, places, the note of a RESYNC. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "sync/merge.h"
#include "sync/pending.h"
#include "sync/place.h"
#include "sync/resync_note.h"
#include "sync/ticks.h"
#include "sync/vector.h"

static struct record
version(enum record_type type, uint64_t tick, uint64_t inc, uint8_t flags)
{
	return (struct record){ .type = type,
		.stamp = { tick, inc },
		.flags = flags };
}

static void
the_higher_stamp_wins_and_of_one_stamp_the_tombstone(void **state)
{
	struct record put = version(RECORD_PUT, 5, 1, 0);
	struct record same = version(RECORD_PUT, 5, 1, 0);
	struct record tomb = version(RECORD_TOMB, 5, 1, RECORD_EXPIRED);
	struct record other = version(RECORD_PUT, 5, 2, 0);
	struct record older = version(RECORD_TOMB, 4, 9, 0);

	(void)state;
	assert_true(merge_wins(NULL, &older));
	assert_false(merge_wins(&put, &same));
	assert_true(merge_wins(&put, &tomb));
	assert_false(merge_wins(&tomb, &put));
	assert_false(merge_wins(&tomb, &tomb));
	assert_true(merge_wins(&put, &other));
	assert_false(merge_wins(&other, &put));
	assert_false(merge_wins(&put, &older));
	assert_true(merge_erases(&put, put.stamp));
	assert_false(merge_erases(&put, other.stamp));
	assert_false(merge_erases(NULL, put.stamp));
}

static void
what_replaces_a_promised_write_is_handed_on(void **state)
{
	struct record own = version(RECORD_PUT, 5, 7, 0);
	struct record foreign = version(RECORD_PUT, 5, 8, 0);
	struct record relayed = version(RECORD_PUT, 5, 8, RECORD_RELAY);

	(void)state;
	assert_int_equal(merge_relay(NULL, 7), 0);
	assert_int_equal(merge_relay(&own, 7), RECORD_RELAY);
	assert_int_equal(merge_relay(&foreign, 7), 0);
	assert_int_equal(merge_relay(&relayed, 7), RECORD_RELAY);
}

static void
a_bucket_is_two_registers(void **state)
{
	struct bucket a = { .created = { 5, 1 }, .dropped = { 3, 1 } };
	struct bucket b = { .created = { 4, 9 },
		.dropped = { 6, 1 },
		.options = BUCKET_STAYS };
	struct bucket ab = a, ba = b;

	(void)state;
	assert_true(merge_bucket(&ab, &b));
	assert_true(merge_bucket(&ba, &a));
	assert_int_equal(ab.created.tick, 5);
	assert_int_equal(ab.dropped.tick, 6);
	assert_int_equal(ab.options, 0);
	assert_true(stamp_compare(ab.created, ba.created) == 0);
	assert_true(stamp_compare(ab.dropped, ba.dropped) == 0);
	assert_int_equal(ab.options, ba.options);
	assert_false(merge_bucket(&ab, &b));
}

/* However it came about, it is that of its rows. */
static void
sum_is_right(const struct ticks *t)
{
	struct ticks_sum sum = { { 0, 0 } };
	size_t i;

	for (i = 0; i < t->count; i++)
		ticks_sum_change(&sum, t->rows[i].inc, 0, t->rows[i].tick);
	assert_true(ticks_sum_equal(&sum, &t->sum));
}

static void
vectors_are_ordered_and_join_and_lower(void **state)
{
	struct ticks a, b;
	uint64_t random = 1, model[16] = { 0 }, inc;
	int i;

	(void)state;
	ticks_init(&a);
	ticks_init(&b);
	for (i = 0; i < 200; i++) {
		inc = rng_next(&random) % 16;
		assert_int_equal(ticks_raise(&a, inc, (uint64_t)i % 50 + 1),
		    KV_OK);
		if (model[inc] < (uint64_t)i % 50 + 1)
			model[inc] = (uint64_t)i % 50 + 1;
	}
	for (inc = 0; inc < 16; inc++)
		assert_int_equal(ticks_get(&a, inc), model[inc]);
	for (i = 1; i < (int)a.count; i++)
		assert_true(a.rows[i - 1].inc < a.rows[i].inc);
	assert_int_equal(ticks_set(&b, 3, 10), KV_OK);
	assert_int_equal(ticks_set(&b, 99, 10), KV_OK);
	assert_int_equal(ticks_set(&a, 3, 20), KV_OK);
	assert_int_equal(ticks_join(&b, &a), KV_OK);
	assert_int_equal(ticks_get(&b, 3), 20);
	assert_int_equal(ticks_get(&b, 99), 10);
	sum_is_right(&a);
	sum_is_right(&b);
	assert_false(ticks_sum_equal(&a.sum, &b.sum));
	ticks_lower(&b, &a);
	assert_int_equal(ticks_get(&b, 99), 0);
	assert_int_equal(ticks_get(&b, 3), 20);
	sum_is_right(&b);
	/* A row of 0 is as none. */
	assert_true(ticks_sum_equal(&a.sum, &b.sum));
	assert_int_equal(ticks_copy(&b, &a), KV_OK);
	sum_is_right(&b);
	ticks_clear(&b);
	sum_is_right(&b);
	ticks_fini(&a);
	ticks_fini(&b);
}

static void
a_row_changes_its_version_with_vv_alone(void **state)
{
	struct sync_row row = { .inc = 5, .vv = 10, .purged = 7 };
	struct vector v = { .rows = NULL };
	struct ticks_sum sum = { { 0, 0 } };
	uint64_t before;

	(void)state;
	assert_int_equal(vector_install(&v, &row), KV_OK);
	before = v.version;
	row.own = 9;
	row.purged = 3;
	assert_int_equal(vector_install(&v, &row), KV_OK);
	assert_true(v.version == before);
	assert_int_equal(vector_find(&v, 5)->row.purged, 7);
	assert_int_equal(vector_find(&v, 5)->row.own, 9);
	row.vv = 11;
	assert_int_equal(vector_install(&v, &row), KV_OK);
	assert_true(v.version > before);
	assert_int_equal(vector_vv(&v, 5), 11);
	ticks_sum_change(&sum, 5, 0, 11);
	assert_true(ticks_sum_equal(&v.sum, &sum));
	assert_int_equal(vector_vv(&v, 6), 0);
	vector_fini(&v);
}

static void
pending_changes_own_their_bytes(void **state)
{
	static char large[100000];
	struct pending a = { .count = 0 }, b = { .count = 0 };
	struct sync_item item = { .record = { .type = RECORD_PUT } };
	char key[4] = "k00";
	int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		key[1] = (char)('0' + i / 10);
		key[2] = (char)('0' + i % 10);
		memset(large, key[2], sizeof(large));
		item.record.key = (struct kv_slice){ key, 3 };
		item.record.value = (struct kv_slice){ large,
			i % 10 == 0 ? sizeof(large) : 10 };
		assert_int_equal(pending_add(i < 50 ? &a : &b, CHANGE_MERGE,
				     &item),
		    KV_OK);
	}
	assert_int_equal(pending_move(&a, &b), KV_OK);
	assert_int_equal(b.count, 0);
	assert_int_equal(b.bytes, 0);
	assert_int_equal(a.count, 100);
	memset(large, 0, sizeof(large));
	for (i = 0; i < 100; i++) {
		struct record *r = &a.changes[i].item.record;

		assert_int_equal(r->key.data[1], '0' + i / 10);
		assert_int_equal(r->key.data[2], '0' + i % 10);
		assert_int_equal(r->value.data[r->value.len - 1], '0' + i % 10);
	}
	pending_fini(&a);
	pending_fini(&b);
}

static void
a_bucket_row_stands_in_front_of_its_records(void **state)
{
	struct sync_item bucket = { .record = { .type = RECORD_BUCKET,
					.bid = 5,
					.key = slice_of("name") } };
	struct sync_item record = {
		.record = { .type = RECORD_PUT, .bid = 5, .key = slice_of("a") }
	};
	struct place p = { 0 };

	(void)state;
	assert_true(place_is_end(&p));
	assert_true(place_compare_items(&bucket, &record) < 0);
	assert_int_equal(place_set(&p, 5, place_key(&bucket)), KV_OK);
	assert_false(place_is_end(&p));
	assert_true(place_compare(&p, 5, slice_of("a")) < 0);
	assert_true(place_compare(&p, 4, slice_of("z")) > 0);
	place_fini(&p);
}

static void
fini(struct resync *s)
{
	place_fini(&s->lo);
	ticks_fini(&s->vv);
	ticks_fini(&s->purged);
}

static void
a_note_of_a_resync_is_read_back_or_refused(void **state)
{
	struct resync s = { .source_inc = 1, .source_head = 2, .last_head = 3 };
	struct resync back = { 0 };
	struct buf note;
	struct kv_slice cut;

	(void)state;
	buf_init(&note);
	assert_int_equal(place_set(&s.lo, 77, slice_of("key")), KV_OK);
	assert_int_equal(ticks_set(&s.vv, 4, 5), KV_OK);
	assert_int_equal(ticks_set(&s.purged, 6, 7), KV_OK);
	assert_int_equal(resync_note_put(&note, &s), KV_OK);
	assert_int_equal(resync_note_get(buf_slice(&note), &back), KV_OK);
	assert_int_equal(place_compare(&back.lo, 77, slice_of("key")), 0);
	assert_true(back.source_inc == 1 && back.source_head == 2 &&
	    back.last_head == 3);
	assert_int_equal(ticks_get(&back.vv, 4), 5);
	assert_int_equal(ticks_get(&back.purged, 6), 7);
	cut = buf_slice(&note);
	while (cut.len-- > 0)
		assert_int_equal(resync_note_get(cut, &back), KV_ECORRUPT);
	note.data[0] = 9;
	assert_int_equal(resync_note_get(buf_slice(&note), &back), KV_EVERSION);
	fini(&s);
	fini(&back);
	buf_fini(&note);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    the_higher_stamp_wins_and_of_one_stamp_the_tombstone),
		cmocka_unit_test(what_replaces_a_promised_write_is_handed_on),
		cmocka_unit_test(a_bucket_is_two_registers),
		cmocka_unit_test(vectors_are_ordered_and_join_and_lower),
		cmocka_unit_test(a_row_changes_its_version_with_vv_alone),
		cmocka_unit_test(pending_changes_own_their_bytes),
		cmocka_unit_test(a_bucket_row_stands_in_front_of_its_records),
		cmocka_unit_test(a_note_of_a_resync_is_read_back_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
