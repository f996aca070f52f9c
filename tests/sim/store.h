/* SPDX-License-Identifier: ISC */
#ifndef SIM_STORE_H
#define SIM_STORE_H

/* The local store of sync/store.h as arrays: what the engine and the tree do,
 * small enough to be looked through, with everything that can happen to a
 * store as a function.  A crash, a backup and a clone are copies.
 *
 *	now	what this process sees: the log over the tree
 *	synced	what is left of it when the power goes
 *	tree	what the checkpointer has moved into LMDB; it may hold records
 *		newer than its rows and head (half a checkpoint), never older
 */

#include "arena.h"
#include "base/rival.h"
#include "sync/store.h"

#define SIM_LINEAGE 64
#define SIM_NOTES 4

struct sim_bucket {
	struct kv_slice name;
	struct bucket row;
};

struct sim_note {
	struct kv_slice name, value;
};

struct sim_row {
	uint64_t inc, tick;
};

struct sim_state {
	uint64_t head;	   /* newest seq of what other hosts may want */
	uint64_t clock;	   /* the last tick */
	uint64_t position; /* of the log: batches and writes */
	uint64_t highest;  /* tick that was taken in, for repair-clock */
	unsigned record_count, bucket_count, row_count, note_count;
	struct sim_note notes[SIM_NOTES];

	/* They grow; state.c alone moves them. */
	struct arena *arena;
	struct sim_bucket *buckets; /* by bid */
	struct record *records;	    /* by (bid, key) */
	struct sync_row *rows;	    /* as they came */
	unsigned bucket_room, record_room, row_room;
};

struct sim_meeting {
	const struct bucket *bucket;
	const struct record *in, *was;
	enum rival kept; /* as lost */
};

/* Told to the ghosts. */
struct sim_watch {
	void *user;
	/* A local write: all that must not get lost; and what it replaces, or
	 * NULL. */
	void (*wrote)(void *user, const struct record *r,
	    const struct record *was);
	/* A write of elsewhere and what is there, in a bucket with a conflict
	 * log. */
	void (*met)(void *user, const struct sim_meeting *m);
	/* A deadline is about to make it a tombstone. */
	void (*expired)(void *user, const struct record *r);
	/* A tombstone is forgotten. */
	void (*purged)(void *user, const struct record *r);
	/* The same in a bucket with a ttl_max. */
	void (*forgot)(void *user, const struct record *r);
	/* What is announced there does not count any more. */
	void (*gave_up)(void *user, const struct sync_row *row);
};

struct sim_store {
	struct sim_state now, synced, tree;
	bool is_half; /* a checkpoint stopped on its way */

	uint64_t uid, inc, start;
	struct sim_row lineage[SIM_LINEAGE]; /* newest first */
	unsigned lineage_count;
	uint64_t purges;
	uint64_t claims; /* commits; changes with each */

	/* The world around it. */
	struct arena *arena;
	uint64_t wall_ms;
	unsigned fills; /* commits after which the log is full; 0: never */
	int refuse;	/* KV_OK, or what commit and writes return */
	unsigned room;	/* of a commit: changes, rows, a note; 0: any number */
	int fuse;	/* commits until the process dies; 0: it does not */
	bool is_burnt;
	unsigned cut; /* changes until a commit is cut: a piece of it is in the
		       * log, without the claims; 0: it is not */
	bool cut_kills;	      /* or the log is full for the rest */
	bool wants_tree;      /* somebody waits for a checkpoint */
	bool is_reading;      /* between refresh and release */
	bool is_slow;	      /* nothing gets to its disk */
	bool is_full;	      /* nothing gets into its tree */
	bool has_no_snapshot; /* refresh fails: all slots are taken */
	bool is_doubted;      /* its clock */
	uint64_t well_seq;    /* the clock when it was last looked at */
	uint64_t slow_clock;  /* of MUTATE_WALL_CLOCK */
	struct sim_watch watch;
};

/* Empty, of this uid; start it before use. */
void sim_store_init(struct sim_store *s, struct arena *arena, uint64_t uid);

/* What it is, also into one that is all zeros; `to` keeps its watch. */
void sim_store_copy(struct sim_store *to, const struct sim_store *from);

/* Its bytes into another arena, which is to take the place of the old one. */
void sim_store_move(struct sim_store *s, struct arena *into);

/* A process opens it: a run with this inc (kv-sync.7). */
void sim_store_start(struct sim_store *s, uint64_t inc, uint64_t wall_ms);

/* The same, of a run that ended at this tick, as far as it knows. */
void sim_store_renew(struct sim_store *s, uint64_t inc, uint64_t wall_ms,
    uint64_t end);

/* What replication is given. */
struct sync_store sim_store_ops(struct sim_store *s);

/* ---- what clients do: KV_OK, KV_ENOTFOUND, or what refuse says ---- */

uint64_t sim_bucket_id(struct kv_slice name);
KV_CHECKED int sim_create(struct sim_store *s, struct kv_slice bucket,
    uint32_t options);
KV_CHECKED int sim_drop(struct sim_store *s, struct kv_slice bucket);
KV_CHECKED int sim_put(struct sim_store *s, struct kv_slice bucket,
    struct kv_slice key, struct kv_slice value, uint64_t deadline);
KV_CHECKED int sim_del(struct sim_store *s, struct kv_slice bucket,
    struct kv_slice key);

/* ---- what time and the other processes do ---- */

void sim_sync(struct sim_store *s);

/* Move what is synced into the tree.  records: only so many of those that
 * differ, then stop (half a checkpoint); UINT_MAX: all of it. */
void sim_checkpoint(struct sim_store *s, unsigned records);

/* Forget tombstones of the tree that died before this; not during half a
 * checkpoint. */
void sim_purge(struct sim_store *s, uint64_t before_ms);

/* Those in buckets with a ttl_max that were over before this. */
void sim_purge_short(struct sim_store *s, uint64_t before_ms);

/* Forget records of the tree that a drop killed. */
void sim_sweep(struct sim_store *s);

/* Records past their deadline become tombstones of the same stamp; those of
 * before their bucket's ttl_max get one. */
void sim_expire(struct sim_store *s);

/* The process is gone; with the power, what was not synced is too. */
void sim_crash(struct sim_store *s, bool power);

/* kv repair-clock: a new run whose clock is sane again (kv-sync.7). */
void sim_repair_clock(struct sim_store *s, uint64_t inc, uint64_t wall_ms,
    uint64_t drift_ms);

/* ---- looking in ---- */

const struct record *sim_find(const struct sim_state *t, uint64_t bid,
    struct kv_slice key);
const struct sim_bucket *sim_bucket(const struct sim_state *t, uint64_t bid);
/* Does a drop hide it? */
bool sim_is_killed(const struct sim_state *t, const struct record *r);
bool sim_bucket_lives(const struct sim_state *t, uint64_t bid);
const struct sync_row *sim_row(const struct sim_state *t, uint64_t inc);

/* All records that are seen, but those with a deadline, and all bucket rows
 * as one sum. */
uint64_t sim_digest(const struct sim_state *t);

#endif
