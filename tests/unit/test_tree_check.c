/* SPDX-License-Identifier: ISC */
/* Each kind of damage, made by writing rows past the tree, is found. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <lmdb.h>

#include "base/bytes.h"
#include "tree_model.h"

#define BID 0x1122334455667788u
#define BID_LOCAL 0x99u
#define MS 1700000000000u
#define TICK(n) (((uint64_t)MS << 16) + (n))

static char folder[64];
static struct tree *tree;

/* Five records that between them have everything: a plain one, one with a
 * deadline, a tombstone, a local one, and buckets for all. */
static struct record
record(enum record_type type, uint64_t n, const char *key, const char *value)
{
	struct record r = { .type = type, .seq = TICK(n), .bid = BID };

	r.stamp = (struct stamp){ TICK(n), 7 };
	r.key = slice_of(key);
	r.value = slice_of(value);
	return r;
}

static struct record
bucket(uint64_t n, const char *name, uint64_t bid, uint32_t options,
    char row[SCHEMA_BUCKET_ROW])
{
	struct record r = record(RECORD_BUCKET, n, name, "");
	struct bucket b = { .bid = bid, .options = options };

	b.created = r.stamp;
	schema_put_bucket(row, &b);
	r.value = (struct kv_slice){ row, SCHEMA_BUCKET_ROW };
	return r;
}

static int
set_up(void **state)
{
	char rows[2][SCHEMA_BUCKET_ROW];
	struct record records[6];
	struct bucket_totals totals[2] = {
		{ BID, { 2, 4 + 2 + 10, { 0, 0 } } },
		{ BID_LOCAL, { 1, 4, { 0, 0 } } },
	};
	struct apply a = { .records = records, .count = 6, .totals = totals };

	(void)state;
	folder_make(folder);
	tree = folder_open(folder, true);
	records[0] = bucket(1, "b", BID, 0, rows[0]);
	records[1] = bucket(2, "loc", BID_LOCAL, BUCKET_LOCAL, rows[1]);
	records[2] = record(RECORD_PUT, 3, "k1", "value");
	records[3] = record(RECORD_PUT, 4, "k2", "other");
	records[3].deadline = MS + 50;
	records[4] = record(RECORD_TOMB, 5, "k3", "");
	records[5] = record(RECORD_PUT, 6, "k4", "va");
	records[5].bid = BID_LOCAL;
	records[5].flags = RECORD_LOCAL;
	model_digest(&records[2], totals[0].totals.digest);
	model_digest(&records[5], totals[1].totals.digest);
	totals[0].totals.bytes = 2 + 5 + 2 + 5;
	a.totals_count = 2;
	a.to = (struct tree_position){ 1, TICK(6) };
	assert_int_equal(apply_checkpoint(tree, &a), KV_OK);
	assert_int_equal(tree_check_all(tree, NULL), 0);
	tree_close(tree);
	tree = NULL;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	folder_remove(folder);
	return 0;
}

/* ---- writing past the tree --------------------------------------------- */

struct bytes {
	char data[600];
	size_t len;
};

static void
add(struct bytes *b, const void *data, size_t n)
{
	memcpy(b->data + b->len, data, n);
	b->len += n;
}

static void
add_be64(struct bytes *b, uint64_t x)
{
	char be[8];

	bytes_put_be64(be, x);
	add(b, be, 8);
}

static void
add_byte(struct bytes *b, int x)
{
	char byte = (char)x;

	add(b, &byte, 1);
}

/* A value that is gone: the row is deleted. */
static const struct bytes gone = { .len = SIZE_MAX };

static void
damage(const char *db, const struct bytes *key, const struct bytes *value)
{
	struct bytes k = *key, v = *value;
	MDB_val name = { k.len, k.data }, row = { v.len, v.data };
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	int rc;

	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
	assert_int_equal(mdb_env_open(env, folder, MDB_NOSYNC, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, db, 0, &dbi), 0);
	rc = v.len == gone.len ? mdb_del(txn, dbi, &name, NULL)
			       : mdb_put(txn, dbi, &name, &row, 0);
	assert_int_equal(rc, 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static struct bytes
text(const char *s)
{
	struct bytes b = { .len = 0 };

	add(&b, s, strlen(s));
	return b;
}

static struct bytes
record_key(uint64_t bid, const char *key)
{
	struct bytes b = { .len = 0 };

	add_be64(&b, bid);
	add(&b, key, strlen(key));
	return b;
}

static struct bytes
record_row(uint64_t tick, uint64_t seq, int flags, const char *value)
{
	struct bytes b = { .len = 0 };

	add_be64(&b, tick);
	add_be64(&b, 7);
	add_be64(&b, seq);
	add_byte(&b, flags);
	add(&b, value, strlen(value));
	return b;
}

static struct bytes
number(uint64_t x)
{
	struct bytes b = { .len = 0 };

	add_be64(&b, x);
	return b;
}

static struct bytes
entry(int type, int flags, uint64_t inc, uint64_t bid, const char *key)
{
	struct bytes b = { .len = 0 };

	add_byte(&b, type);
	add_byte(&b, flags);
	add_be64(&b, inc);
	add_be64(&b, bid);
	add(&b, key, strlen(key));
	return b;
}

static struct bytes
expiry_key(char kind, uint64_t ms, uint64_t seq)
{
	struct bytes b = { .len = 0 };

	add_byte(&b, kind);
	add_be64(&b, ms);
	add_be64(&b, seq);
	return b;
}

static struct bytes
bucket_row(uint64_t bid, uint64_t seq, uint64_t dropped, uint32_t options)
{
	struct bucket b = { .bid = bid, .options = options, .seq = seq };
	struct bytes row = { .len = SCHEMA_BUCKET_ROW };

	b.created = (struct stamp){ TICK(1), 7 };
	b.dropped = (struct stamp){ dropped, 7 };
	schema_put_bucket(row.data, &b);
	return row;
}

static struct bytes
drop_row(uint64_t tick)
{
	struct bytes b = { .len = 0 };

	add_be64(&b, tick);
	add_be64(&b, 7);
	return b;
}

static struct bytes
zeros(size_t n)
{
	return (struct bytes){ .len = n };
}

/* ---- the table --------------------------------------------------------- */

/* One row changed; how many findings that makes, and a part of one of them. */
struct damage {
	const char *db;
	struct bytes key, value;
	int found;
	const char *text;
};

#define DAMAGES_MAX 40

static struct damage damages[DAMAGES_MAX];
static struct CMUnitTest tests[DAMAGES_MAX];
static size_t tests_count;

static void
is_found(void **state)
{
	const struct damage *d = *state;
	struct buf lines;

	buf_init(&lines);
	damage(d->db, &d->key, &d->value);
	tree = folder_open(folder, true);
	assert_int_equal(tree_check_all(tree, &lines), d->found);
	assert_int_equal(buf_append(&lines, "", 1), KV_OK);
	if (strstr(lines.data, d->text) == NULL)
		fail_msg("expected: %s\nfound: %s", d->text, lines.data);
	buf_fini(&lines);
	tree_close(tree);
}

static void
add_damage(const char *name, const char *db, struct bytes key,
    struct bytes value, int found, const char *expected)
{
	struct damage *d = &damages[tests_count];

	*d = (struct damage){ db, key, value, found, expected };
	tests[tests_count++] =
	    (struct CMUnitTest){ name, is_found, set_up, tear_down, d };
}

static void
add_records(void)
{
	add_damage("an_unreadable_record_is_found", "records",
	    record_key(BID, "zz"), text("short"), 1,
	    "records key=0x11223344556677887a7a: unreadable");
	add_damage("a_record_with_unknown_flags_is_found", "records",
	    record_key(BID, "zz"), record_row(TICK(6), TICK(6), 0x01, ""), 1,
	    "unreadable");
	add_damage("a_tombstone_with_a_value_is_found", "records",
	    record_key(BID, "zz"),
	    record_row(TICK(6), TICK(6), SCHEMA_TOMB, "x"), 1, "unreadable");
	add_damage("a_record_past_the_trees_seq_is_found", "records",
	    record_key(BID_LOCAL, "k4"),
	    record_row(TICK(6), TICK(9), RECORD_LOCAL, "va"), 1,
	    "is past the tree's own");
	add_damage("a_changed_seq_is_found_at_both_ends", "records",
	    record_key(BID, "k1"), record_row(TICK(3), TICK(2), 0, "value"), 2,
	    "is not in byseq");
	add_damage("a_changed_stamp_is_found_by_the_digest", "records",
	    record_key(BID, "k1"), record_row(TICK(2), TICK(3), 0, "value"), 1,
	    "totals key=0x1122334455667788: digest differs");
	add_damage("a_value_of_another_length_is_found_by_the_totals",
	    "records", record_key(BID, "k1"),
	    record_row(TICK(3), TICK(3), 0, "valu"), 1,
	    "keys=2 bytes=14 counted keys=2 bytes=13");
	add_damage("a_lost_record_is_found_by_entry_and_totals", "records",
	    record_key(BID, "k1"), gone, 2,
	    "byseq key=0x018bcfe568000003: has no row");
}

static void
add_byseq(void)
{
	add_damage("a_record_that_byseq_lacks_is_found", "byseq",
	    number(TICK(3)), gone, 1,
	    "records key=0x6b31: seq=111411200000000003 is not in byseq");
	add_damage("a_bucket_that_byseq_lacks_is_found", "byseq",
	    number(TICK(1)), gone, 1,
	    "buckets key=0x62: seq=111411200000000001 is not in byseq");
	add_damage("an_entry_without_a_row_is_found", "byseq", number(TICK(2)),
	    entry(RECORD_PUT, 0, 7, BID, "nothing"), 1,
	    "byseq key=0x018bcfe568000002: has no row");
	add_damage("a_second_entry_of_a_row_is_found", "byseq", number(TICK(2)),
	    entry(RECORD_PUT, 0, 7, BID, "k1"), 1,
	    "its row has seq=111411200000000003");
	add_damage("an_entry_of_a_local_row_is_found", "byseq", number(TICK(6)),
	    entry(RECORD_PUT, 0, 7, BID_LOCAL, "k4"), 1,
	    "its row is local to this host");
	add_damage("an_entry_with_another_inc_is_found", "byseq",
	    number(TICK(3)), entry(RECORD_PUT, 0, 8, BID, "k1"), 1,
	    "byseq has another at seq=111411200000000003");
	add_damage("an_entry_with_other_flags_is_found", "byseq",
	    number(TICK(3)), entry(RECORD_PUT, RECORD_RELAY, 7, BID, "k1"), 1,
	    "byseq has another");
	add_damage("an_unreadable_entry_is_found", "byseq", number(TICK(2)),
	    text("x"), 1, "byseq key=0x018bcfe568000002: unreadable");
}

static void
add_expiry(void)
{
	add_damage("a_deadline_that_expiry_lacks_is_found", "expiry",
	    expiry_key('D', MS + 50, TICK(4)), gone, 1,
	    "records key=0x6b32: its end D 1700000000050 is not in expiry");
	add_damage("a_tombstone_that_expiry_lacks_is_found", "expiry",
	    expiry_key('T', MS, TICK(5)), gone, 1,
	    "records key=0x6b33: its end T 1700000000000");
	add_damage("an_expiry_that_names_another_key_is_found", "expiry",
	    expiry_key('D', MS + 50, TICK(4)), record_key(BID, "k1"), 2,
	    "expiry has another at its end D");
	add_damage("an_expiry_without_a_row_is_found", "expiry",
	    expiry_key('D', MS + 1, TICK(2)), record_key(BID, "nothing"), 1,
	    "has no row");
	add_damage("an_expiry_of_a_row_that_does_not_end_is_found", "expiry",
	    expiry_key('D', MS + 1, TICK(3)), record_key(BID, "k1"), 1,
	    "its row ends otherwise");
	add_damage("an_unreadable_expiry_is_found", "expiry",
	    expiry_key('X', MS + 1, TICK(3)), record_key(BID, "k1"), 1,
	    "unreadable");
}

static void
add_others(void)
{
	add_damage("an_unreadable_bucket_is_found", "buckets", text("bad"),
	    text("\1short"), 1, "buckets key=0x626164: unreadable");
	add_damage("two_buckets_with_one_id_are_found", "buckets", text("twin"),
	    bucket_row(BID_LOCAL, TICK(2), 0, BUCKET_LOCAL), 1,
	    "two buckets have this id");
	add_damage("totals_without_records_are_found", "totals", number(5),
	    zeros(SCHEMA_TOTALS_ROW), 1, "its bucket has no records");
	add_damage("lost_totals_are_found", "totals", number(BID), gone, 1,
	    "keys=0 bytes=0 counted keys=2 bytes=14");
	add_damage("unreadable_totals_are_found", "totals", number(BID),
	    text("x"), 1, "totals key=0x1122334455667788: unreadable");
	add_damage("a_drop_of_no_bucket_is_found", "drops", number(5),
	    zeros(SCHEMA_DROP_HEAD), 1, "has no bucket");
	add_damage("a_drop_at_another_stamp_than_its_buckets_is_found", "drops",
	    number(BID), drop_row(5), 1,
	    "its bucket was dropped at another stamp");
	add_damage("an_unreadable_drop_is_found", "drops", number(BID),
	    text("x"), 1, "drops key=0x1122334455667788: unreadable");
	add_damage("an_empty_position_is_found", "incs", text("inc"), zeros(0),
	    1, "incs key=0x696e63: empty");
}

/* ---- others ------------------------------------------------------------ */

static void
a_damaged_position_of_the_tree_is_an_error(void **state)
{
	struct bytes key = text("position"), value = text("x");

	(void)state;
	damage("meta", &key, &value);
	tree = folder_open(folder, true);
	assert_int_equal(tree_check_all(tree, NULL), KV_ECORRUPT);
	tree_close(tree);
}

static void
totals_of_a_bucket_to_be_purged_are_not_compared(void **state)
{
	struct bytes name = text("b"), bid = number(BID);
	struct bytes row = bucket_row(BID, TICK(1), TICK(3), 0);
	struct bytes drop = drop_row(TICK(3));

	(void)state;
	damage("buckets", &name, &row);
	tree = folder_open(folder, true);
	assert_int_equal(tree_check_all(tree, NULL), 1);
	tree_close(tree);
	damage("drops", &bid, &drop);
	tree = folder_open(folder, true);
	assert_int_equal(tree_check_all(tree, NULL), 0);
	tree_close(tree);
}

static void
a_scan_skips_entries_that_are_not_current(void **state)
{
	struct bytes seq = number(TICK(2)), row = record_key(BID, "k1");
	struct bytes stale = entry(RECORD_PUT, 0, 7, BID, "k1");
	struct bytes none = entry(RECORD_PUT, 0, 7, BID, "nothing");
	struct bytes seq_none = number(TICK(4) - (1 << 16));
	struct bytes end = expiry_key('D', MS + 1, TICK(3));
	struct tree_scan *s;
	struct record r;
	unsigned n;

	(void)state;
	damage("byseq", &seq, &stale);
	damage("byseq", &seq_none, &none);
	damage("expiry", &end, &row);
	tree = folder_open(folder, true);
	assert_int_equal(tree_renew(tree), KV_OK);
	assert_int_equal(tree_scan_open(tree, TREE_BY_SEQ, 0, &s), KV_OK);
	for (n = 0; tree_scan_next(s, &r) == KV_OK; n++)
		assert_true(r.seq != TICK(2) && r.key.len <= 2);
	assert_int_equal(n, 4);
	tree_scan_close(s);
	assert_int_equal(tree_scan_open(tree, TREE_BY_DEADLINE, 0, &s), KV_OK);
	assert_int_equal(tree_scan_next(s, &r), KV_OK);
	assert_true(slice_equal(r.key, slice_of("k2")));
	assert_int_equal(tree_scan_next(s, &r), KV_ENOTFOUND);
	tree_scan_close(s);
	tree_close(tree);
}

int
main(void)
{
	const struct CMUnitTest others[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		T(a_damaged_position_of_the_tree_is_an_error),
		T(a_scan_skips_entries_that_are_not_current),
		T(totals_of_a_bucket_to_be_purged_are_not_compared),
	};

	add_records();
	add_byseq();
	add_expiry();
	add_others();
	return _cmocka_run_group_tests("damages", tests, tests_count, NULL,
		   NULL) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
