/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_META_H
#define KV_TREE_META_H

/* The rows of meta that are the tree's own (tree/schema.h). */

#include "tree/chunk.h"

/* As txn sees them; zero when absent. */
KV_CHECKED int meta_get_position(struct tree *t, MDB_txn *txn,
    struct tree_position *out);
KV_CHECKED int meta_get_applying(struct tree *t, MDB_txn *txn, uint64_t *seq);

KV_CHECKED int meta_put_position(struct chunk *c,
    const struct tree_position *p);
KV_CHECKED int meta_put_applying(struct chunk *c, uint64_t seq);
KV_CHECKED int meta_del_applying(struct chunk *c);

/* The tombstone of seq goes: who follows changes from before it can no longer
 * be told of all ("purged_seq", for engine/feed).  Counted in "purges". */
KV_CHECKED int meta_note_purged(struct chunk *c, uint64_t seq);

/* The same of one in a bucket with a ttl_max ("purged_short"): only who
 * follows such a bucket must know, no other host does. */
KV_CHECKED int meta_note_short(struct chunk *c, uint64_t seq);

/* Those seqs are at most this. */
KV_CHECKED int meta_lower_purged(struct chunk *c, uint64_t seq);

/* Seqs of before a clock was repaired: limit 8, highest 8 (tree/reissue.h). */
#define META_VOID_SEQS "void_seqs"

/* KV_ENOTFOUND for a tree without; KV_EVERSION, logged, for another's. */
KV_CHECKED int meta_check_format(struct tree *t, MDB_txn *txn);
KV_CHECKED int meta_put_format(struct tree *t, MDB_txn *txn);

#endif
