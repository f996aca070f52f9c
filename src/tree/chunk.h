/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_CHUNK_H
#define KV_TREE_CHUNK_H

/* A long piece of writing, cut into bounded, synced transactions.
 *
 * chunk_step() is called between two operations that may be parted by a crash.
 * A transaction ends there when it has had enough operations or pages: its
 * pages are flushed all at once, and the log's syncs wait behind them. */

#include "tree/internal.h"

struct chunk {
	struct tree *tree;
	MDB_txn *txn;
	MDB_cursor *cursor[DB_COUNT]; /* of txn, opened when asked for */
	bool inner[DB_COUNT];	      /* txn met keys above what it adds */
	bool wrote;		      /* txn has changes */
	size_t steps, bytes;	      /* since txn began */
	uintptr_t touched;	      /* last place */
	uint64_t stored_mark;	      /* meta "applying" as it stands */

	/* Set before chunk_begin(); all may be 0. */
	size_t max_steps;	   /* 0: all is one transaction */
	uint64_t mark;		   /* see chunk_begin */
	void (*pause)(void *user); /* between transactions */
	void *user;
};

/* mark, unless 0, is stored as meta "applying" by every transaction that is
 * not the last, so that a work broken off is known as such. */
KV_CHECKED int chunk_begin(struct chunk *c, struct tree *t);
KV_CHECKED int chunk_step(struct chunk *c, size_t bytes);
KV_CHECKED int chunk_commit(struct chunk *c);
void chunk_abort(struct chunk *c); /* nothing when committed */

/* NULL is out of memory.  Gone at the next chunk_step. */
MDB_cursor *chunk_cursor(struct chunk *c, enum tree_db db);

KV_CHECKED int chunk_put(struct chunk *c, enum tree_db db, MDB_val key,
    MDB_val value);
KV_CHECKED int chunk_del(struct chunk *c, enum tree_db db, MDB_val key);

/* Note a write through a cursor, at a place in LMDB's page.  Operations in key
 * order leave a page for good when they leave it, so that counting the leaps is
 * counting the pages. */
void chunk_touch(struct chunk *c, const void *at);

#endif
