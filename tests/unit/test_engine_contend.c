/* SPDX-License-Identifier: ISC */
/* Records of other hosts for keys that a worker of this one is writing. */

#include "engine/foreign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/rng.h"
#include "engine/internal.h"
#include "engine/maintain.h"
#include "engine/walk.h"
#include "engine_model.h"

#define KEYS 4
#define WRITES 50000
#define MERGES 60000 /* at most: one segment holds all */
#define OTHERS 7     /* the incarnation elsewhere */

static char dir[48], shm[48];

static int
set_up(void **state)
{
	(void)state;
	log_init("test", LOG_LEVEL_ERROR);
	strcpy(dir, "/tmp/kv-test-contend.XXXXXX");
	strcpy(shm, "/dev/shm/kv-test-contend.XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_non_null(mkdtemp(shm));
	return 0;
}

static int
tear_down(void **state)
{
	char line[1024];

	(void)state;
	snprintf(line, sizeof(line), "rm -rf %s %s", dir, shm);
	assert_int_equal(system(line), 0);
	return 0;
}

static struct engine *
join(void)
{
	const struct engine_options o = { .dir = dir,
		.shm_dir = shm,
		.segment_size = 64u << 20,
		.map_size = 1ull << 28,
		.retention_ms = 1000ull * 3600 * 24,
		.durability = DURABILITY_EVERYSEC,
		.role = ROLE_LIBRARY };
	struct engine *e = NULL;

	if (engine_open(&o, &e) < 0)
		abort();
	return e;
}

static struct kv_slice
key_name(unsigned k)
{
	static const char *const names[KEYS] = { "a", "b", "c", "d" };

	return slice_of(names[k]);
}

/* The worker: in its own process, because LMDB allows a store once in each. */
static void
write_many(void)
{
	const struct bucket *b;
	struct engine *e = join();
	uint64_t end;
	unsigned i;
	int rc;

	for (i = 0; i < WRITES; i++) {
		rc = engine_refresh(e);
		if (rc == KV_OK)
			rc = engine_bucket(e, slice_of("b"), &b);
		if (rc == KV_OK)
			rc = engine_put(e, b, key_name(i % KEYS),
			    slice_of("ours"), 0);
		if (rc == KV_OK)
			rc = engine_commit(e, &end);
		engine_release(e);
		if (rc < 0 && rc != KV_ESTALE)
			abort();
	}
	engine_close(e);
}

/* All keys at once, stamped just behind what was written last, so that either
 * side wins now and then. */
static void
merge_some(struct engine *e, uint64_t *random)
{
	struct foreign batch[KEYS];
	uint64_t seq = engine_control(e)->seq, end;
	unsigned k;

	assert_int_equal(engine_refresh(e), KV_OK);
	for (k = 0; k < KEYS; k++) {
		uint64_t tick = seq + 1 + rng_next(random) % 4;

		batch[k] = (struct foreign){ .how = FOREIGN_MERGE,
			.record = { .type = RECORD_PUT,
			    .stamp = { tick, OTHERS },
			    .bid = engine_bucket_id(slice_of("b")),
			    .key = key_name(k),
			    .value = slice_of("theirs") } };
	}
	assert_int_equal(foreign_commit(e, batch, KEYS, &end), KV_OK);
	engine_release(e);
}

struct version {
	struct stamp stamp;
	uint8_t flags;
	bool there;
};

/* The next version of its key: a newer one, and relayed for as long as one of
 * ours lies under it. */
static void
check_version(const struct engine *e, struct version *before,
    const struct record *r)
{
	bool promised = before->there &&
	    (before->stamp.inc == e->control->inc ||
		before->flags & RECORD_RELAY);

	if (before->there)
		assert_true(stamp_compare(before->stamp, r->stamp) < 0);
	if (r->stamp.inc == OTHERS)
		assert_int_equal((r->flags & RECORD_RELAY) != 0, promised);
	*before = (struct version){ r->stamp, r->flags, true };
}

static unsigned
check_log(struct engine *e)
{
	struct version newest[KEYS] = { 0 };
	const struct wal_record *w;
	unsigned theirs = 0, k;
	struct record r;
	uint64_t number;
	struct walk walk;

	for (number = e->view_lo; number <= e->view_hi; number++) {
		walk_begin(e, number, &walk);
		while (walk_next(&walk, &w) == KV_OK) {
			if (w->type != RECORD_PUT)
				continue;
			view_record(e, walk.start + walk.at - w->len, &r);
			k = (unsigned)(r.key.data[0] - 'a');
			check_version(e, &newest[k], &r);
			theirs += r.stamp.inc == OTHERS;
		}
	}
	return theirs;
}

/* merge() again and again while the worker writes; on a busy machine it may
 * write for long. */
static struct engine *
contend(void (*merge)(struct engine *e, uint64_t *random))
{
	struct engine *e;
	uint64_t random = rng_u64() | 1, end;
	int status = 0, go[2], n;
	char byte;
	pid_t pid, ended = 0;

	assert_int_equal(pipe(go), 0);
	if ((pid = fork()) == 0) {
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		write_many();
		_exit(0);
	}
	e = join();
	assert_int_equal(engine_refresh(e), KV_OK);
	assert_int_equal(engine_create(e, slice_of("b"), BUCKET_STAYS), KV_OK);
	assert_int_equal(engine_commit(e, &end), KV_OK);
	engine_release(e);
	assert_int_equal(write(go[1], "g", 1), 1);
	for (n = 0; n < MERGES && ended == 0; n++) {
		merge(e, &random);
		ended = waitpid(pid, &status, WNOHANG);
	}
	if (ended == 0)
		ended = waitpid(pid, &status, 0);
	assert_int_equal(ended, pid);
	assert_int_equal(status, 0);
	close(go[0]);
	close(go[1]);
	return e;
}

static void
versions_of_a_key_only_get_newer_however_many_write(void **state)
{
	struct engine *e = contend(merge_some);

	(void)state;
	assert_int_equal(engine_refresh(e), KV_OK);
	assert_true(check_log(e) > 0);
	engine_release(e);
	assert_int_equal(model_findings(e), 0);
	engine_close(e);
}

/* Dropped elsewhere a moment ago, and made again: what is newer stays. */
static void
merge_drop(struct engine *e, uint64_t *random)
{
	uint64_t seq = engine_control(e)->seq, end;
	struct foreign f = { .how = FOREIGN_MERGE,
		.record = { .type = RECORD_BUCKET, .key = slice_of("b") } };

	assert_int_equal(engine_refresh(e), KV_OK);
	f.bucket.dropped = (struct stamp){ seq - rng_next(random) % 5, OTHERS };
	f.bucket.created = (struct stamp){ f.bucket.dropped.tick, OTHERS + 1 };
	f.bucket.options = BUCKET_STAYS;
	assert_int_equal(foreign_commit(e, &f, 1, &end), KV_OK);
	engine_release(e);
	if (rng_next(random) % 64 == 0)
		assert_int_equal(model_findings(e), 0);
}

static void
sums_stay_exact_when_drops_from_elsewhere_meet_writes(void **state)
{
	struct engine *e = contend(merge_drop);

	(void)state;
	assert_int_equal(model_findings(e), 0);
	engine_close(e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    versions_of_a_key_only_get_newer_however_many_write, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    sums_stay_exact_when_drops_from_elsewhere_meet_writes,
		    set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
