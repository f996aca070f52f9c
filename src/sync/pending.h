/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_PENDING_H
#define KV_SYNC_PENDING_H

/* Changes that wait for their commit, in the order in which they came, with
 * memory of their own. */

#include "sync/store.h"

struct pending_block;

/* Zeroed: empty. */
struct pending {
	struct sync_change *changes;
	size_t count, cap;
	struct pending_block *blocks; /* newest first */
	size_t bytes;		      /* in a log, about */
};

void pending_fini(struct pending *s);
void pending_clear(struct pending *s);

/* Copies key and value. */
KV_CHECKED int pending_add(struct pending *s, enum sync_change_how how,
    const struct sync_item *item);

/* All of `from` behind what is there; `from` is empty then.  KV_ENOMEM: nothing
 * was done. */
KV_CHECKED int pending_move(struct pending *s, struct pending *from);

#endif
