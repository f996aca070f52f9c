/* SPDX-License-Identifier: ISC */
/* Records of other hosts: three stores and a writer with a clock of his own,
 * who hear of each other's changes in any order. */

#include "engine/foreign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "engine/maintain.h"
#include "engine/trail.h"
#include "engine_model.h"
#include "tree/schema.h"

#define HOSTS 3
#define BUCKETS 4
#define KEYS 25
#define STEPS 1500
#define BATCH 40

struct host {
	char dir[48], shm[48];
	struct engine *engine;
	struct trail heard[HOSTS]; /* of each other one's order */
};

/* What must come out of it: the newest of all writes to a key. */
struct best {
	struct stamp stamp;
	bool live;
	char value[16];
};

static struct host hosts[HOSTS];
static struct best best[BUCKETS][KEYS];
static struct bucket rows[BUCKETS];
static uint64_t seed;

static uint32_t
pick(uint32_t below)
{
	return (uint32_t)(rng_next(&seed) >> 11) % below;
}

static struct kv_slice
bucket_name(unsigned b)
{
	static const char *const names[BUCKETS] = { "a", "bee", "sea", "db0" };

	return slice_of(names[b]);
}

static struct kv_slice
key_name(unsigned k, char to[16])
{
	snprintf(to, 16, "k%u", k);
	return slice_of(to);
}

/* ---- hosts ---- */

static void
host_open(struct host *h)
{
	const struct engine_options o = { .dir = h->dir,
		.shm_dir = h->shm,
		.segment_size = 1u << 20,
		.map_size = 1ull << 28,
		.retention_ms = 1000ull * 3600 * 24,
		.durability = DURABILITY_EVERYSEC,
		.role = ROLE_LIBRARY };

	assert_int_equal(engine_open(&o, &h->engine), KV_OK);
}

static int
set_up(void **state)
{
	const char *given = getenv("KV_SEED");
	unsigned i;

	(void)state;
	log_init("test", LOG_LEVEL_ERROR);
	seed = given != NULL ? strtoull(given, NULL, 10) : rng_u64() | 1;
	printf("seed %llu (KV_SEED)\n", (unsigned long long)seed);
	memset(hosts, 0, sizeof(hosts));
	memset(best, 0, sizeof(best));
	memset(rows, 0, sizeof(rows));
	for (i = 0; i < HOSTS; i++) {
		struct host *h = &hosts[i];

		strcpy(h->dir, "/tmp/kv-test-merge.XXXXXX");
		strcpy(h->shm, "/dev/shm/kv-test-merge.XXXXXX");
		assert_non_null(mkdtemp(h->dir));
		assert_non_null(mkdtemp(h->shm));
		host_open(h);
	}
	return 0;
}

static int
tear_down(void **state)
{
	char line[1024];
	unsigned i;

	(void)state;
	for (i = 0; i < HOSTS; i++) {
		engine_close(hosts[i].engine);
		snprintf(line, sizeof(line), "rm -rf %s %s", hosts[i].dir,
		    hosts[i].shm);
		assert_int_equal(system(line), 0);
	}
	return 0;
}

static void
refresh(struct engine *e)
{
	assert_int_equal(engine_refresh(e), KV_OK);
}

/* ---- writes ---- */

static void
note_best(unsigned b, unsigned k, struct stamp stamp, const char *value)
{
	struct best *w = &best[b][k];

	if (stamp_compare(stamp, w->stamp) <= 0)
		return;
	w->stamp = stamp;
	w->live = value != NULL;
	snprintf(w->value, sizeof(w->value), "%s", value == NULL ? "" : value);
}

static void
note_row(unsigned b, const struct bucket *row)
{
	if (stamp_compare(row->created, rows[b].created) > 0)
		rows[b].created = row->created;
	if (stamp_compare(row->dropped, rows[b].dropped) > 0)
		rows[b].dropped = row->dropped;
}

static void
commit(struct engine *e)
{
	uint64_t end;

	assert_int_equal(engine_commit(e, &end), KV_OK);
}

static void
write_row(struct engine *e, unsigned b, bool drop)
{
	struct bucket row;
	int rc;

	rc = drop ? engine_drop(e, bucket_name(b))
		  : engine_create(e, bucket_name(b), BUCKET_STAYS);
	if (rc == KV_ENOTFOUND)
		return;
	assert_int_equal(rc, KV_OK);
	commit(e);
	assert_int_equal(engine_bucket_row(e, bucket_name(b), &row), KV_OK);
	note_row(b, &row);
}

static void
write_key(struct engine *e, unsigned b, unsigned k)
{
	uint64_t deadline = pick(8) > 0 ? 0 : engine_now_ms(e) + 3600000;
	const struct bucket *bucket;
	char name[16], value[16];
	struct kv_slice key = key_name(k, name);
	bool gone = pick(4) == 0;
	struct record r;

	if (engine_bucket(e, bucket_name(b), &bucket) != KV_OK)
		return;
	snprintf(value, sizeof(value), "%x", pick(UINT32_MAX));
	assert_int_equal(gone
		? engine_delete(e, bucket, key)
		: engine_put(e, bucket, key, slice_of(value), deadline),
	    KV_OK);
	commit(e);
	assert_int_equal(engine_get_raw(e, engine_bucket_id(bucket_name(b)),
			     key, &r),
	    KV_OK);
	note_best(b, k, r.stamp, gone ? NULL : value);
}

/* Somebody whose clock is up to four minutes ahead or behind, heard of by one
 * host, records before or without their buckets' rows. */
static void
hear_stranger(struct engine *e)
{
	uint64_t ms = clock_wall_ms() - 240000 + pick(480000), end;
	unsigned b = pick(BUCKETS), k = pick(KEYS);
	struct foreign f = { .how = FOREIGN_MERGE };
	char name[16], value[16];
	struct stamp stamp = { ms << 16 | pick(65536), 7 + pick(3) };

	if (pick(12) == 0) {
		f.record.type = RECORD_BUCKET;
		f.record.key = bucket_name(b);
		if (pick(3) == 0)
			f.bucket.dropped = stamp;
		else
			f.bucket.created = stamp;
		note_row(b, &f.bucket);
	} else {
		f.record = (struct record){ .type = RECORD_PUT,
			.stamp = stamp,
			.bid = engine_bucket_id(bucket_name(b)),
			.key = key_name(k, name) };
		snprintf(value, sizeof(value), "s%x", pick(UINT32_MAX));
		f.record.value = slice_of(value);
		if (pick(4) == 0)
			f.record.type = RECORD_TOMB;
		note_best(b, k, stamp,
		    f.record.type == RECORD_PUT ? value : NULL);
	}
	assert_int_equal(foreign_commit(e, &f, 1, &end), KV_OK);
}

/* ---- hearing from each other ---- */

/* Up to n records of the order of `from`, in any order, as one batch.  Returns
 * whether that was all. */
static bool
hear(struct host *to, struct host *from, struct trail *at, size_t n)
{
	struct foreign batch[BATCH], swap;
	struct trail_view view = { 0 };
	uint64_t end;
	size_t i, j;
	int rc = KV_OK;

	refresh(from->engine);
	refresh(to->engine);
	for (i = 0; i < n; i++) {
		struct foreign *f = &batch[i];

		*f = (struct foreign){ .how = FOREIGN_MERGE };
		rc = trail_next(from->engine, &view, at, &f->record);
		if (rc == KV_ENOTFOUND)
			break;
		assert_int_equal(rc, KV_OK);
		if (f->record.type == RECORD_BUCKET)
			assert_int_equal(schema_get_bucket(f->record.value,
					     &f->bucket),
			    KV_OK);
	}
	n = i;
	for (i = n; i > 1; i--) {
		j = pick((uint32_t)i);
		swap = batch[j];
		batch[j] = batch[i - 1];
		batch[i - 1] = swap;
	}
	assert_int_equal(foreign_commit(to->engine, batch, n, &end), KV_OK);
	trail_end(&view);
	engine_release(from->engine);
	engine_release(to->engine);
	return rc == KV_ENOTFOUND;
}

static void
settle(struct host *h)
{
	assert_int_equal(maintain_settle(h->engine), KV_OK);
}

/* What the checkpointer does when it has nothing to move: deadlines, drops. */
static void
sweep(struct host *h)
{
	int sleep_ms = 0, rounds;

	assert_int_equal(maintain_take(h->engine, ROLE_CHECKPOINTER, false),
	    KV_OK);
	for (rounds = 0; rounds < 20; rounds++)
		assert_int_equal(checkpoint_step(h->engine, false, &sleep_ms),
		    KV_OK);
	maintain_leave(h->engine, ROLE_CHECKPOINTER);
}

static void
step(void)
{
	unsigned x = pick(HOSTS), y = (x + 1 + pick(HOSTS - 1)) % HOSTS;
	struct host *h = &hosts[x];
	struct trail again = { 0, 0 };
	unsigned what = pick(100);

	if (what < 55) {
		refresh(h->engine);
		if (what < 4)
			write_row(h->engine, pick(BUCKETS), what == 0);
		else if (what < 35)
			write_key(h->engine, pick(BUCKETS), pick(KEYS));
		else
			hear_stranger(h->engine);
		engine_release(h->engine);
	} else if (what < 90)
		hear(h, &hosts[y], pick(20) == 0 ? &again : &h->heard[y],
		    1 + pick(BATCH));
	else if (what < 95)
		settle(h);
	else if (what < 96)
		sweep(h);
	else if (what < 97)
		assert_int_equal(model_findings(h->engine), 0);
	else if (what < 98) {
		/* A new life: another incarnation. */
		engine_close(h->engine);
		host_open(h);
		memset(h->heard, 0, sizeof(h->heard));
		for (y = 0; y < HOSTS; y++)
			hosts[y].heard[x].place = 0; /* seq stays good */
	}
}

/* ---- in the end ---- */

static void
check_key(struct engine *e, const struct bucket *b, unsigned i, unsigned k)
{
	const struct best *want = &best[i][k];
	bool live = want->live && bucket_is_live(&rows[i]) &&
	    stamp_compare(want->stamp, rows[i].dropped) > 0;
	char name[16];
	struct record r;
	int rc = KV_ENOTFOUND;

	if (b != NULL)
		rc = engine_get(e, b, key_name(k, name), &r);
	assert_int_equal(rc, live ? KV_OK : KV_ENOTFOUND);
	if (rc < 0)
		return;
	assert_int_equal(stamp_compare(r.stamp, want->stamp), 0);
	assert_true(slice_equal(r.value, slice_of(want->value)));
}

static void
check_host(struct host *h, struct totals sums[BUCKETS], bool first)
{
	const struct bucket *b;
	struct totals t;
	unsigned i, k;
	int rc;

	refresh(h->engine);
	for (i = 0; i < BUCKETS; i++) {
		rc = engine_bucket(h->engine, bucket_name(i), &b);
		assert_int_equal(rc,
		    bucket_is_live(&rows[i]) ? KV_OK : KV_ENOTFOUND);
		for (k = 0; k < KEYS; k++)
			check_key(h->engine, rc == KV_OK ? b : NULL, i, k);
		t = (struct totals){ 0 };
		if (rc == KV_OK)
			assert_int_equal(engine_totals(h->engine, b, &t),
			    KV_OK);
		if (first)
			sums[i] = t;
		assert_memory_equal(&t, &sums[i], sizeof(t));
	}
	engine_release(h->engine);
}

static void
stores_that_heard_of_the_same_writes_in_any_order_are_alike(void **state)
{
	struct totals sums[BUCKETS];
	unsigned i, x, y, round;

	(void)state;
	for (i = 0; i < STEPS; i++)
		step();
	for (round = 0; round < 2; round++)
		for (x = 0; x < HOSTS; x++)
			for (y = 0; y < HOSTS; y++) {
				struct trail all = { 0, 0 };

				while (x != y &&
				    !hear(&hosts[x], &hosts[y], &all, BATCH))
					continue;
			}
	for (x = 0; x < HOSTS; x++) {
		assert_int_equal(model_findings(hosts[x].engine), 0);
		check_host(&hosts[x], sums, x == 0);
		settle(&hosts[x]);
		sweep(&hosts[x]);
		assert_int_equal(model_findings(hosts[x].engine), 0);
		check_host(&hosts[x], sums, false);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    stores_that_heard_of_the_same_writes_in_any_order_are_alike,
		    set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
