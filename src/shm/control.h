/* SPDX-License-Identifier: ISC */
#ifndef KV_SHM_CONTROL_H
#define KV_SHM_CONTROL_H

/* The control block: the one page of truth that all processes of a store map.
 * It says how far the log goes, who may append, who is there and who wants to
 * be woken.  Fixed width, versioned; offsets are asserted in control.c.
 *
 * Positions are LSNs and only grow:
 *
 *     checkpointed <= durable <= wal_end     indexed_end <= wal_end
 *
 * What is marked (lock) is written only while the append mutex is held.
 * Atomics are published with release and read with acquire unless a line
 * says otherwise. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kv_types.h"

#define CONTROL_MAGIC 0x6b7663746c303031u /* "kvctl001" */
#define CONTROL_VERSION 5
#define CONTROL_SLOTS 5 /* segments in memory: 4 outstanding and a spare */
#define CONTROL_OUTSTANDING 4
#define CONTROL_PROCESSES KV_BUILD_MAX_PROCESSES
#define CONTROL_CURSORS 4096
#define CONTROL_CHANNELS 4096
#define CONTROL_PATTERNS 256 /* of them: the first ones */
#define CONTROL_NO_PIN UINT64_MAX
#define CONTROL_ASKS 64 /* bits of a word */
#define CONTROL_ASK_WORDS 48
#define CONTROL_PROCESS_WORDS ((CONTROL_PROCESSES + 63) / 64)

enum control_role {
	ROLE_NONE,
	ROLE_WORKER,
	ROLE_WALWRITER,
	ROLE_CHECKPOINTER,
	ROLE_SYNCD,
	ROLE_LIBRARY,
};

/* Why writes fail now; cleared by who set it when it is over. */
enum control_trouble {
	TROUBLE_LOG_SPACE = 1,	/* walwriter: no room for the next log file */
	TROUBLE_TREE_SPACE = 2, /* checkpointer: disk or map full */
	TROUBLE_SHM_SPACE = 4,	/* checkpointer: no room in shm_dir */
	TROUBLE_LOG_IO = 8,	/* walwriter: a write failed */
	TROUBLE_CORRUPT = 16,	/* checkpointer: a record's check is wrong */
};

/* One process that has the store open.  Alive as long as it holds its byte of
 * the lock file (pids are reused, locks are not). */
struct control_process {
	_Alignas(64) _Atomic uint32_t pid; /* 0: free */
	_Atomic uint32_t role;
	_Atomic uint64_t pin; /* oldest segment its view uses, or NO_PIN */
	/* Wake me when ... (0: do not).  Set before sleeping, then the
	 * condition is looked at once more; the waker clears what it serves. */
	_Atomic uint64_t want_durable; /* durable >= this */
	_Atomic uint64_t want_indexed; /* indexed_end >= this */
	_Atomic uint32_t want_room;    /* a segment became free */
	_Atomic uint32_t clients;      /* for status */
	_Atomic uint64_t started_ms;
	_Atomic uint64_t requests;
	_Atomic uint32_t port;
	_Atomic uint32_t subscriptions; /* to channels and patterns */
};

/* A Redis cursor is 64 bits, a place in key order up to 500 bytes: the place
 * is kept here, by slot, for all ports of the host.  seq lock: the token is 0
 * while the slot is being written. */
struct control_cursor {
	_Alignas(64) _Atomic uint64_t token;
	uint64_t bid;
	uint32_t phase;
	uint32_t key_len;
	char key[KV_KEY_MAX + 4];
};

/* A channel or pattern that clients of one process are subscribed to, for the
 * counts that PUBLISH and PUBSUB tell.  It is its owner's, who alone writes it:
 * owner first, then the rest, then the tag, with which readers begin and end. */
struct control_channel {
	_Alignas(64) _Atomic uint32_t owner; /* process slot + 1; 0: free */
	_Atomic uint32_t count;
	_Atomic uint32_t len;
	char name[KV_KEY_MAX];
};

/* A question to other processes of the host; see engine/ask.c.  It is its
 * owner's, but for the answers: each process turns the one of its slot from
 * "wanted" into what it answers.  All of it atomic words: a question may go
 * away while somebody reads it, who then finds another owner. */
struct control_ask {
	_Alignas(64) _Atomic uint64_t owner; /* number and slot + 1; 0: free */
	_Atomic uint32_t what;
	_Atomic uint32_t len;
	_Atomic uint64_t body[CONTROL_ASK_WORDS];
	_Atomic uint64_t answers[CONTROL_PROCESSES]; /* number, answer */
};

struct control_stats {
	_Atomic uint64_t appends, records, syncs, sync_bytes, sync_ns;
	_Atomic uint64_t wakes, stalls, stall_ns, rolls;
	_Atomic uint64_t checkpoints, checkpoint_records, checkpoint_ns;
	_Atomic uint64_t owner_deaths, repaired, expired, purged;
};

struct control {
	/* Written once, before state becomes ready. */
	uint64_t magic;
	uint32_t version;
	uint32_t byte_order; /* 0x01020304 as stored by the maker */
	uint64_t size;	     /* of this block */
	uint64_t store_id;
	uint64_t segment_size;
	uint64_t index_entries; /* per segment, a power of two */
	uint64_t hash_secret;	/* seed of the index */
	/* (lock) Incarnation, this memory's life, and when it began: changed
	 * by engine/incarnation.c when the clock jumps. */
	_Atomic uint64_t inc;
	_Atomic uint64_t start_tick;
	uint64_t made_ms;
	_Atomic uint32_t state;	     /* 1: ready */
	_Atomic uint32_t durability; /* of conf; the walwriter's promise */
	uint64_t folder; /* which copy of the store's folder made it */
	uint64_t boot;	 /* in which boot of the machine */
	_Atomic uint32_t unsynced; /* some of what is durable was only written:
				      in mode os, or before this memory */

	_Alignas(64) pthread_mutex_t append_mutex; /* robust, shared */
	uint64_t seq;				   /* (lock) last one given */
	uint64_t index_used; /* (lock) entries taken in the current index */

	_Alignas(64) _Atomic uint64_t wal_end; /* (lock) bytes are whole */
	_Atomic uint64_t indexed_end;	       /* (lock) readers may look */
	_Atomic uint64_t segment_hi;	       /* (lock) the one appended to */
	_Atomic uint64_t bucket_change;	       /* (lock) LSN after the newest
						  bucket record */
	_Atomic uint64_t message_end;	       /* (lock) LSN after the newest
						  PUBLISH of this host */
	_Alignas(64) _Atomic uint64_t durable; /* walwriter */
	_Atomic uint64_t file_ready; /* walwriter: files exist up to here */

	_Alignas(64) _Atomic uint64_t checkpointed; /* checkpointer */
	_Atomic uint64_t segment_lo; /* checkpointer: oldest live segment */
	_Atomic uint64_t
	    memory_ready;	  /* checkpointer: slots clean up to here */
	_Atomic uint64_t buckets; /* (lock) named buckets, about: 0 = none */
	_Atomic uint64_t locals;  /* rows of local ones, about: 0 = none */
	/* recovery, checkpointer, engine/clockwatch.h; 0: none */
	_Atomic int64_t clock_offset;	/* wall clock - time since boot, ms */
	_Atomic uint64_t clock_seq;	/* seq when that was last so */
	_Atomic uint64_t clock_doubted; /* until this time since boot, ms */

	/* futex words: a sleeper waits for the word to change. */
	_Alignas(64) _Atomic uint32_t writer_futex;
	_Atomic uint32_t writer_sleeps;
	_Alignas(64) _Atomic uint32_t checkpoint_futex;
	_Atomic uint32_t checkpoint_sleeps;
	_Atomic uint32_t checkpoint_asked; /* empty the log, all of it */

	_Alignas(64) _Atomic uint32_t trouble; /* of control_trouble */
	_Atomic uint32_t followers;    /* processes with want_indexed set */
	_Atomic uint32_t process_high; /* slots in use lie below */
	_Atomic uint64_t cursor_next;
	uint64_t born_tick;	     /* the clock when the last life ended */
	_Atomic uint32_t inc_stored; /* the tree knows inc */
	_Atomic uint64_t inc_next;   /* (lock) it may know this one already */
	_Atomic uint32_t notify;    /* notify-keyspace-events, of all workers */
	_Atomic uint64_t client_id; /* last one given to a client */
	_Atomic uint64_t pause;	    /* CLIENT PAUSE; see engine/host.c */
	_Atomic uint64_t ask_number; /* last one given to a question */
	/* By process slot, a bit each: has clients that monitor. */
	_Atomic uint64_t monitors[CONTROL_PROCESS_WORDS];

	_Alignas(64) struct control_stats stats;
	struct control_process processes[CONTROL_PROCESSES];
	struct control_cursor cursors[CONTROL_CURSORS];
	_Atomic uint64_t channel_tags[CONTROL_CHANNELS]; /* hash; 0: none */
	struct control_channel channels[CONTROL_CHANNELS];
	_Atomic uint64_t asked[CONTROL_PROCESSES]; /* a bit for each ask */
	struct control_ask asks[CONTROL_ASKS];
};

/* Map <folder>/control.  make: create it afresh (an old one is unlinked
 * first, so that nobody who still has it mapped is disturbed) with all fields
 * but magic zero and the mutex ready.  Otherwise KV_ENOTFOUND when there is
 * none and KV_EVERSION when it is not ours to read (logged). */
KV_CHECKED int control_make(const char *folder, struct control **out);
KV_CHECKED int control_map(const char *folder, struct control **out);
void control_unmap(struct control *c);

/* Set the mutex up again; only for a first opener, when nobody else lives. */
void control_reset_mutex(struct control *c);

/* The append mutex.  *died is set when its last owner died holding it: the
 * caller repairs the log, then calls control_lock_repaired(). */
void control_lock(struct control *c, bool *died);
void control_lock_repaired(struct control *c);
void control_unlock(struct control *c);

/* futex(2): sleep until *word differs from seen, or timeout_ms passed (-1: no
 * limit) or a signal came; wake everyone on the word. */
void control_futex_wait(_Atomic uint32_t *word, uint32_t seen, int timeout_ms);
void control_futex_wake(_Atomic uint32_t *word);

#endif
