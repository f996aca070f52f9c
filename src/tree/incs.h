/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_INCS_H
#define KV_TREE_INCS_H

/* What purging must know and tell of incarnations (sync.md B.8). */

#include "tree/chunk.h"

/* A tombstone stamped past it may be all that keeps an older value away, of
 * which we know that we have not seen it yet: the least vv that is below what
 * somebody announced.  UINT64_MAX: nothing is known to be missing. */
KV_CHECKED int incs_gap(struct chunk *c, uint64_t *tick);

/* The tombstone goes: whoever has not seen it cannot be told any more. */
KV_CHECKED int incs_note_purged(struct chunk *c, struct stamp stamp);

#endif
