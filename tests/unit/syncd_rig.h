/* SPDX-License-Identifier: ISC */
#ifndef KV_TESTS_SYNCD_RIG_H
#define KV_TESTS_SYNCD_RIG_H

/* What the tests of kv-syncd's store share: one store in an empty folder with
 * segments of a mebibyte. */

#include "syncd/store.h"

struct syncd_rig {
	char dir[48], shm[48];
	struct engine *engine;
	struct syncd_store *store;
	struct sync_store s;
	uint64_t seed;
};
extern struct syncd_rig syncd_rig;

int syncd_set_up(void **state);
int syncd_tear_down(void **state);
uint32_t syncd_pick(uint32_t below);

/* The process ends in order and starts again. */
void syncd_life_ends(void);
void syncd_life_begins(uint64_t retention_ms);

void syncd_refresh(void);
void syncd_release(void);
/* All of the log goes to disk and into the tree. */
void syncd_settle(void);

void syncd_local_bucket(const char *name, uint32_t options);
/* NULL: delete. */
struct stamp syncd_local_write(const char *bucket, const char *key,
    const char *value);

/* A change to bucket b. */
struct sync_change syncd_change_put(const char *key, uint64_t tick,
    uint64_t inc, const char *value);
KV_CHECKED int syncd_commit(const struct sync_batch *b);
void syncd_commit_row(struct sync_row row);

#endif
