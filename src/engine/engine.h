/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_ENGINE_H
#define KV_ENGINE_ENGINE_H

/* The store as its processes use it: the only place where log, index and tree
 * meet.  One struct engine per process, used by one thread.
 *
 * A turn of a process is
 *
 *	engine_refresh	one consistent snapshot
 *	engine_get, scan, engine_put ...	reads see staged writes
 *	engine_commit	staged writes become one piece of the log
 *	engine_release	borrowed slices are gone, segments can be recycled
 *	engine_kick	the walwriter may start
 *
 * and whatever was read or written is on disk (as the durability mode promises
 * it) when engine_durable() has reached the position that engine_revealed()
 * or engine_commit() told. */

#include <stdbool.h>

#include "base/scope.h"
#include "shm/control.h"

struct engine;

enum engine_durability {
	DURABILITY_ALWAYS,
	DURABILITY_EVERYSEC,
	DURABILITY_OS
};

struct engine_options {
	const char *dir;       /* the store's folder; must exist */
	const char *shm_dir;   /* parent of the shared-memory folder */
	uint64_t segment_size; /* of a new store or after a restart */
	uint64_t map_size;
	uint64_t retention_ms; /* of tombstones */
	enum engine_durability durability;
	enum control_role role;
	uint16_t port;	 /* of a worker, for status */
	bool must_exist; /* do not make a store where there is none */
};

/* Open the store: the first process to do so recovers it (adopts the memory
 * that dead processes left, or replays the log from disk), others wait for
 * that and join.  All failures are logged with what to do about them:
 * KV_EVERSION newer or foreign layout, KV_ENOSPC shm_dir too small, KV_EACCESS
 * folder not writable, KV_ECORRUPT. */
KV_CHECKED int engine_open(const struct engine_options *options,
    struct engine **out);

/* The last process to close an idle store leaves nothing in shared memory: all
 * of the log is in the tree, or on disk and replayed at the next open. */
void engine_close(struct engine *e);

/* ---- the view (view.c) ---- */

KV_CHECKED int engine_refresh(struct engine *e);
void engine_release(struct engine *e);

/* Wall clock of this view, ms: what deadlines are compared with. */
uint64_t engine_now_ms(const struct engine *e);

/* The bucket that a bare name (base/scope.h) means: one of this host alone, if
 * such a one is staged, or live in this view, else the one that all hosts have.
 * KV_ENOTFOUND when there is none.  *out is valid until the next refresh, commit
 * or rollback. */
KV_CHECKED int engine_bucket(struct engine *e, struct kv_slice name,
    const struct bucket **out);

/* Which of the two that is, or would be. */
KV_CHECKED int engine_scope(struct engine *e, struct kv_slice name,
    enum scope *out);

/* Does this one, which the name means, hide a live one of all hosts? */
KV_CHECKED int engine_shadows(struct engine *e, struct kv_slice name,
    const struct bucket *b, bool *out);

/* The same row whether live or dropped. */
KV_CHECKED int engine_bucket_row(struct engine *e, struct kv_slice name,
    struct bucket *out);

/* The one in that space, whatever the other has. */
KV_CHECKED int engine_bucket_in(struct engine *e, enum scope scope,
    struct kv_slice name, const struct bucket **out);
KV_CHECKED int engine_row_in(struct engine *e, enum scope scope,
    struct kv_slice name, struct bucket *out);

/* The row of a bucket id, live or dropped, and its bare name; not looked for in
 * the stage.  KV_ENOTFOUND: its row has not come yet (sync), or never will. */
KV_CHECKED int engine_bucket_by_id(struct engine *e, uint64_t bid,
    struct kv_slice *name, struct bucket *out);

/* The visible record of key: newest at or before the view, not deleted, not
 * expired, not hidden by a drop.  Slices borrow until release (staged ones
 * until commit). */
KV_CHECKED int engine_get(struct engine *e, const struct bucket *b,
    struct kv_slice key, struct record *out);

/* The newest record of key whatever its state (tombstones too). */
KV_CHECKED int engine_get_raw(struct engine *e, uint64_t bid,
    struct kv_slice key, struct record *out);

/* Sums of the bucket in this view and the staged writes, but that the digest
 * is that of the view. */
KV_CHECKED int engine_totals(struct engine *e, const struct bucket *b,
    struct totals *out);

/* Where the view ends in the log; what is appended later stands at or past it.
 * Does the log still go back to a position?  Then: has a record of the bucket
 * (its row, one of its keys) been appended since?  Staged ones do not count. */
uint64_t engine_position(const struct engine *e);
bool engine_remembers(const struct engine *e, uint64_t position);
bool engine_bucket_changed(const struct engine *e, uint64_t bid,
    uint64_t since);

/* Highest log position that reads since the last call depended on; 0 when all
 * of it is durable.  A reply that shows them waits for it. */
uint64_t engine_revealed(struct engine *e);

/* 64-bit name of a bucket, the same on every host: BLAKE2b-64 of "bucket" and
 * the name (RFC 7693), without its highest bit if the 24 highest are all set.
 * They are in the id of a local bucket: name is that of the row. */
uint64_t engine_bucket_id(struct kv_slice row_name);

/* ---- writing (stage.c, append.c) ---- */

/* Stage; nothing is visible to others before commit.  KV_ETOOBIG: key over
 * KV_KEY_MAX, or a batch that no segment can hold.  KV_ENOSPC: the
 * store cannot be written now, engine_trouble says why. */
KV_CHECKED int engine_put(struct engine *e, const struct bucket *b,
    struct kv_slice key, struct kv_slice value, uint64_t deadline);

/* What was staged last, a put or the making of a bucket, is right only while
 * nothing else has its name: no bucket `prefix` + key, or no key of that bucket
 * which the name less the prefix is.  If there is one that this view did not
 * show, engine_commit says KV_ESTALE.  bid: of the keys, for a bucket. */
#define ENGINE_PREFIX_MAX 7
void engine_alone(struct engine *e, uint64_t bid, struct kv_slice prefix);

/* The same, of a value that was put together from an older one. */
KV_CHECKED int engine_put_built(struct engine *e, const struct bucket *b,
    struct kv_slice key, struct kv_slice value, uint64_t deadline);

/* Why what is staged from now on is written, for those who follow the log: a
 * number of the caller's, 0 for unknown.  Until the next call. */
void engine_because(struct engine *e, uint8_t cause);

/* A tombstone, also where there is nothing: subscribers are told. */
KV_CHECKED int engine_delete(struct engine *e, const struct bucket *b,
    struct kv_slice key);

/* An expired record becomes a tombstone of the same stamp. */
KV_CHECKED int engine_expire(struct engine *e, const struct bucket *b,
    const struct record *r);

/* Walk the bucket and see to some that are expired: staged, committed.  Nothing
 * may be staged before; those that are left are seen to by the next call, or
 * by the checkpointer once they are in the tree. */
KV_CHECKED int engine_sweep_bucket(struct engine *e, const struct bucket *b);

/* Make the bucket live (a no-op that still is KV_OK when it lives, but for
 * options that are new), or drop it with all that is in it: the one that the
 * name means, but that BUCKET_LOCAL makes one of this host alone.  KV_EEXIST:
 * there are keys in it, and its ttl_max is another one; or there is none, and a
 * bucket of another name has its id. */
KV_CHECKED int engine_create(struct engine *e, struct kv_slice name,
    uint32_t options);
KV_CHECKED int engine_drop(struct engine *e, struct kv_slice name);

/* The one in that space, whatever the other has. */
KV_CHECKED int engine_create_in(struct engine *e, enum scope scope,
    struct kv_slice name, uint32_t options);
KV_CHECKED int engine_drop_in(struct engine *e, enum scope scope,
    struct kv_slice name);

/* A message to those who follow the log with feed.messages, between the
 * changes staged before and after it; nobody else is aware of it.  The key,
 * the channel for one, has the length of a key.  On failure nothing of it is
 * staged, and what was stays. */
KV_CHECKED int engine_publish(struct engine *e, enum message_kind kind,
    struct kv_slice key, struct kv_slice payload);

/* One that another host published, with its stamp there: subscribers get it as
 * any other, who hands messages on (those of MESSAGE_CHANNEL) knows it by
 * RECORD_FOREIGN. */
KV_CHECKED int engine_publish_foreign(struct engine *e, struct stamp stamp,
    struct kv_slice channel, struct kv_slice payload);

/* Bytes staged and not committed. */
size_t engine_staged(const struct engine *e);

/* Append what is staged as one atomic batch.  *end: the position to wait for
 * (untouched when nothing was staged).  Afterwards the view includes it.
 * On failure nothing was written and the stage is empty:
 * KV_EAGAIN	the log is full: engine_want_room, sleep, do it all again
 * KV_ESTALE	a bucket in the batch was made or dropped meanwhile, or what was
 *		to be alone is not: refresh, do it all again
 * KV_ENOSPC	no room on disk or in memory; engine_trouble */
KV_CHECKED int engine_commit(struct engine *e, uint64_t *end);
void engine_rollback(struct engine *e);

/* Deadlines of what this process commits from now on are to be seen to by it
 * and in time, if they pass soon; others are the checkpointer's. */
KV_CHECKED int engine_own_deadlines(struct engine *e);

/* The next of them, ms since 1970; 0: none. */
uint64_t engine_next_deadline(const struct engine *e);

/* Within a view, nothing staged: those that have passed become tombstones, some
 * of them in one call.  What fails is left to the checkpointer. */
KV_CHECKED int engine_expire_own(struct engine *e);

/* Read-modify-write: between lock and unlock nobody else appends and the view
 * is the newest there is.  Read cold keys once before locking, so that no disk
 * read happens in it.  What was staged before must have been committed; commit
 * before unlock.  Short: every writer of the host waits. */
void engine_lock(struct engine *e);
void engine_unlock(struct engine *e);

/* The seq of the last change that this process committed and other hosts are
 * told of; 0: none. */
uint64_t engine_written(const struct engine *e);

/* Bits of enum control_trouble, and their text for an error reply. */
uint32_t engine_trouble(const struct engine *e);
const char *engine_trouble_text(uint32_t trouble);

/* ---- waiting and waking (durable.c) ---- */

/* Everything before it may be shown to clients. */
uint64_t engine_durable(const struct engine *e);

/* Wake the walwriter if it sleeps although there is something to write. */
void engine_kick(struct engine *e);

/* Let the checkpointer move into the tree what is durable now; control's
 * checkpointed shows how far it is. */
void engine_ask_checkpoint(struct engine *e);

/* The descriptor that becomes readable when something wanted happened, and its
 * draining.  Ask before every sleep: the bool says that it is so already and
 * there will be no wake-up. */
int engine_wake_fd(const struct engine *e);
void engine_wake_drain(struct engine *e);
bool engine_want_durable(struct engine *e, uint64_t position);
bool engine_want_room(struct engine *e);

/* Sleep until durable; for programs without a loop.  Does the walwriter's work
 * itself when nobody else does. */
KV_CHECKED int engine_wait_durable(struct engine *e, uint64_t position,
    int timeout_ms);

/* ---- cursors of SCAN (cursor.c) ---- */

/* Remember a place in key order; never 0.  load: KV_ENOTFOUND when it was
 * given up (4,096 younger scans) or never existed. */
uint64_t engine_cursor_save(struct engine *e, uint64_t cursor, uint64_t bid,
    uint32_t phase, struct kv_slice key);
KV_CHECKED int engine_cursor_load(struct engine *e, uint64_t cursor,
    uint64_t bid, uint32_t *phase, char key[KV_KEY_MAX + 4], size_t *len);

/* ---- looking in ---- */

/* The tree as the view sees it, for raw reads in the view. */
struct tree;
struct tree *engine_tree(struct engine *e);

/* The shared block, for statistics; read only. */
const struct control *engine_control(const struct engine *e);
struct control_process *engine_process(struct engine *e);

/* The folder in shared memory, where the processes of the store meet; and this
 * one's place among control's processes. */
const char *engine_folder(const struct engine *e);
unsigned engine_slot(const struct engine *e);

#endif
