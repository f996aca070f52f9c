/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_PLACE_H
#define KV_SYNC_PLACE_H

/* A place in the order of ranges: (bucket id, key).  A bucket's row stands
 * where the key is empty.  The first place of all is also the end of all. */

#include "base/buf.h"
#include "sync/store.h"

struct place {
	uint64_t bid;
	struct buf key;
};

void place_fini(struct place *p);
void place_clear(struct place *p);
KV_CHECKED int place_set(struct place *p, uint64_t bid, struct kv_slice key);
bool place_is_end(const struct place *p);

/* The key of an item's place. */
struct kv_slice place_key(const struct sync_item *item);

int place_compare(const struct place *p, uint64_t bid, struct kv_slice key);
int place_compare_items(const struct sync_item *a, const struct sync_item *b);

#endif
