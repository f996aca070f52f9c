/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_NOTE_H
#define KV_ENGINE_NOTE_H

/* Small texts that one process of the store leaves for the others, in the
 * folder in shared memory; gone with it. */

#include "base/buf.h"
#include "engine/engine.h"

#define NOTE_MAX (256u << 10)
#define NOTE_NODES "nodes" /* kv-syncd's: see engine/nodes.h */

/* Readers see the text of before or this one, whole. */
KV_CHECKED int note_write(const struct engine *e, const char *name,
    struct kv_slice text);
void note_remove(const struct engine *e, const char *name);

/* Append it to `to`.  KV_ENOTFOUND when there is none; KV_ETOOBIG. */
KV_CHECKED int note_read(const struct engine *e, const char *name,
    struct buf *to);

/* The same in the store's folder, where it outlives the memory.  It is not
 * synced: after a power cut it may be an older one, or none. */
KV_CHECKED int note_keep(const struct engine *e, const char *name,
    struct kv_slice text);
KV_CHECKED int note_kept(const struct engine *e, const char *name,
    struct buf *to);

#endif
