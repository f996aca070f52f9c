/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_STAGE_H
#define KV_SYNC_STAGE_H

/* Changes that wait for their commit, with memory of their own. */

#include "sync/store.h"

struct stage_block;

struct stage {
	struct sync_change *changes;
	size_t count, cap;
	struct stage_block *blocks; /* newest first */
	size_t bytes;		    /* in a log, about */
};

void stage_init(struct stage *s);
void stage_fini(struct stage *s);
void stage_clear(struct stage *s);

/* Copies key and value. */
KV_CHECKED int stage_add(struct stage *s, enum sync_change_how how,
    const struct sync_item *item);

/* All of `from` behind what is there; `from` is empty then.  KV_ENOMEM: nothing
 * was done. */
KV_CHECKED int stage_move(struct stage *s, struct stage *from);

#endif
