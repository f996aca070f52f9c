/* SPDX-License-Identifier: ISC */
/* Stamps of a clock that was far in the future, withdrawn. */

#include "engine/repair_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/hash.h"
#include "engine/internal.h"
#include "engine/maintain.h"
#include "engine_model.h"

#define HOUR 3600000ull
#define COMMITS 60
#define ROWS 4096
#define DEATHS 30

static struct engine *e;

static struct clock_repaired
repair(bool dry, bool force, int expected)
{
	const struct engine_options o = { .dir = model->dir,
		.shm_dir = model->shm,
		.segment_size = 1u << 20,
		.map_size = 1ull << 30,
		.durability = DURABILITY_EVERYSEC };
	const struct clock_repair how = { .dry = dry, .force = force };
	struct clock_repaired out;

	EXPECT(repair_clock(&o, &how, &out) == expected);
	return out;
}

/* From here on all is stamped as by a clock so far ahead. */
static void
put_ahead(uint64_t ms)
{
	e->control->seq = (clock_wall_ms() + ms) << 16;
}

static void
write_key(const char *bucket, const char *key)
{
	const struct bucket *b;
	uint64_t end;

	EXPECT(engine_refresh(e) == KV_OK);
	EXPECT(engine_create(e, slice_of(bucket), BUCKET_STAYS) == KV_OK);
	EXPECT(engine_bucket(e, slice_of(bucket), &b) == KV_OK);
	EXPECT(engine_put(e, b, slice_of(key), slice_of("v"), 0) == KV_OK);
	EXPECT(engine_commit(e, &end) == KV_OK);
	engine_release(e);
}

/* ---- what the tree has ---- */

struct row {
	enum record_type type;
	uint8_t flags;
	uint64_t bid, seq, hash;
	struct stamp stamp, dropped;
	size_t len;
	char key[KV_KEY_MAX];
};

static struct row before[ROWS], after[ROWS];

/* By seq; those of hosts, not of this one alone. */
static size_t
read_rows(struct row *to)
{
	struct tree_scan *scan;
	struct record r;
	struct bucket b;
	size_t n = 0;

	EXPECT(maintain_settle(e) == KV_OK);
	EXPECT(tree_renew(e->tree) == KV_OK);
	EXPECT(tree_scan_open(e->tree, TREE_BY_SEQ, 0, &scan) == KV_OK);
	while (tree_scan_next(scan, &r) == KV_OK) {
		EXPECT(n < ROWS);
		to[n] = (struct row){ r.type, r.flags, r.bid, r.seq,
			hash_bytes(r.value.data, r.value.len, 0), r.stamp,
			{ 0, 0 }, r.key.len, "" };
		memcpy(to[n].key, r.key.data, r.key.len);
		if (r.type == RECORD_BUCKET) {
			EXPECT(schema_get_bucket(r.value, &b) == KV_OK);
			to[n].dropped = b.dropped;
			to[n].hash = b.options;
		}
		n++;
	}
	tree_scan_close(scan);
	tree_release(e->tree);
	return n;
}

/* The same rows, as new or old to each other as they were. */
static void
compare_rows(size_t n, uint64_t limit)
{
	size_t i, j;

	for (i = 0; i < n; i++) {
		const struct row *a = &before[i], *b = &after[i];

		EXPECT(a->type == b->type && a->bid == b->bid &&
		    a->hash == b->hash && a->len == b->len &&
		    memcmp(a->key, b->key, a->len) == 0);
		if (a->stamp.tick <= limit)
			EXPECT(stamp_compare(a->stamp, b->stamp) == 0);
		else
			EXPECT(b->stamp.tick > limit &&
			    b->stamp.tick <= limit + 2 * ROWS &&
			    b->stamp.inc != a->stamp.inc);
		EXPECT(a->seq <= limit
			? a->seq == b->seq
			: b->seq > limit && b->seq <= limit + 2 * ROWS);
		for (j = 0; j < n; j++) {
			EXPECT((a->stamp.tick < before[j].stamp.tick) ==
			    (b->stamp.tick < after[j].stamp.tick));
			EXPECT((a->stamp.tick <= before[j].dropped.tick) ==
			    (b->stamp.tick <= after[j].dropped.tick));
		}
	}
}

/* ---- tests ---- */

static void
commit_many(unsigned n)
{
	while (n-- > 0) {
		model_commit(model, e);
		if (model_random(model, 8) == 0)
			model_maintain(model, e, model_random(model, 2) == 0);
	}
}

static void
everything_is_there_in_its_old_order(void **state)
{
	struct clock_repaired out;
	uint64_t limit;
	size_t n;

	(void)state;
	e = model_open(model, DURABILITY_EVERYSEC);
	commit_many(COMMITS);
	put_ahead(HOUR);
	commit_many(COMMITS);
	n = read_rows(before);
	engine_close(e);
	out = repair(false, false, KV_OK);
	limit = (out.now_ms + CLOCK_DRIFT_MS) << 16;
	assert_true(out.was_due);
	assert_true(out.records > 0);
	assert_true(out.newest_ms > out.now_ms + HOUR - 60000);
	e = model_open(model, DURABILITY_EVERYSEC);
	EXPECT(model_findings(e) == 0);
	assert_int_equal(read_rows(after), n);
	compare_rows(n, limit);
	model_check(model, e);
	commit_many(COMMITS);
	model_check(model, e);
	assert_true(e->control->seq <= limit + (COMMITS << 16));
	EXPECT(model_findings(e) == 0);
	engine_close(e);
}

static void
nothing_is_done_when_nothing_is_due(void **state)
{
	struct clock_repaired out;
	size_t n;

	(void)state;
	e = model_open(model, DURABILITY_EVERYSEC);
	commit_many(COMMITS);
	put_ahead(CLOCK_DRIFT_MS - 60000);
	write_key("b", "within the limit");
	n = read_rows(before);
	engine_close(e);
	out = repair(false, false, KV_OK);
	assert_false(out.was_due);
	e = model_open(model, DURABILITY_EVERYSEC);
	assert_int_equal(read_rows(after), n);
	assert_memory_equal(before, after, n * sizeof(*before));
	engine_close(e);
}

static void
a_dry_run_counts_and_changes_nothing(void **state)
{
	struct clock_repaired dry;
	size_t n;

	(void)state;
	e = model_open(model, DURABILITY_EVERYSEC);
	write_key("b", "sane");
	put_ahead(HOUR);
	write_key("c", "one");
	write_key("c", "two");
	n = read_rows(before);
	engine_close(e);
	dry = repair(true, false, KV_OK);
	assert_true(dry.was_due);
	assert_int_equal(dry.records, 2);
	assert_int_equal(dry.buckets, 1);
	e = model_open(model, DURABILITY_EVERYSEC);
	assert_int_equal(read_rows(after), n);
	assert_memory_equal(before, after, n * sizeof(*before));
	engine_close(e);
	assert_int_equal(repair(false, false, KV_OK).records, 2);
	assert_false(repair(true, false, KV_OK).was_due);
}

static void
it_is_refused_while_somebody_has_the_store_open(void **state)
{
	struct clock_repaired out;
	int ready[2], end[2];
	char text[32], byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(end), 0);
	if ((pid = fork()) == 0) {
		e = model_open(model, DURABILITY_EVERYSEC);
		put_ahead(HOUR);
		write_key("b", "k");
		EXPECT(write(ready[1], "", 1) == 1);
		EXPECT(read(end[0], &byte, 1) == 1);
		engine_close(e);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	out = repair(false, false, KV_EBUSY);
	snprintf(text, sizeof(text), "a program (pid %d)", (int)pid);
	assert_non_null(strstr(out.why, text));
	assert_int_equal(write(end[1], "", 1), 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(repair(false, false, KV_OK).was_due);
}

static void
put_vector(const struct schema_vector *v)
{
	char key[SCHEMA_INC_KEY], row[SCHEMA_VECTOR_ROW];
	struct record r = { .type = RECORD_POSITION,
		.key = { key, sizeof(key) },
		.value = { row, sizeof(row) } };
	struct tree_position p;
	struct apply a = { .records = &r, .count = 1 };

	schema_put_inc(key, 'V', v->inc);
	schema_put_vector(row, v);
	EXPECT(maintain_settle(e) == KV_OK);
	EXPECT(tree_renew(e->tree) == KV_OK);
	EXPECT(tree_position(e->tree, &p) == KV_OK);
	tree_release(e->tree);
	a.to = p;
	r.seq = p.seq;
	EXPECT(apply_checkpoint(e->tree, &a) == KV_OK);
}

static struct schema_vector
get_vector(uint64_t inc)
{
	char key[SCHEMA_INC_KEY];
	struct schema_vector v;
	struct record r;

	schema_put_inc(key, 'V', inc);
	EXPECT(tree_renew(e->tree) == KV_OK);
	EXPECT(tree_get_position(e->tree, (struct kv_slice){ key, sizeof(key) },
		   &r) == KV_OK);
	EXPECT(schema_get_vector((struct kv_slice){ key, sizeof(key) }, r.value,
		   &v) == KV_OK);
	tree_release(e->tree);
	return v;
}

static void
version_vectors_are_clipped_and_the_lineage_is_of_the_repair(void **state)
{
	struct schema_vector mine, theirs = { .inc = 7, .vv = 70, .own = 9 };
	struct clock_repaired out;
	uint64_t limit, runs[2];
	struct kv_slice lineage;

	(void)state;
	e = model_open(model, DURABILITY_EVERYSEC);
	put_ahead(HOUR);
	write_key("b", "k");
	runs[0] = e->control->inc;
	mine = (struct schema_vector){ .inc = 8,
		.vv = e->control->seq,
		.announced = e->control->seq + 5,
		.purged = e->control->seq - 1,
		.own = e->control->seq,
		.uid = e->store_id };
	put_vector(&mine);
	put_vector(&theirs);
	engine_close(e);
	out = repair(false, false, KV_OK);
	limit = (out.now_ms + CLOCK_DRIFT_MS) << 16;
	e = model_open(model, DURABILITY_EVERYSEC);
	assert_memory_equal(&(struct schema_vector[]){ get_vector(7) }, &theirs,
	    sizeof(theirs));
	assert_int_equal(get_vector(8).vv, limit);
	assert_int_equal(get_vector(8).announced, limit);
	assert_int_equal(get_vector(8).purged, limit);
	assert_int_equal(get_vector(8).own, mine.own);
	assert_int_equal(get_vector(runs[0]).vv, limit);
	EXPECT(tree_renew(e->tree) == KV_OK);
	EXPECT(tree_meta_get(e->tree, "lineage", &lineage) == KV_OK);
	assert_int_equal(lineage.len, 16);
	runs[1] = bytes_get_be64(lineage.data);
	assert_true(bytes_get_be64(lineage.data + 8) > limit);
	tree_release(e->tree);
	assert_true(runs[1] != runs[0] && runs[1] != e->control->inc);
	engine_close(e);
}

static void
a_clock_that_is_slow_now_is_not_believed(void **state)
{
	struct schema_vector theirs = { .inc = 7, .uid = 77 };
	struct clock_repaired out;

	(void)state;
	e = model_open(model, DURABILITY_EVERYSEC);
	put_ahead(HOUR);
	write_key("b", "k");
	theirs.vv = e->control->seq;
	put_vector(&theirs);
	engine_close(e);
	out = repair(false, false, KV_EINVAL);
	assert_true(out.was_due);
	assert_non_null(strstr(out.why, "slow"));
	assert_true(repair(false, true, KV_OK).was_due);
	assert_false(repair(false, false, KV_OK).was_due);
}

static int
seek(uint64_t seq)
{
	struct feed f;
	int rc;

	EXPECT(engine_refresh(e) == KV_OK);
	rc = feed_seek(e, &f, seq);
	engine_release(e);
	return rc;
}

static void
who_follows_from_a_seq_of_before_is_told_of_a_gap(void **state)
{
	uint64_t sane, limit, bad, last;
	struct clock_repaired out;

	(void)state;
	e = model_open(model, DURABILITY_EVERYSEC);
	write_key("b", "k");
	sane = e->control->seq;
	put_ahead(HOUR);
	write_key("b", "k2");
	bad = e->control->seq;
	assert_int_equal(seek(bad), KV_OK);
	assert_int_equal(seek(bad + 1), KV_ENOTFOUND);
	engine_close(e);
	out = repair(false, false, KV_OK);
	limit = (out.now_ms + CLOCK_DRIFT_MS) << 16;
	e = model_open(model, DURABILITY_EVERYSEC);
	assert_int_equal(seek(sane), KV_OK);
	assert_int_equal(seek(limit), KV_OK);
	assert_int_equal(seek(limit + 1), KV_ENOTFOUND);
	assert_int_equal(seek(bad), KV_ENOTFOUND);
	assert_int_equal(seek(bad + 1), KV_ENOTFOUND);
	assert_int_equal(seek(UINT64_MAX - 1), KV_ENOTFOUND);
	put_ahead(2 * HOUR); /* time goes by */
	write_key("b", "k3");
	last = e->control->seq;
	assert_int_equal(seek(bad + 1), KV_OK);
	assert_int_equal(seek(last), KV_OK);
	assert_int_equal(seek(last + 1), KV_ENOTFOUND);
	assert_int_equal(seek(bad), KV_ENOTFOUND);
	engine_close(e);
}

static bool
look_is_old(size_t n)
{
	bool is_old;

	e = model_open(model, DURABILITY_EVERYSEC);
	EXPECT(model_findings(e) == 0);
	EXPECT(read_rows(after) == n);
	is_old = after[n - 1].seq == before[n - 1].seq;
	if (is_old)
		EXPECT(memcmp(before, after, n * sizeof(*before)) == 0);
	else
		compare_rows(n, after[n - 1].seq - 2 * ROWS);
	model_check(model, e);
	engine_close(e);
	return is_old;
}

static void
a_repair_that_is_killed_leaves_the_old_store_or_the_new(void **state)
{
	unsigned i, old = 0;
	size_t n;
	pid_t pid;

	(void)state;
	for (i = 0; i < DEATHS; i++) {
		e = model_open(model, DURABILITY_EVERYSEC);
		commit_many(COMMITS / 10);
		put_ahead(24 * HOUR);
		commit_many(COMMITS / 10);
		n = read_rows(before);
		engine_close(e);
		if ((pid = fork()) == 0) {
			(void)repair(false, false, KV_OK);
			_exit(0);
		}
		usleep(model_random(model, 2000 * (i + 1)));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		old += look_is_old(n);
	}
	printf("%u times old, %u times new\n", old, DEATHS - old);
}

int
main(void)
{
#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, model_set_up, model_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(everything_is_there_in_its_old_order),
		TEST(nothing_is_done_when_nothing_is_due),
		TEST(a_dry_run_counts_and_changes_nothing),
		TEST(it_is_refused_while_somebody_has_the_store_open),
		TEST(
		    version_vectors_are_clipped_and_the_lineage_is_of_the_repair),
		TEST(a_clock_that_is_slow_now_is_not_believed),
		TEST(who_follows_from_a_seq_of_before_is_told_of_a_gap),
		TEST(a_repair_that_is_killed_leaves_the_old_store_or_the_new),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
