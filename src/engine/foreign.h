/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_FOREIGN_H
#define KV_ENGINE_FOREIGN_H

/* What other hosts wrote, entering this host's log: last writer wins by stamp
 * (kv-sync.7), and the notes that replication keeps of it.
 *
 * A batch is decided against the view and staged; only if somebody wrote one
 * of its keys, or made or dropped one of its buckets, between the view and the
 * append, it is decided again.  So the mutex is held no longer than for a
 * local batch. */

#include "engine/engine.h"

/* Stamps further in the future than this are refused; who sends them has a
 * wrong clock, and ours would follow it.  The core of replication refuses at
 * five minutes and looks at the clock a little earlier. */
#define FOREIGN_DRIFT_MS (6 * 60 * 1000ull)

enum foreign_how {
	/* PUT, TOMB: in if it is newer than what is there and not hidden by
	 * its bucket's drop; stored, and hidden, where its bucket's row has not
	 * come yet.  With RECORD_RELAY if it replaces our own, or one that had
	 * it.  In a bucket with a ttl_max it ends no later than that says.
	 * BUCKET: each of its two stamps raises ours, its options are taken
	 * with a newer `created`. */
	FOREIGN_MERGE,
	/* If the key still has just this stamp: a tombstone of that stamp. */
	FOREIGN_ERASE,
	/* RECORD_POSITION: key and value (empty: remove) of replication's own,
	 * in the tree's `incs` after the checkpoint that moves the batch. */
	FOREIGN_NOTE,
};

struct foreign {
	enum foreign_how how;
	/* Of the flags only RECORD_EXPIRED counts.  RECORD_BUCKET: the key is
	 * the name, nothing else is looked at. */
	struct record record;
	struct bucket bucket; /* its stamps and options */
};

/* Append what wins of the batch, and all notes, as one atomic piece, in the
 * order given.  A local bucket of the same name is another one; but what a local
 * bucket of an older make has the id of is passed by.
 * *end: the position that shows it all, be it that what was there already is
 * newer.  Call it in a view; nothing may be staged.  On failure nothing was
 * written:
 *
 * KV_EINVAL	a record that cannot be, or one from too far in the future
 * KV_EAGAIN	the log is full (engine_want_room)
 * KV_ENOSPC	engine_trouble
 * KV_ETOOBIG	more than a segment holds */
KV_CHECKED int foreign_commit(struct engine *e, const struct foreign *batch,
    size_t n, uint64_t *end);

/* The newest value of a note.  tree: as it was checkpointed.  KV_ENOTFOUND. */
KV_CHECKED int foreign_note(struct engine *e, bool tree, struct kv_slice key,
    struct kv_slice *value);

/* Those notes that the log has, newest first: a key may come more than once,
 * an empty value says that it was removed.  each() returns a negative code to
 * stop. */
KV_CHECKED int foreign_notes(struct engine *e,
    int (*each)(void *user, const struct record *note), void *user);

#endif
