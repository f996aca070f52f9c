/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_RESYNC_NOTE_H
#define KV_SYNC_RESYNC_NOTE_H

/* The progress of a RESYNC as bytes: the store's note "resync". */

#include "sync/core.h"

KV_CHECKED int resync_note_put(struct buf *out, const struct resync *s);
/* KV_ECORRUPT, KV_EVERSION, KV_ENOMEM. */
KV_CHECKED int resync_note_get(struct kv_slice note, struct resync *s);

#endif
