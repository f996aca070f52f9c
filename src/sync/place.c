/* SPDX-License-Identifier: ISC */
/* Places among buckets and keys. */

#include "sync/place.h"

void
place_fini(struct place *p)
{
	buf_fini(&p->key);
}

void
place_clear(struct place *p)
{
	p->bid = 0;
	p->key.len = 0;
}

int
place_set(struct place *p, uint64_t bid, struct kv_slice key)
{
	p->bid = bid;
	p->key.len = 0;
	return buf_append(&p->key, key.data, key.len);
}

bool
place_is_end(const struct place *p)
{
	return p->bid == 0 && p->key.len == 0;
}

struct kv_slice
place_key(const struct sync_item *item)
{
	if (item->record.type == RECORD_BUCKET)
		return (struct kv_slice){ "", 0 };
	return item->record.key;
}

int
place_compare(const struct place *p, uint64_t bid, struct kv_slice key)
{
	if (p->bid != bid)
		return p->bid < bid ? -1 : 1;
	return slice_compare(buf_slice(&p->key), key);
}

int
place_compare_items(const struct sync_item *a, const struct sync_item *b)
{
	if (a->record.bid != b->record.bid)
		return a->record.bid < b->record.bid ? -1 : 1;
	return slice_compare(place_key(a), place_key(b));
}
