/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_PREFETCH_H
#define KV_ENGINE_PREFETCH_H

/* Bringing what several lookups will touch into the cache at once: a random
 * lookup over a million keys waits for memory a handful of times, sixteen of
 * them can wait together (group prefetching; Chen, Ailamaki, Gibbons, Mowry
 * 2004). */

#include "engine/engine.h"

#define PREFETCH_MAX 32

struct prefetch {
	uint64_t bid[PREFETCH_MAX];
	struct kv_slice key[PREFETCH_MAX];
	size_t count;
};

/* Within a view.  Only a hint: it changes nothing and may do nothing. */
void engine_prefetch(struct engine *e, const struct prefetch *p);

#endif
