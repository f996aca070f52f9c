/* SPDX-License-Identifier: ISC */
#ifndef KV_TESTS_ENGINE_MODEL_H
#define KV_TESTS_ENGINE_MODEL_H

/* What a store should hold, kept the naive way, beside what a follower of the
 * log made of it.  Both lie in memory that survives the processes that use the
 * store: LMDB allows a store once per process and not across a fork, so each
 * life of an engine is a child's. */

#include <stdbool.h>

#include "engine/engine.h"
#include "engine/feed.h"

#define MODEL_BUCKETS 5
#define MODEL_KEYS 120
#define MODEL_STEPS 64 /* states remembered */

/* Not cmocka's, which cannot fail a test from a child. */
#define EXPECT(condition)                                                      \
	do {                                                                   \
		if (!(condition))                                              \
			model_fail(__FILE__, __LINE__, #condition);            \
	} while (0)
_Noreturn void model_fail(const char *file, int line, const char *what);

struct model_key {
	bool present;
	uint32_t value; /* what its bytes are made from */
	uint32_t len;
	uint64_t deadline;
};

struct model_bucket {
	bool live;
	struct model_key keys[MODEL_KEYS];
};

struct model {
	struct model_bucket buckets[MODEL_BUCKETS];
};

struct replica_key {
	bool present;
	struct stamp stamp;
	uint64_t hash; /* of the value */
};

struct model_shared {
	uint64_t seed;
	char dir[64], shm[64];
	/* State n is what n commits made; state n lies at n % MODEL_STEPS. */
	unsigned durable; /* survives a power cut */
	unsigned newest;  /* survives the death of all processes */
	unsigned attempt; /* newest + 1 while a commit is under way */
	struct model steps[MODEL_STEPS];
	uint64_t feed_seq;
	struct replica_key replica[MODEL_BUCKETS][MODEL_KEYS];
};

/* Shared memory and an empty folder for a store; exits on failure. */
struct model_shared *model_new(void);
void model_free(struct model_shared *m);

/* For cmocka: a new one for each test. */
extern struct model_shared *model;
int model_set_up(void **state);
int model_tear_down(void **state);

/* The memory of the machine is gone; nobody may have the store open. */
void model_cut_power(struct model_shared *m);

struct engine *model_open(struct model_shared *m,
    enum engine_durability durability);

/* Which of the possible states is it?  It becomes the only one. */
void model_find(struct model_shared *m, struct engine *e, bool power_cut);

/* One batch of random changes, to the store and the model. */
void model_commit(struct model_shared *m, struct engine *e);

/* All that was committed survives a power cut from here on; some of it, or
 * all, moves to the tree. */
void model_maintain(struct model_shared *m, struct engine *e, bool all);

/* What the verifier finds wrong; its lines go to stderr. */
int model_findings(struct engine *e);

/* Everything that can be asked, against the model.  Makes its own view. */
void model_check(struct model_shared *m, struct engine *e);

/* Follow the log to its end; what came out must be the store.  Needs
 * everything durable. */
void model_follow(struct model_shared *m, struct engine *e);

uint32_t model_random(struct model_shared *m, uint32_t below);

/* The last one is local, and called as one that is not. */
struct kv_slice model_bucket_name(unsigned b);
enum scope model_bucket_scope(unsigned b);
KV_CHECKED int model_bucket(struct engine *e, unsigned b,
    const struct bucket **out);

#endif
