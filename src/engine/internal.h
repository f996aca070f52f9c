/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_INTERNAL_H
#define KV_ENGINE_INTERNAL_H

/* struct engine and what the files of this folder say to each other.  Nobody
 * outside includes this. */

#include <limits.h>

#include "base/buf.h"
#include "engine/engine.h"
#include "shm/wake.h"
#include "tree/apply.h"
#include "tree/hot.h"
#include "tree/schema.h"
#include "tree/tree.h"
#include "wal/file.h"
#include "wal/index.h"

/* Bytes of the lock file that mean something. */
enum {
	LOCK_OPEN = 0,	 /* shared: has the store open; exclusive: recovers */
	LOCK_ROLE = 16,	 /* + enum control_role, exclusive */
	LOCK_SLOT = 256, /* + process slot, exclusive: is alive */
};

/* How a version of a key counts in its bucket's sums. */
struct count {
	bool live;
	uint64_t deadline;  /* of a live one, 0: none */
	uint64_t bytes;	    /* of key and value */
	uint64_t digest[2]; /* 0 when it has a deadline */
};

enum stage_row {
	STAGE_NO_ROW,
	STAGE_CREATE,
	STAGE_DROP,
	STAGE_MERGED,	   /* of another host */
	STAGE_MERGED_DROP, /* and its drop is news */
};
#define STAGE_NO_BUCKET UINT32_MAX

/* A staged record: its bytes lie in stage.bytes, its place in the log, its
 * stamp and its totals are not known before it is appended. */
struct stage_item {
	uint32_t offset; /* in stage.bytes */
	uint32_t len;
	uint64_t hash;	    /* of its key in the index */
	int32_t earlier;    /* item of the same key staged before, -1 */
	uint32_t bucket;    /* in stage.buckets; STAGE_NO_BUCKET: a message */
	enum stage_row row; /* a bucket row: which stamp it will set */
	bool decided;	    /* against the newest version that the view had */
	bool alone;	    /* see engine_alone */
	uint8_t prefix_len;
	char prefix[ENGINE_PREFIX_MAX];
	uint64_t rival;	     /* of a bucket row that is to be alone */
	struct count before; /* what the view had for the key */
	struct count after;  /* what it has with this; set by append */
};

/* A bucket that the batch writes to. */
struct stage_bucket {
	uint64_t bid;
	uint64_t hash;	      /* of its chain in the index */
	struct totals tree;   /* in the tree: when no segment has any */
	struct totals totals; /* running; set by append */
	uint32_t last;	      /* offset of its newest record; by append */
	uint32_t options;     /* as the view says, or a row merged before */
	int32_t drop;	      /* newest drop before the item at hand, -1 */
	struct stamp dropped; /* as the view says, or a row merged before */

	/* A merged drop hides what is older, not all there is. */
	bool recounted;
	struct totals survivors;

	/* staged.c: what the batch changes, up to stage.summed. */
	uint64_t ahead_keys, ahead_bytes;
	int32_t ahead_drop; /* newest drop, -1 */
};

/* Positions by hash, open addressing, 0 is empty. */
struct stage_table {
	uint32_t *at; /* index + 1 */
	size_t size;  /* a power of two, 0: not in use */
};

struct stage {
	struct buf bytes;
	struct stage_item *items;
	size_t count, cap;
	struct stage_bucket *buckets;
	size_t bucket_count, bucket_cap;
	size_t rows;	   /* items that are bucket rows */
	size_t timed;	   /* items with a deadline to come */
	size_t summed;	   /* items that staged_totals has seen */
	size_t message_to; /* where the last PUBLISH of this host ends; 0 */
	uint64_t batch;	   /* another one after each commit or rollback */
	uint64_t clock;	   /* highest tick of a stamp from elsewhere */
	uint8_t cause;	   /* of what is staged now: engine_because */
	bool built;	   /* engine_put_built */
	size_t cause_from; /* its first item */
	struct stage_table item_table, bucket_table;
};

/* conflict.c: what of the batch was kept already, and said of all. */
struct conflict_tally {
	uint64_t batch;
	size_t count, bytes;
	uint64_t said_ms, unsaid;
};

/* Stamps of staged records, later than any real one, in staging order. */
#define STAGE_TICK (UINT64_MAX / 2 + 1)

/* Names this process has asked for; valid while bucket_change stays. */
struct bucket_cache;

struct engine {
	struct engine_options options;
	char dir[PATH_MAX];
	char shm[PATH_MAX]; /* our folder in shm_dir */
	uint64_t store_id;
	int lock_fd;
	unsigned slot;
	struct control *control;
	struct control_process *process;
	struct segment segments[CONTROL_SLOTS];
	size_t segment_bytes; /* of a slot's file: image and index */
	uint64_t segment_size;
	uint32_t roles; /* bits of those we hold, by enum control_role */
	struct tree *tree;
	struct tree_hot *hot; /* its rows read lately */
	struct wake *wake;
	int wake_fd;

	/* The view. */
	bool viewing;
	bool locked;	      /* between engine_lock and engine_unlock */
	bool log_empty;	      /* nothing past the tree: skip the indexes */
	uint64_t view_lo;     /* oldest segment pinned */
	uint64_t view_end;    /* S: records before it are seen */
	uint64_t view_hi;     /* segment of view_end */
	uint64_t view_change; /* bucket_change before S was loaded, at most S */
	uint64_t now_ms;
	uint64_t revealed;

	struct stage stage;
	struct bucket_cache *cache;
	struct recent *recent; /* recent.c: ordered recent keys, feed marks */
	uint64_t swept_ms;     /* deadlines before it were seen to */
	struct soon *soon;     /* engine_own_deadlines; NULL: not wanted */
	struct purge_place purged_to; /* which tombstones were looked at */
	uint64_t troubled_ms;	      /* engine_trouble was seen last; 0 */
	bool limits_looked;	      /* limit.c: once in a life */
	struct conflict_tally conflicts;
	uint64_t own_end; /* of the last batch this process appended */
	uint64_t written; /* seq of its last record that others may want */

	struct wal_files *files; /* while we are the walwriter */
	struct writer *writer;
	struct checkpointer *checkpointer;
};

static inline const struct segment *
engine_segment(const struct engine *e, uint64_t number)
{
	return &e->segments[number % CONTROL_SLOTS];
}

static inline uint64_t
engine_segment_of(const struct engine *e, uint64_t lsn)
{
	return lsn / e->segment_size;
}

static inline uint64_t
engine_offset_of(const struct engine *e, uint64_t lsn)
{
	return lsn % e->segment_size;
}

static inline const struct wal_record *
engine_record_at(const struct engine *e, uint64_t lsn)
{
	return segment_record(engine_segment(e, engine_segment_of(e, lsn)),
	    engine_offset_of(e, lsn));
}

/* What is shown depends on the log before `end`. */
static inline void
view_reveal(struct engine *e, uint64_t end)
{
	if (end > e->revealed)
		e->revealed = end;
}

/* memory.c: the segments' slots. */
KV_CHECKED int memory_make(struct engine *e, uint64_t segment_size);
KV_CHECKED int memory_map(struct engine *e);
void memory_unmap(struct engine *e);
/* Is there room for a segment?  Not for sure. */
bool memory_may_prepare(const struct engine *e);
/* Allocate and clear the slot of a segment that nobody uses. */
KV_CHECKED int memory_prepare(struct engine *e, uint64_t number);

/* view.c */
/* Newest record of the key before `before` in segments hi..lo; LSN or 0. */
uint64_t view_find(const struct engine *e, uint64_t hash, enum wal_class class,
    uint64_t bid, struct kv_slice key, uint64_t before);
uint64_t view_find_chain(const struct engine *e, uint64_t hash, uint64_t bid,
    uint64_t before);
/* The record of the bucket (notes: 0) before the one at lsn; 0: none. */
uint64_t view_chain_back(const struct engine *e, uint64_t hash, uint64_t bid,
    uint64_t lsn);
void view_record(const struct engine *e, uint64_t lsn, struct record *out);
/* Move S forward without renewing the tree; our own appends, or the lock. */
void view_advance(struct engine *e);
/* The record, raw, from log or tree; does not look at the stage. */
KV_CHECKED int view_get_raw(struct engine *e, uint64_t hash, uint64_t bid,
    struct kv_slice key, struct record *out);

/* bucket.c */
KV_CHECKED int bucket_cache_new(struct engine *e);
void bucket_cache_free(struct engine *e);
/* Between views: drop the cache when it grew too large. */
void bucket_cache_trim(struct engine *e);
/* SipHash-128 (Aumasson, Bernstein 2012) over bid, key and stamp. */
void bucket_digest(uint64_t bid, struct kv_slice key, struct stamp stamp,
    uint64_t out[2]);

/* stage.c */
void stage_fini(struct stage *s);
void stage_clear(struct stage *s);
static inline struct wal_record *
stage_bytes(const struct stage *s, size_t item)
{
	return (
	    struct wal_record *)(void *)(s->bytes.data + s->items[item].offset);
}
/* Most entries that the batch takes in an index. */
static inline size_t
stage_entries(const struct stage *s)
{
	return s->count + s->rows + s->bucket_count;
}
/* Entries that an index may have: it is probed, so it is never full. */
static inline uint64_t
stage_entries_max(const struct engine *e)
{
	return e->control->index_entries - e->control->index_entries / 4;
}
/* How this version counts; b says what a drop hides. */
void stage_count(const struct bucket *b, const struct record *r,
    struct count *out);
/* The newest staged item of the key, -1. */
int32_t stage_find(const struct engine *e, uint64_t hash, enum wal_class class,
    uint64_t bid, struct kv_slice key);
void stage_view(const struct engine *e, int32_t item, struct record *out);
/* A message; r lacks only its type and the flag that says it is local. */
KV_CHECKED int stage_message(struct engine *e, struct record *r);

/* told.c: encode the record where the item says; note that there was nothing
 * of this key before, as far as that counts. */
void told_encode(struct stage *s, const struct stage_item *item,
    const struct record *r);
void told_new(struct wal_record *w, const struct count *before,
    uint64_t now_ms);

/* What there is of a key before a record of it is staged. */
struct stage_old {
	uint64_t hash;
	int32_t earlier;      /* item staged before, -1 */
	bool has;	      /* else the view has this one, raw */
	struct record record; /* gone with the view */
};
KV_CHECKED int stage_look(struct engine *e, enum wal_class class, uint64_t bid,
    struct kv_slice key, struct stage_old *out);

/* Stage a record of bucket b, whose row may be unknown: bid and dropped only.
 * Failures as of engine_put. */
KV_CHECKED int stage_record(struct engine *e, const struct bucket *b,
    const struct record *r, enum stage_row row);
/* The same for who has looked already. */
KV_CHECKED int stage_over(struct engine *e, const struct bucket *b,
    const struct record *r, enum stage_row row, const struct stage_old *old);
/* NULL: the batch does not write to that bucket yet. */
struct stage_bucket *stage_find_bucket(const struct engine *e, uint64_t bid);

/* A tombstone with flags of its own. */
KV_CHECKED int stage_tomb(struct engine *e, const struct bucket *b,
    struct kv_slice key, uint8_t flags);
/* A bucket's row; the stamp that `row` names is set when it is appended. */
KV_CHECKED int stage_bucket_row(struct engine *e, struct kv_slice name,
    struct bucket *b, enum stage_row row);

/* survivors.c: sums that a drop at b->dropped leaves of the bucket in the view
 * and the stage. */
KV_CHECKED int survivors_sum(struct engine *e, const struct bucket *b,
    struct totals *out);

/* append.c */
/* Take the mutex, mending what a dead owner left. */
void append_lock(struct engine *e);
void append_unlock(struct engine *e);
/* Begin the next segment; under the lock. */
KV_CHECKED int append_roll(struct engine *e);
/* Write the header of segment `number` into its slot. */
void append_begin_segment(struct engine *e, uint64_t number, uint64_t prev_end,
    uint64_t prev_nonce);
/* The next value of the hybrid clock; under the lock (kv-sync.7). */
uint64_t append_tick(struct control *c, uint64_t wall_ms);

/* recheck.c: what stands between the view and end, as the batch must know it;
 * under the lock.  KV_ESTALE: it may not be appended as it is. */
KV_CHECKED int recheck_stage(struct engine *e, uint64_t end);

/* mend.c: put [indexed_end, wal_end) into the index again; under the lock. */
void append_repair(struct engine *e);

/* channel.c, host.c, ask.c: whoever had the slot is gone. */
void channel_forget(struct control *c, unsigned slot);
void host_forget(struct control *c, unsigned slot);
void ask_forget(struct control *c, unsigned slot);

/* host.c: does a process have the slot?  One that was killed keeps its pid
 * there, but not its lock. */
bool host_is_alive(const struct engine *e, unsigned slot);

/* home.c: where the memory of the present or last life is; where that of a new
 * one is to be; the marks by which it is known. */
KV_CHECKED int home_find(struct engine *e);
KV_CHECKED int home_choose(struct engine *e);
KV_CHECKED int home_sign(struct engine *e);
uint64_t home_boot(void);

/* recover.c */
KV_CHECKED int recover_store(struct engine *e);

/* writer.c */
void writer_free(struct engine *e);

/* checkpoint.c: move the oldest segment (or what there is of it) into the
 * tree; needs no view and no process slot. */
KV_CHECKED int checkpoint_oldest(struct engine *e);
void checkpointer_free(struct engine *e);

/* sweep.c: turn what is past its deadline into tombstones, purge what is old.
 * *next_ms: when the next deadline is due, 0: none known. */
KV_CHECKED int sweep_step(struct engine *e, bool *more, uint64_t *next_ms);

/* conflict.c: note in a record that is to be staged what its writer has; look
 * whether one from elsewhere and what is there did not know of each other, and
 * keep which loses. */
KV_CHECKED int conflict_prev(struct engine *e, const struct bucket *b,
    struct record *r);
KV_CHECKED int conflict_look(struct engine *e, const struct bucket *b,
    const struct record *in, const struct record *there);

/* limit.c: records of before their bucket's ttl_max. */
KV_CHECKED int limit_step(struct engine *e, bool *more);

/* wake.c */
void engine_wake_followers(struct engine *e);
void engine_wake_durable(struct engine *e);
void engine_wake_room(struct engine *e);
void engine_wake_writer(struct engine *e);
/* Whoever lives looks again at what it waits for: a process that died between
 * clearing a want and sending the wake-up owes one to somebody. */
void engine_wake_all(struct engine *e);

/* crash.h: named places to die, in the crash build only. */
#ifdef KV_CRASH_POINTS
void crash_point(const char *name);
#define CRASH_POINT(name) crash_point(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

#endif
