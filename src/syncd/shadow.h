/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_SHADOW_H
#define KV_SYNCD_SHADOW_H

/* Buckets that come from other hosts under a name which here means one of this
 * host alone: taken in like any other, and seen by nobody who asks by name.  The
 * log says so, once for each that comes. */

#include "base/buf.h"
#include "engine/engine.h"
#include "sync/store.h"

/* Note those of the batch that will have come with it; in a view, before the
 * batch is committed.  to: initialized, used again and again. */
KV_CHECKED int shadow_note(struct engine *e, const struct sync_batch *b,
    struct buf *to);

/* The batch was committed, or some of it: tell of those that are there. */
void shadow_tell(struct engine *e, const struct sync_batch *b,
    const struct buf *noted);

#endif
