/* SPDX-License-Identifier: ISC */
/* A store and replication's view of it. */

#include "syncd_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/rng.h"
#include "engine/maintain.h"

struct syncd_rig syncd_rig;

uint32_t
syncd_pick(uint32_t below)
{
	return (uint32_t)(rng_next(&syncd_rig.seed) >> 11) % below;
}

void
syncd_life_begins(uint64_t retention_ms)
{
	const struct engine_options o = { .dir = syncd_rig.dir,
		.shm_dir = syncd_rig.shm,
		.segment_size = 1u << 20,
		.map_size = 1ull << 28,
		.retention_ms = retention_ms,
		.durability = DURABILITY_EVERYSEC,
		.role = ROLE_LIBRARY };

	assert_int_equal(engine_open(&o, &syncd_rig.engine), KV_OK);
	assert_int_equal(syncd_store_new(syncd_rig.engine, &syncd_rig.store),
	    KV_OK);
	syncd_rig.s = syncd_store_ops(syncd_rig.store);
}

void
syncd_life_ends(void)
{
	syncd_store_free(syncd_rig.store);
	engine_close(syncd_rig.engine);
}

int
syncd_set_up(void **state)
{
	const char *given = getenv("KV_SEED");

	(void)state;
	log_init("test", LOG_LEVEL_ERROR);
	syncd_rig.seed =
	    given != NULL ? strtoull(given, NULL, 10) : rng_u64() | 1;
	printf("seed %llu (KV_SEED)\n", (unsigned long long)syncd_rig.seed);
	strcpy(syncd_rig.dir, "/tmp/kv-test-syncd.XXXXXX");
	strcpy(syncd_rig.shm, "/dev/shm/kv-test-syncd.XXXXXX");
	assert_non_null(mkdtemp(syncd_rig.dir));
	assert_non_null(mkdtemp(syncd_rig.shm));
	syncd_life_begins(1000ull * 3600 * 24);
	return 0;
}

int
syncd_tear_down(void **state)
{
	char line[1024];

	(void)state;
	syncd_life_ends();
	snprintf(line, sizeof(line), "rm -rf %s %s", syncd_rig.dir,
	    syncd_rig.shm);
	assert_int_equal(system(line), 0);
	return 0;
}

void
syncd_refresh(void)
{
	assert_int_equal(syncd_rig.s.ops->refresh(syncd_rig.s.self), KV_OK);
}

void
syncd_release(void)
{
	syncd_rig.s.ops->release(syncd_rig.s.self);
}

void
syncd_settle(void)
{
	assert_int_equal(maintain_settle(syncd_rig.engine), KV_OK);
}

/* ---- writing ---- */

void
syncd_local_bucket(const char *name, uint32_t options)
{
	uint64_t end;

	syncd_refresh();
	assert_int_equal(engine_create(syncd_rig.engine, slice_of(name),
			     options),
	    KV_OK);
	assert_int_equal(engine_commit(syncd_rig.engine, &end), KV_OK);
	syncd_release();
}

/* NULL: delete. */
struct stamp
syncd_local_write(const char *bucket, const char *key, const char *value)
{
	const struct bucket *b;
	struct record r;
	uint64_t bid, end;
	int rc;

	syncd_refresh();
	assert_int_equal(engine_bucket(syncd_rig.engine, slice_of(bucket), &b),
	    KV_OK);
	bid = b->bid;
	rc = value == NULL ? engine_delete(syncd_rig.engine, b, slice_of(key))
			   : engine_put(syncd_rig.engine, b, slice_of(key),
				 slice_of(value), 0);
	assert_int_equal(rc, KV_OK);
	assert_int_equal(engine_commit(syncd_rig.engine, &end), KV_OK);
	assert_int_equal(syncd_rig.s.ops->get(syncd_rig.s.self, bid,
			     slice_of(key), &r),
	    KV_OK);
	syncd_release();
	return r.stamp;
}

struct sync_change
syncd_change_put(const char *key, uint64_t tick, uint64_t inc,
    const char *value)
{
	return (struct sync_change){ .how = CHANGE_MERGE,
		.item.record = { .type = RECORD_PUT,
		    .stamp = { tick, inc },
		    .bid = engine_bucket_id(slice_of("b")),
		    .key = slice_of(key),
		    .value = slice_of(value) } };
}

int
syncd_commit(const struct sync_batch *b)
{
	uint64_t position = 0;
	int rc;

	syncd_refresh();
	rc = syncd_rig.s.ops->commit(syncd_rig.s.self, b, &position);
	syncd_release();
	if (rc == KV_OK)
		assert_true(position > 0);
	return rc;
}

void
syncd_commit_row(struct sync_row row)
{
	const struct sync_batch b = { .rows = &row, .row_count = 1 };

	assert_int_equal(syncd_commit(&b), KV_OK);
}
