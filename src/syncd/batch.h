/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_BATCH_H
#define KV_SYNCD_BATCH_H

/* A sync_batch as the engine takes it: its rows and its note become notes of
 * the log, in the words of tree/schema.h. */

#include "base/buf.h"
#include "engine/foreign.h"
#include "sync/store.h"

#define BATCH_NOTE 'N' /* in front of a note's name */

/* Zero to begin; used again and again. */
struct foreign_batch {
	struct foreign *items;
	size_t count, cap;
	struct buf bytes; /* of keys and values that are made here */
};

/* Slices of changes are borrowed from b. */
KV_CHECKED int foreign_batch_fill(struct foreign_batch *f,
    const struct sync_batch *b);
void foreign_batch_fini(struct foreign_batch *f);

#endif
