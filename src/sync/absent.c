/* SPDX-License-Identifier: ISC */
/* What a source had and has no more: its vector covers our version, but
 * its piece of the range lacks it.  Absence alone means nothing. */

#include "sync/core.h"

/* The source's version of what we have, or NULL.  Both lists are in the same
 * order. */
static const struct record *
find_received(const struct receiver *from, const struct sync_item *own,
    size_t *i)
{
	const struct sync_item *item;
	int order;

	for (; *i < from->stage.count; ++*i) {
		item = &from->stage.changes[*i].item;
		order = place_compare_items(item, own);
		if (order > 0)
			return NULL;
		/* A row has the place of the empty key. */
		if (order == 0 && item->record.type != RECORD_BUCKET)
			return &item->record;
	}
	return NULL;
}

/* The source saw this version and has it no more: nothing is there, or an older
 * one that came to it after the delete was purged.  Where it is a tombstone of
 * the same stamp, expired or erased, the drop rule would pass that by. */
static bool
is_gone(const struct replica *r, const struct receiver *from,
    const struct record *theirs, const struct record *own)
{
	int order = -1;

	if (r->resync.has_mask && /* it was not asked for */
	    !leaf_mask_has(&r->resync.mask, own->bid, own->key))
		return false;
	if (own->type != RECORD_PUT || MUTATED(NO_ABSENT_RULE))
		return false;
	if (theirs != NULL)
		order = stamp_compare(theirs->stamp, own->stamp);
	if (order == 0)
		return theirs->type == RECORD_TOMB;
	return order < 0 &&
	    ticks_get(&from->rows, own->stamp.inc) >= own->stamp.tick;
}

/* Drop one of ours, if it is gone.  Of a bucket's row it is the record of the
 * empty key that is looked at, which has the same place. */
static int
erase_gone(struct replica *r, const struct receiver *from,
    struct sync_item *own, size_t *i)
{
	int rc;

	if (own->record.type == RECORD_BUCKET) {
		rc = r->store.ops->get(r->store.self, own->record.bid,
		    (struct kv_slice){ "", 0 }, &own->record);
		if (rc < 0)
			return rc == KV_ENOTFOUND ? KV_OK : rc;
	}
	if (!is_gone(r, from, find_received(from, own, i), &own->record))
		return KV_OK;
	own->record.value.len = 0;
	return pending_add(&r->resync.erased, CHANGE_ERASE, own);
}

/* Of what we have in this piece: drop what the source had and has no more. */
int
absent_erase(struct replica *r, const struct receiver *from, bool is_end)
{
	struct resync *s = &r->resync;
	const struct place *end = is_end ? &s->hi : &s->last;
	uint64_t bid = s->lo.bid;
	struct kv_slice key = buf_slice(&s->lo.key);
	struct sync_item own;
	bool after = s->is_past;
	size_t i = 0;
	int rc, order;

	for (;;) {
		rc = r->store.ops->range(r->store.self, bid, key, after, &own);
		if (rc < 0)
			return rc == KV_ENOTFOUND ? KV_OK : rc;
		bid = own.record.bid;
		key = place_key(&own);
		after = true;
		if (!place_is_end(end)) {
			order = place_compare(end, bid, key);
			if (order < 0 || (order == 0 && is_end))
				return KV_OK;
		}
		rc = erase_gone(r, from, &own, &i);
		if (rc < 0)
			return rc;
	}
}
