/* SPDX-License-Identifier: ISC */
#ifndef SYNC_NODES_H
#define SYNC_NODES_H

/* A few nodes over array stores, joined by perfect wires, on one clock that
 * only the test moves. */

#include "../sim/store.h"
#include "sync/items.h"
#include "sync/replica.h"

#define NODES_MAX 4
#define NODES_QUEUE 512
#define NODES_EVENTS 64

struct wire_end {
	struct replica_link *link;     /* NULL: no link */
	struct buf queue[NODES_QUEUE]; /* frames on their way to this end */
	size_t first, count;
	bool is_cut; /* the program closes it after this turn */
};

struct node {
	struct sim_store store;
	struct replica *replica;
	struct replica_config config;
	char name[16];
	struct wire_end ends[NODES_MAX]; /* by the peer's index */
	struct replica_event events[NODES_EVENTS];
	size_t event_count;
	uint64_t next_ms;
	int64_t skew_ms; /* of its wall clock */
};

struct nodes {
	struct arena arena;
	struct node node[NODES_MAX];
	size_t count;
	uint64_t now_ms;
	uint64_t next_inc;
	size_t frames; /* that went over wires */
	size_t by_type[256];
	/* NULL, or: what else a node does in its turn, before it sends. */
	void (*in_turn)(struct nodes *n, size_t i);
	/* NULL, or: may this frame pass? */
	bool (*filter)(struct nodes *n, size_t from, size_t to,
	    struct kv_slice frame);
};

struct nodes *nodes_new(size_t count);
void nodes_free(struct nodes *n);

/* For cmocka: two or three for each test, in *state. */
int nodes_two(void **state);
int nodes_three(void **state);
int nodes_done(void **state);

/* (Re)start the process of a node; all its links are gone. */
void nodes_start(struct nodes *n, size_t i);
void nodes_stop(struct nodes *n, size_t i);

/* i dials j. */
void nodes_join(struct nodes *n, size_t i, size_t j);
void nodes_part(struct nodes *n, size_t i, size_t j);

/* One turn of a node. */
void nodes_turn(struct nodes *n, size_t i);

/* Turns of all until nothing moves, at this moment of the clock. */
void nodes_settle(struct nodes *n);
/* Let time pass, in steps, settling at each. */
void nodes_pass(struct nodes *n, uint64_t ms);

bool nodes_are_up(const struct nodes *n, size_t i, size_t j);
size_t nodes_events(const struct nodes *n, size_t i,
    enum replica_event_kind kind);

/* In the bucket "b", which node 0 makes. */
void nodes_put(struct nodes *n, size_t i, const char *key, const char *value);
/* A value of so many times the key's first byte. */
void nodes_put_large(struct nodes *n, size_t i, const char *key, size_t size);
void nodes_del(struct nodes *n, size_t i, const char *key);
bool nodes_has(const struct nodes *n, size_t i, const char *key);
/* NULL: not there. */
const char *nodes_get(struct nodes *n, size_t i, const char *key);

#endif
