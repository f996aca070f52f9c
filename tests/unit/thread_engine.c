/* SPDX-License-Identifier: ISC */
/* Appending, looking up, following, and cursors, from many threads at once:
 * the orders between stores and loads that processes rely on, where the thread
 * sanitizer can see them.  (LMDB is left out: it allows a store once in a
 * process.) */

#include "engine/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/rng.h"
#include "wal_image.h"

#define SIZE (4u << 20)
#define KEYS 64
#define WRITERS 3
#define READERS 3
#define FOLLOWERS 2
#define SAVERS 4
#define SAVES 3000

static struct control *control;
static struct wal_image image;
static char folder[64];
static _Atomic bool full;

static int
set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/dev/shm/kv-test-thread.XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	if (control_make(folder, &control) < 0)
		return -1;
	wal_image_init(&image, SIZE, 0, 1234, 0);
	atomic_store(&control->wal_end, image.end);
	atomic_store(&control->indexed_end, image.end);
	return 0;
}

static int
tear_down(void **state)
{
	char command[128];

	(void)state;
	wal_image_fini(&image);
	control_unmap(control);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static void
key_name(uint64_t n, char to[16])
{
	snprintf(to, 16, "key%llu", (unsigned long long)n);
}

/* A batch of up to three records, published as engine_commit() does. */
static bool
append(uint64_t *seed)
{
	char key[16], value[32];
	bool died, room = true;
	unsigned i, n;

	control_lock(control, &died);
	if (died)
		control_lock_repaired(control);
	n = 1 + (unsigned)(rng_next(seed) % 3);
	for (i = 0; i < n && room; i++) {
		key_name(rng_next(seed) % KEYS, key);
		snprintf(value, sizeof(value), "%s=%llu", key,
		    (unsigned long long)image.seq + 1);
		room = wal_image_put(&image, rng_next(seed) % 2, key, value,
			   i + 1 < n) != 0;
	}
	atomic_store_explicit(&control->wal_end, image.end,
	    memory_order_release);
	atomic_store_explicit(&control->indexed_end, image.end,
	    memory_order_release);
	control_unlock(control);
	return room;
}

static void *
writer(void *user)
{
	uint64_t seed = (uint64_t)(uintptr_t)user;

	while (append(&seed))
		continue;
	atomic_store(&full, true);
	return NULL;
}

/* The newest version before S, never older than the one seen last. */
static void
look_up(uint64_t bid, const char *key, uint64_t end, uint64_t *seen)
{
	struct kv_slice name = slice_of(key);
	const struct wal_record *w;
	struct record r;
	char value[32];
	uint64_t at;

	at = index_find(&image.segment,
	    index_hash_key(WAL_IMAGE_SECRET, WAL_KEY, bid, name), WAL_KEY, bid,
	    name);
	while (at >= end)
		at = (uint64_t)segment_record(&image.segment, at)->prev << 3;
	if (at == 0) {
		assert_true(*seen == 0);
		return;
	}
	w = segment_record(&image.segment, at);
	wal_record_view(w, 1, at, &r);
	assert_true(r.bid == bid && slice_equal(r.key, name));
	assert_true(r.seq >= *seen);
	assert_true(r.end <= end);
	*seen = r.seq;
	snprintf(value, sizeof(value), "%s=%llu", key,
	    (unsigned long long)r.seq);
	assert_true(slice_equal(r.value, slice_of(value)));
}

static void *
reader(void *user)
{
	uint64_t seed = (uint64_t)(uintptr_t)user, seen[2][KEYS] = { { 0 } };
	char key[16];

	while (!atomic_load(&full)) {
		uint64_t end = atomic_load_explicit(&control->indexed_end,
		    memory_order_acquire);
		uint64_t bid = rng_next(&seed) % 2;
		uint64_t k = rng_next(&seed) % KEYS;

		key_name(k, key);
		look_up(bid, key, end, &seen[bid][k]);
	}
	return NULL;
}

static void *
follower(void *user)
{
	uint64_t at = SEGMENT_HEADER, seq = 0, end;
	bool last = false;

	(void)user;
	while (!last) {
		last = atomic_load(&full);
		end = atomic_load_explicit(&control->wal_end,
		    memory_order_acquire);
		while (at < end) {
			const struct wal_record *w =
			    segment_record(&image.segment, at);

			assert_int_equal(wal_record_verify(w, end - at, 1234,
					     at),
			    KV_OK);
			assert_int_equal(w->seq, ++seq);
			at += w->len;
		}
		assert_int_equal(at, end);
	}
	return NULL;
}

static void
readers_and_followers_see_whole_records_while_others_append(void **state)
{
	pthread_t threads[WRITERS + READERS + FOLLOWERS];
	uintptr_t i, n = 0;

	(void)state;
	atomic_store(&full, false);
	for (i = 0; i < READERS; i++)
		pthread_create(&threads[n++], NULL, reader, (void *)(i + 1));
	for (i = 0; i < FOLLOWERS; i++)
		pthread_create(&threads[n++], NULL, follower, NULL);
	for (i = 0; i < WRITERS; i++)
		pthread_create(&threads[n++], NULL, writer, (void *)(i + 100));
	while (n > 0)
		pthread_join(threads[--n], NULL);
	assert_true(image.end + 1024 > SIZE);
}

/* The newest cursor of each thread; others load it, or go on with it. */
static _Atomic uint64_t cursors[SAVERS];

static void
save_one(struct engine *e, unsigned mine, uint64_t n)
{
	char key[KV_KEY_MAX];
	size_t len = n % KV_KEY_MAX;
	uint64_t old = atomic_load(&cursors[mine]);

	memset(key, (int)(n % 251), len);
	atomic_store(&cursors[mine],
	    engine_cursor_save(e, n % 7 == 0 ? 0 : old, 9, (uint32_t)n,
		(struct kv_slice){ key, len }));
}

static void
load_one(struct engine *e, unsigned whose)
{
	uint64_t cursor = atomic_load(&cursors[whose]);
	char key[KV_KEY_MAX + 4];
	uint32_t phase;
	size_t i, len;

	if (cursor == 0 ||
	    engine_cursor_load(e, cursor, 9, &phase, key, &len) < 0)
		return; /* it was reused in between */
	assert_int_equal(len, phase % KV_KEY_MAX);
	for (i = 0; i < len; i++)
		assert_int_equal((unsigned char)key[i], phase % 251);
}

static void *
saver(void *user)
{
	unsigned mine = (unsigned)(uintptr_t)user;
	struct engine *e = calloc(1, sizeof(*e));
	uint64_t n;

	assert_non_null(e);
	e->control = control;
	e->slot = mine;
	for (n = 1; n <= SAVES; n++) {
		/* Now and then two threads go on with the same cursor. */
		save_one(e, n % 11 == 0 ? 0 : mine, n);
		load_one(e, (unsigned)(n % SAVERS));
	}
	free(e);
	return NULL;
}

static void
a_cursor_is_whole_or_gone_while_others_are_saved(void **state)
{
	pthread_t threads[SAVERS];
	uintptr_t i;

	(void)state;
	for (i = 0; i < SAVERS; i++)
		pthread_create(&threads[i], NULL, saver, (void *)i);
	for (i = 0; i < SAVERS; i++)
		pthread_join(threads[i], NULL);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(
		    readers_and_followers_see_whole_records_while_others_append),
		TEST(a_cursor_is_whole_or_gone_while_others_are_saved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
