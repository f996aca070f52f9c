/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_STORE_H
#define KV_SYNC_STORE_H

/* The local store as replication sees it.  Two make it: the engine
 * (syncd/store.c) and an array in memory (tests/sim).
 *
 * All reads happen between refresh and release, in one snapshot; slices that
 * are handed out borrow until release.  A snapshot is never held while waiting
 * for a socket: LMDB cannot reclaim pages meanwhile.
 *
 * Two views of the data are read here, and the difference matters:
 *
 *	by seq	  every change up to head(), in the order of the log
 *	by range  the tree alone, in the order of (bucket id, key), with the
 *		  vector that was true when it was checkpointed (tree_rows);
 *		  it may hold newer records than that, never older ones
 *
 * What of a range is newer than the tree comes by seq, from tree_head on. */

#include <stdbool.h>

#include "base/record.h"

/* What is known of one incarnation: a row of the database `incs`.  Ticks; 0 is
 * "nothing".  The row of our own inc may be missing: head() stands for its vv.
 * vv is I1 of the design: for every write by inc with a tick up to
 * vv, our state of its key is that write or a newer one. */
struct sync_row {
	uint64_t inc;
	uint64_t vv;
	uint64_t announced; /* highest vv that anybody claimed, and may have */
	uint64_t purged;    /* highest tick of a tombstone of inc dropped, here
			     * or by a node we copied ranges from */
	uint64_t own;	    /* I2: cursor in its own stream */
	uint64_t full;	    /* I2: cursor in all that it has */
	uint64_t full_head; /* its head when we read that far */
	uint64_t uid;	    /* of the store that it is a run of, 0: not known */
};

/* A place in the order by seq.  Zero but for seq: stand behind that seq. */
struct sync_cursor {
	uint64_t seq;	/* of the last record handed out or passed by */
	uint64_t place; /* the store's own; 0: not looked for yet */
	bool has_gaps;	/* what was replaced before head() may be left out */
};

enum sync_change_how {
	/* Put it in if it wins over what is there (stamp_compare); with
	 * RECORD_RELAY if what it replaces was our own, or had it.  A
	 * RECORD_BUCKET raises the two registers of its row, and its options
	 * come from the higher `created`. */
	CHANGE_MERGE,
	/* The source of a RESYNC saw this version and has it no more: if the
	 * key still has just this stamp, replace it by a tombstone of the same
	 * stamp. */
	CHANGE_ERASE,
};

/* A record as it is read and written here.  RECORD_BUCKET: record.key is the
 * name, record.value is not set: `bucket` has its stamps and options. */
struct sync_item {
	struct record record;
	struct bucket bucket;
};

struct sync_change {
	enum sync_change_how how;
	struct sync_item item;
};

/* Data and the claims made of it: the claims are in the log together with the
 * last of the data, or not at all. */
struct sync_batch {
	const struct sync_change *changes;
	size_t count;
	const struct sync_row *rows; /* whole new rows; inc is the key */
	size_t row_count;
	/* Small values by name ("resync" ...); an empty one removes it. */
	struct kv_slice note_name, note_value; /* no name: none */
};

struct sync_store_ops {
	/* KV_ESTALE: the node is another run by now; begin anew. */
	KV_CHECKED int (*refresh)(void *self);
	void (*release)(void *self);

	/* The newest seq of a record that other hosts may want: not of a local
	 * bucket, no POSITION, no MESSAGE.  It stands still while nothing
	 * happens, although committing claims appends to the log. */
	uint64_t (*head)(void *self);

	/* The last tick that was given here, to whatever: no write of this run
	 * and no claim about it has a higher one. */
	uint64_t (*clock)(void *self);

	/* The next record past the cursor, of what other hosts may want: PUT,
	 * TOMB, or BUCKET.  Old versions of a key may be left out.
	 * KV_ENOTFOUND: none up to head(); the cursor then stands at or past
	 * head(). */
	KV_CHECKED int (
	    *next)(void *self, struct sync_cursor *c, struct sync_item *out);

	/* The first record of the tree at or after (bid, key), over all buckets
	 * that are not local, tombstones too.  A bucket's row (RECORD_BUCKET)
	 * stands in front of its records: the key of its place is empty.
	 * record.bid is set.  KV_ENOTFOUND: none.  after: past (bid, key). */
	KV_CHECKED int (*range)(void *self, uint64_t bid, struct kv_slice key,
	    bool after, struct sync_item *out);

	/* The newest version of a key, tombstones too; log before tree. */
	KV_CHECKED int (*get)(void *self, uint64_t bid, struct kv_slice key,
	    struct record *out);

	/* The id of the global bucket of this name: the same on every host. */
	uint64_t (*bucket_id)(void *self, struct kv_slice name);

	/* All rows, of the log's end (tree: as they were checkpointed); each()
	 * returns a negative code to stop. */
	KV_CHECKED int (*rows)(void *self, bool tree,
	    int (*each)(void *user, const struct sync_row *row), void *user);
	/* head() of the tree. */
	uint64_t (*tree_head)(void *self);

	/* About how many changes stand past seq, up to head(); `own`: of those
	 * that are pushed to others.  Cheap where seq is 0, or of late; else
	 * some 100,000 are counted, and it may be more. */
	KV_CHECKED int (
	    *count)(void *self, uint64_t seq, bool own, uint64_t *n);

	/* Ask that the tree catches up with the log; true when all that was
	 * committed before the first call (the one that returned false or true
	 * first after `since` was 0) is in it.  *since is the caller's memory,
	 * 0 to begin. */
	bool (*settle)(void *self, uint64_t *since);

	/* Is the clock in doubt?  Then nothing goes by time. */
	bool (*doubts)(void *self);

	/* Changes with each purge: rows() has to be read again. */
	uint64_t (*purges)(void *self);

	/* KV_ENOTFOUND, or the note; borrows until release. */
	KV_CHECKED int (
	    *note)(void *self, struct kv_slice name, struct kv_slice *value);

	/* Append the batch; the order of changes is kept.  *position: what
	 * durable() must reach.  Local clocks move past every stamp in it.
	 * KV_EAGAIN: the log is full now; KV_ENOSPC: disk or memory are;
	 * KV_ETOOBIG: more than a segment of the log holds; KV_EINVAL: a stamp
	 * from too far in the future, or of a local bucket; then no claim and
	 * no note was taken over, and of the changes, if any, the first ones:
	 * the same batch again finds them no news.  The snapshot moves on to
	 * include it. */
	KV_CHECKED int (*commit)(void *self, const struct sync_batch *b,
	    uint64_t *position);
	uint64_t (*durable)(void *self);

	/* The digest over the live records without deadline, of each bucket
	 * that is live and not local; keys and bytes are not set. */
	KV_CHECKED int (*digests)(void *self,
	    int (*each)(void *user, uint64_t bid, const struct totals *t),
	    void *user);
};

struct sync_store {
	const struct sync_store_ops *ops;
	void *self;
};

#endif
