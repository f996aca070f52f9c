/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_LIMIT_H
#define KV_TREE_LIMIT_H

/* Buckets that have a ttl_max, or a shorter one, since a moment ago, and in
 * which there may be records of before: those have to be gone through, a piece
 * at a time.  A row of meta each, "limit" and the bucket's id, with the key to
 * go on at; made by apply_checkpoint. */

#include "tree/tree.h"

struct limit {
	uint64_t bid;
	char key[KV_KEY_MAX + 1];
	size_t len;
};

/* One of them, in the snapshot.  KV_ENOTFOUND: there is none. */
KV_CHECKED int limit_first(struct tree *t, struct limit *out);

/* The bucket has been gone through up to l's key; end: through all of it.  In
 * a synced transaction of its own. */
KV_CHECKED int limit_move(struct tree *t, const struct limit *l, bool end);

/* Note those that an older kv, which did not know of it, has put records
 * without a deadline into.  In a synced transaction of its own. */
KV_CHECKED int limit_look(struct tree *t);

/* The checkpoint's, before it writes the row b of this name: is it one of
 * them? */
struct chunk;
struct MDB_val;
KV_CHECKED int limit_note(struct chunk *c, struct MDB_val name,
    const struct bucket *b);

#endif
