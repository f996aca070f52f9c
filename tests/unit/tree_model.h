/* SPDX-License-Identifier: ISC */
#ifndef KV_TESTS_TREE_MODEL_H
#define KV_TESTS_TREE_MODEL_H

/* What the tree should hold, kept naively in arrays: a few buckets of a few
 * keys each.  Values are made from the seq of their record, so that a row can
 * be compared without being stored. */

#include "base/buf.h"
#include "tree/apply.h"
#include "tree/schema.h"

#define MODEL_BUCKETS 6 /* the last one is local */
#define MODEL_KEYS 40
#define MODEL_RECORDS (MODEL_BUCKETS * (MODEL_KEYS + 1) + 8)
#define MODEL_INC 4242u
#define OTHER_INC 77u

struct model_row {
	bool there;
	bool touched; /* since the last batch was taken */
	struct record r;
};

struct model {
	struct model_row rows[MODEL_BUCKETS][MODEL_KEYS];
	struct model_row buckets[MODEL_BUCKETS];
	struct bucket bodies[MODEL_BUCKETS];
	bool purging[MODEL_BUCKETS];
	uint64_t seq;
	uint64_t checkpointed;
	uint64_t random;
};

/* A batch owns its bytes. */
struct batch {
	struct record records[MODEL_RECORDS];
	size_t count;
	struct bucket_totals totals[MODEL_BUCKETS];
	struct tree_position to;
	struct buf bytes;
};

/* seed must not be 0. */
void model_init(struct model *m, uint64_t seed);
uint64_t tree_model_random(struct model *m, uint64_t below);
uint64_t model_bid(unsigned bucket);

/* n random writes: put, delete, create, drop. */
void model_write(struct model *m, unsigned n);

/* A certain write. */
void model_put(struct model *m, unsigned bucket, unsigned key,
    uint64_t deadline);
void model_delete(struct model *m, unsigned bucket, unsigned key);
void model_create(struct model *m, unsigned bucket);
void model_drop(struct model *m, unsigned bucket);

/* What was written since the last batch, as a checkpoint in random order. */
void model_take(struct model *m, struct batch *b);
void batch_fini(struct batch *b);
KV_CHECKED int batch_apply(struct tree *t, struct batch *b, size_t chunk,
    void (*pause)(void *user), void *user);

/* Take and apply, failing the test on error. */
void model_apply(struct tree *t, struct model *m, size_t chunk);

/* The tree is told that nothing of the runs in the model is missing; without
 * that no tombstone goes. */
void model_tell_runs(struct tree *t);

/* What purging does. */
void model_purge_tombs(struct model *m, uint64_t before_ms);
void model_purge_dropped(struct model *m);

/* All rows, in no order, and totals; slices borrow from bytes, which the
 * caller frees.  Returns how many. */
size_t model_all(struct model *m, struct record all[MODEL_RECORDS],
    struct totals sums[MODEL_BUCKETS], struct buf *bytes);

/* A sum of hashes in place of the engine's SipHash. */
void model_digest(const struct record *r, uint64_t sum[2]);

/* ---- comparing (tree_compare.c) ---------------------------------------- */

/* tree_check() of the newest snapshot; its lines go to out if not NULL. */
int tree_check_all(struct tree *t, struct buf *out);

/* Fail the test unless the tree shows what the model has, and is whole. */
void assert_tree_is(struct tree *t, struct model *m);

/* The seed in KV_SEED, else a random one; printed. */
uint64_t test_seed(const char *test);

/* ---- folders ----------------------------------------------------------- */

/* A new empty folder under /tmp; its removal. */
void folder_make(char path[64]);
void folder_remove(const char *path);

/* For cmocka: a new one for each test. */
extern char tree_folder[64];
int folder_set_up(void **state);
int folder_tear_down(void **state);

/* Open without fsync, failing the test on error. */
struct tree *folder_open(const char *path, bool writable);

#endif
