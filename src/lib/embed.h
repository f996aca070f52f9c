/* SPDX-License-Identifier: ISC */
#ifndef KV_LIB_EMBED_H
#define KV_LIB_EMBED_H

/* The handle of an open store, and what the files of libkv say to each other.
 * What programs see of it is in <kv.h>; names without kv_ stay inside. */

#include <kv.h>

#include "base/buf.h"
#include "engine/engine.h"
#include "lib/batch.h"

struct kv {
	struct engine *engine;
	struct buf copy;	/* what a read outside a turn handed out */
	struct kv_batch single; /* for writes of one change */
	bool in_turn;
	uint64_t turns;	   /* counted, for cursors that outlive theirs */
	uint64_t unsynced; /* highest log position read or written */
	uint64_t timeout_ms;
	struct kv_cursor *cursors;
	struct kv_watch *watches;

	/* Upkeep: the jobs of a daemon, while there is none. */
	uint64_t upkeep_due_ns;
	uint64_t upkeep_segment;
};

/* What kvd, and then the program, want of the store in dir, whose name it
 * keeps; texts borrow from *conf, too, which the caller frees.  Makes the
 * folder unless it must exist. */
struct conf;
KV_CHECKED int embed_options(const char *dir, const struct kv_options *o,
    struct conf **conf, struct engine_options *out);

/* A turn of the engine around one call, unless the caller has one. */
KV_CHECKED int embed_enter(struct kv *kv);

/* engine_bucket, but that the server's own buckets are not there. */
KV_CHECKED int embed_bucket(struct engine *e, struct kv_slice name,
    const struct bucket **out);
void embed_leave(struct kv *kv);

/* A record as the public entry; slices borrow as the record's do. */
void embed_entry(const struct record *r, struct kv_entry *out);

/* Copy an entry's bytes into b (which holds nothing else) and point there. */
KV_CHECKED int embed_keep(struct buf *b, struct kv_entry *entry);

/* write.c: a write, again and again until the log has room and no bucket changes
 * under it, and then durable.  commit is called within a view and stages and
 * commits, or rolls back. */
struct write_what {
	int (*commit)(struct engine *e, const void *arg, uint64_t *end);
	const void *arg;
	bool expects; /* its KV_ESTALE may be the caller's */
};
KV_CHECKED int write_do(struct kv *kv, const struct write_what *w);

/* upkeep.c: after a write; cheap when there is nothing to do. */
void upkeep_after_write(struct kv *kv);

/* The log is full: make room, or wait until deadline_ns (monotonic) for who
 * does.  KV_OK: try again.  KV_EAGAIN: time is up.  Not in a turn. */
KV_CHECKED int upkeep_room(struct kv *kv, uint64_t deadline_ns);

/* Wait until everything before position is really on the disk. */
KV_CHECKED int upkeep_sync(struct kv *kv, uint64_t position, int timeout_ms);

/* cursor.c, watch.c: at kv_end and kv_close. */
void cursor_end_turn(struct kv *kv);
void cursor_close_all(struct kv *kv);
void watch_close_all(struct kv *kv);

#endif
