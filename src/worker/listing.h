/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_LISTING_H
#define KV_WORKER_LISTING_H

/* Lines of CLIENT LIST, "id=7 addr=...", of several workers as one list. */

#include "base/buf.h"

/* Append them to `to`, sorted by id, each id once; count 0: all of them, else
 * only those of ids, which are sorted on the way.  What is no such line, or not
 * whole, is left out: other processes wrote it. */
KV_CHECKED int listing_merge(struct kv_slice text, uint64_t *ids, size_t count,
    struct buf *to);

#endif
