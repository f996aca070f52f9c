/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_HOT_H
#define KV_TREE_HOT_H

/* A private table of rows read lately: hash of the key -> where its row lies in
 * the map.  A random mdb_get over a million keys is a handful of cache and TLB
 * misses; a row found here is one.
 *
 * An entry is good for one snapshot: the snapshot's number is mixed into the
 * stored hash, so a new snapshot empties the table without touching it.  That
 * key and hash belong together is checked in the row's own node, whose key
 * lies in front of its data (LMDB 0.9, struct MDB_node); a row for which that
 * does not hold when it is entered is simply not entered.
 *
 * The table is as large as what is being read: it grows, empty, once as many
 * rows as half its entries had to be entered, up to 32 MiB, and shrinks with a
 * new snapshot if few were under the last one. */

#include "tree/tree.h"

struct tree_hot;

KV_CHECKED int tree_hot_new(struct tree_hot **out);
void tree_hot_free(struct tree_hot *h);

/* Of address space; of memory at most that. */
size_t tree_hot_bytes(const struct tree_hot *h);

/* Hints for a lookup to come: the table's entry, then (when that is in the
 * cache) the row it leads to; false: there is none. */
void tree_hot_prefetch(const struct tree_hot *h, uint64_t hash);
bool tree_hot_prefetch_row(const struct tree_hot *h, const struct tree *t,
    uint64_t hash, size_t key_len);

/* Enter the row of a key, which lies in a page of this snapshot; one that is
 * not its row is not entered. */
void tree_hot_enter(struct tree_hot *h, const struct tree *t, uint64_t hash,
    uint64_t bid, struct kv_slice key, const char *row);

/* tree_get, by way of the table.  hash: any good 64-bit hash of bid and key,
 * the same for the same key. */
KV_CHECKED int tree_hot_get(struct tree_hot *h, struct tree *t, uint64_t hash,
    uint64_t bid, struct kv_slice key, struct record *out);

#endif
