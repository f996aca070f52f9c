/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_PREFETCH_H
#define KV_TREE_PREFETCH_H

/* Looking for several rows together: a random mdb_get over a million keys waits
 * for memory some ten times, one after the other, and that is most of what it
 * costs (group prefetching; Chen, Ailamaki, Gibbons, Mowry 2004).
 *
 * LMDB has no call for it, so pages of its file are read here as LMDB 0.9 has
 * them (struct MDB_page, MDB_node in its mdb.c).  What does not look as expected
 * ends that key's walk, and then tree_get() is as slow as it was. */

#include "tree/tree.h"

#define TREE_PREFETCH_MAX 32

/* Within a snapshot; n <= TREE_PREFETCH_MAX.  row[i] is asked for and is what
 * tree_hot_enter() takes, or NULL: not found here, which proves nothing. */
void tree_prefetch(struct tree *t, const uint64_t *bid,
    const struct kv_slice *key, size_t n, const char **row);

#endif
