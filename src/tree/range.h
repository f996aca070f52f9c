/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_RANGE_H
#define KV_TREE_RANGE_H

/* The whole tree in the order of (bucket id, key), as hosts compare it: each
 * bucket's row in front of its records, tombstones too, without what is local
 * to this host.  Lives within one snapshot, like a scan. */

#include <stdbool.h>

#include "tree/tree.h"

struct tree_range;

KV_CHECKED int tree_range_open(struct tree *t, struct tree_range **out);
void tree_range_close(struct tree_range *r);

/* The first at or (after) past (bid, key); the place of a bucket's row is
 * (bid, empty), its record a RECORD_BUCKET.  Cheap where it goes on from the
 * one handed out last.  KV_ENOTFOUND: none. */
KV_CHECKED int tree_range_next(struct tree_range *r, uint64_t bid,
    struct kv_slice key, bool after, struct record *out);

/* The highest seq of a change that other hosts may want; 0: none. */
KV_CHECKED int tree_last_seq(struct tree *t, uint64_t *seq);

/* How many changes of byseq stand past seq, and not past until; of one
 * incarnation and of buckets alone when inc is not 0.  At most about `most` are
 * looked at; all of them are counted for nothing. */
KV_CHECKED int tree_count_since(struct tree *t, uint64_t seq, uint64_t until,
    uint64_t inc, uint64_t most, uint64_t *n);

#endif
