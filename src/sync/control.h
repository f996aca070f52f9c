/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_CONTROL_H
#define KV_SYNC_CONTROL_H

/* Frames that wait to go out before data does, encoded. */

#include <stdbool.h>

#include "sync/frame.h"

/* Zeroed: empty. */
struct control {
	struct buf bytes; /* u32 length and frame, one after another */
	size_t taken;	  /* bytes that are gone */
};

void control_fini(struct control *c);

KV_CHECKED int control_put(struct control *c, const struct frame *f);

/* Append the oldest to out.  KV_EAGAIN: there is none. */
KV_CHECKED int control_take(struct control *c, struct buf *out);

/* Bytes that wait. */
size_t control_size(const struct control *c);

#endif
