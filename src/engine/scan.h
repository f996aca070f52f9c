/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_SCAN_H
#define KV_ENGINE_SCAN_H

/* Ordered walks: the tree's cursor merged with the recent keys of the bucket,
 * both as of the view, and with what is staged when the scan is opened (till
 * it is committed: close the scan before that).  A scan lives within one view:
 * open, walk, close between refresh and release. */

#include "engine/engine.h"

struct scan;

/* Visible records of a bucket in key order. */
KV_CHECKED int scan_open(struct engine *e, const struct bucket *b,
    struct scan **out);

/* Live buckets in the order of their names (RECORD_BUCKET; key is the bare
 * name): each name once, and what it means. */
KV_CHECKED int scan_open_buckets(struct engine *e, struct scan **out);

/* Those of all hosts, too, whose name means one of this host: behind that. */
void scan_also_shadowed(struct scan *s);

/* Show those whose deadline has passed and that nobody made a tombstone of, too;
 * or those and no others. */
void scan_also_expired(struct scan *s);
void scan_only_expired(struct scan *s);

void scan_close(struct scan *s);

/* Go to the first key at or after this one; a new scan stands at the first. */
KV_CHECKED int scan_seek(struct scan *s, struct kv_slice key);

/* The record the scan stands on, then step; KV_ENOTFOUND at the end. */
KV_CHECKED int scan_next(struct scan *s, struct record *out);

#endif
