/* SPDX-License-Identifier: ISC */
#ifndef SIM_GHOST_H
#define SIM_GHOST_H

/* What nobody in the cluster knows and the simulator remembers: every write,
 * every purge.  From it follow the invariants, but for what the
 * design does not promise. */

#include "store.h"

#define GHOST_NODES 6
#define GHOST_KEYS 18
#define GHOST_SHORT (GHOST_BUCKETS - 1) /* may have a ttl_max */
#define GHOST_BUCKETS 3
#define GHOST_ORIGINS 2048
#define GHOST_TABLE 4096
#define GHOST_WRITES 6000
#define GHOST_PURGES 1000

#define GHOST_VIOLATIONS(X)                                                    \
	X(GHOST_CLAIM, "claim") /* I1: a vector covers what is not there */    \
	X(GHOST_DIVERGED, "diverged")                                          \
	X(GHOST_LOST, "lost")	      /* a surviving write is gone */          \
	X(GHOST_ZOMBIE, "zombie")     /* a delete came undone */               \
	X(GHOST_STAMP, "stamp")	      /* a local write was not the newest */   \
	X(GHOST_VALUE, "value")	      /* other bytes than were written */      \
	X(GHOST_STUCK, "stuck")	      /* did not settle */                     \
	X(GHOST_NOISE, "noise")	      /* settled, but frames go on */          \
	X(GHOST_WINNERS, "winners")   /* of what only one may win */           \
	X(GHOST_SERVICE, "service")   /* a call, message, list is wrong */     \
	X(GHOST_LIMIT, "limit")	      /* memory or a read transaction held */  \
	X(GHOST_CONFLICT, "conflict") /* not kept, or none */                  \
	X(GHOST_ERROR, "error")	      /* the core failed by itself */

enum ghost_violation {
#define X(name, text) name,
	GHOST_VIOLATIONS(X)
#undef X
	    GHOST_VIOLATION_COUNT
};

extern const char *const ghost_names[GHOST_VIOLATION_COUNT];

struct ghost_write {
	uint64_t tick;
	uint16_t origin;
	uint8_t key;
	struct stamp stamp;
	struct kv_slice value;
	struct stamp base; /* that it replaced */
	struct stamp had;  /* the last one of elsewhere that its writer had */
	bool tells_prev;   /* its bucket had a conflict log */
};

struct ghost_purge {
	bool is_void; /* a restore took it back */
	unsigned key, node;
	uint64_t clock;
	struct stamp stamp;
	unsigned origin_count;	    /* then */
	uint64_t vv[GHOST_ORIGINS]; /* what the purger had or knew of */
};

struct ghost {
	uint64_t origins[GHOST_ORIGINS];
	unsigned origin_count;
	uint16_t table[GHOST_TABLE]; /* inc to origin + 1, open addressing */
	struct ghost_write writes[GHOST_WRITES];
	unsigned write_count;
	struct ghost_purge purges[GHOST_PURGES];
	unsigned purge_count;
	struct stamp purged[GHOST_KEYS];    /* the highest of each key */
	struct stamp forgotten[GHOST_KEYS]; /* of short ones */
	bool has_short;			    /* bucket GHOST_SHORT may be so */
	/* What a node was told of and has given up waiting for, in time and
	 * too early. */
	uint64_t given_up[GHOST_NODES][GHOST_ORIGINS];
	uint64_t missed[GHOST_NODES][GHOST_ORIGINS];
	uint64_t bids[GHOST_BUCKETS];

	/* There are no digests: what only they can find is no violation.  That
	 * is a write that did not get around and is older than a tombstone
	 * which was purged by somebody who had not seen it. */
	bool is_forgiving;

	unsigned violations[GHOST_VIOLATION_COUNT];
	char why[200]; /* of the first one */
};

void ghost_reset(struct ghost *g, bool is_forgiving);
bool ghost_is_violated(const struct ghost *g);
void ghost_violation(struct ghost *g, enum ghost_violation v, const char *fmt,
    ...) KV_PRINTF(3, 4);

/* A run has begun. */
void ghost_origin(struct ghost *g, uint64_t inc);
/* -1: no such run. */
int ghost_number(const struct ghost *g, uint64_t inc);
/* What the rows claim, by number (origin_count of them); of the own run all up
 * to the clock. */
void ghost_vector(const struct ghost *g, const struct sim_store *s,
    const struct sim_state *t, uint64_t vv[GHOST_ORIGINS]);

/* Keys and buckets by number. */
struct kv_slice ghost_bucket_name(unsigned bucket);
struct kv_slice ghost_key_name(unsigned key);
static inline unsigned
ghost_bucket_of(unsigned key)
{
	return key / (GHOST_KEYS / GHOST_BUCKETS);
}
unsigned ghost_key_number(struct kv_slice key);
const struct record *ghost_find(const struct ghost *g,
    const struct sim_state *t, unsigned key);

/* A local write over `was`, or NULL, of the run own_inc. */
void ghost_wrote(struct ghost *g, const struct record *r,
    const struct record *was, uint64_t own_inc);
/* rivals.c: what its writer had. */
void ghost_wrote_over(struct ghost *g, struct ghost_write *w,
    const struct record *was, uint64_t own_inc);
/* Two versions met at the node: is the right one kept as lost? */
void ghost_met(struct ghost *g, unsigned node, const struct sim_store *s,
    const struct sim_meeting *m);
void ghost_purged(struct ghost *g, unsigned node, const struct record *r,
    const struct sim_store *s);
/* A tombstone of a bucket with a ttl_max: nothing older is seen again. */
void ghost_forgot(struct ghost *g, const struct record *r);
void ghost_check_forgotten(struct ghost *g, unsigned node,
    const struct sim_store *s, uint64_t wall_ms);
void ghost_gave_up(struct ghost *g, unsigned node, struct stamp announced,
    bool in_time);
/* The node's clock went back to this: later purges did not happen. */
void ghost_unpurge(struct ghost *g, unsigned node, uint64_t clock);

/* All has settled: forget the writes that none of these stores has any more,
 * and the purges of which a later one says more. */
void ghost_forget(struct ghost *g, const struct sim_store *const *stores,
    unsigned count);

/* The values of writes into another arena. */
void ghost_move(struct ghost *g, struct arena *into);

/* I1: for every write under a claim of this store, its state is that write or
 * a newer one.  Stamps over sane (0: any) were refused by everybody. */
void ghost_check_claims(struct ghost *g, unsigned node,
    const struct sim_store *s, uint64_t sane);

/* What survives when writing stops. */
struct ghost_end {
	struct stamp best[GHOST_KEYS];
	bool lives[GHOST_KEYS];
	uint64_t deadline[GHOST_KEYS];
	struct stamp dropped[GHOST_BUCKETS];
	struct {
		uint64_t vv[GHOST_ORIGINS];
	} node[GHOST_NODES];
};

void ghost_survey(const struct ghost *g, struct ghost_end *e,
    const struct sim_store *const *stores, unsigned count);

/* All settled: alike, nothing lost, nothing undead.  Deadlines up to over_ms
 * may or may not have struck. */
void ghost_check_end(struct ghost *g, const struct ghost_end *e,
    const struct sim_store *const *stores, unsigned count, uint64_t over_ms);

/* Print in what they differ. */
void ghost_explain(const struct ghost *g, const struct sim_store *const *stores,
    unsigned count);

/* Equal digests, equal rows of all runs that are over? */
bool ghost_is_settled(const struct ghost *g,
    const struct sim_store *const *stores, unsigned count);

#endif
