/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_OUTBOX_H
#define KV_SYNC_OUTBOX_H

/* Encoded frames of one link that go out before data does, oldest first.  It
 * has no limit of its own: replica.c takes no more from a peer while the
 * answers to it pile up here. */

#include <stdbool.h>

#include "sync/frame.h"

/* Zeroed: empty. */
struct outbox {
	struct buf bytes; /* u32 length and frame, one after another */
	size_t taken;	  /* bytes that are gone */
};

void outbox_fini(struct outbox *o);

/* Encode f behind the others.  On failure (KV_ENOMEM, or what frame_encode()
 * says) nothing was added. */
KV_CHECKED int outbox_put(struct outbox *o, const struct frame *f);

/* Append the oldest frame to out, without its length.  KV_EAGAIN: there is
 * none. */
KV_CHECKED int outbox_take(struct outbox *o, struct buf *out);

/* Bytes that wait, lengths included. */
size_t outbox_size(const struct outbox *o);

#endif
