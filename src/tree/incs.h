/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_INCS_H
#define KV_TREE_INCS_H

/* What purging must know and tell of incarnations (kv-sync.7). */

#include "tree/chunk.h"
#include "tree/schema.h"

/* Which tombstones may go.  One of incarnation o, stamped t, only if
 *
 *	t <= vv of o	or `purged` would tell peers of a write that we cannot
 *			claim to have seen all up to, for ever if its end is
 *			lost, and they would read all ranges again for ever
 *	t <= the gap	the least vv that is below what somebody announced: it
 *			may be all that keeps out an older value, of which we
 *			know that we have not seen it yet
 *
 * Of our own run nothing is missing, of those before it nothing up to their
 * end in the lineage.  What is local to this host may always go. */
struct incs_limits {
	uint64_t gap;
	uint64_t own;
	struct stamp lineage[SCHEMA_LINEAGE_MAX]; /* inc, and its end */
	size_t lineage_count;
	struct stamp last; /* asked for: inc, and how far it may go */
	bool has_last;
};

KV_CHECKED int incs_read_limits(struct chunk *c, struct incs_limits *out);
KV_CHECKED int incs_may_purge(struct chunk *c, struct incs_limits *l,
    const struct record *tomb, bool *may);

/* The tombstone goes: whoever has not seen it cannot be told any more. */
KV_CHECKED int incs_note_purged(struct chunk *c, struct stamp stamp);

#endif
