/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_REPAIR_TICKS_H
#define KV_ENGINE_REPAIR_TICKS_H

/* All ticks above a limit, and what takes their places: dense from the limit
 * on, in the same order.  They lie in a file that is mapped, so that they need
 * no memory but what the kernel can spare. */

#include "engine/engine.h"

struct repair_ticks {
	uint64_t limit;
	uint64_t *list; /* NULL: none */
	size_t count, cap;
};

/* Room for so many in a file of the folder.  KV_ENOSPC. */
KV_CHECKED int repair_ticks_init(struct repair_ticks *t, const char *folder,
    uint64_t limit, size_t cap);
void repair_ticks_fini(struct repair_ticks *t);

/* Add as many as there is room for, some more than once; then sort them. */
void repair_ticks_add(struct repair_ticks *t, uint64_t tick);
void repair_ticks_sort(struct repair_ticks *t);

/* The tick in the place of one that was added; and the highest of these. */
uint64_t repair_ticks_get(const struct repair_ticks *t, uint64_t tick);
uint64_t repair_ticks_last(const struct repair_ticks *t);

#endif
