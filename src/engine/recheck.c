/* SPDX-License-Identifier: ISC */
/* Under the mutex, when others appended after the view of the batch: what of
 * that changes the batch, or makes it wrong. */

#include <string.h>

#include "engine/internal.h"

/* Did someone make or drop this bucket after our view?  Its chain tells. */
static bool
recheck_bucket(const struct engine *e, uint64_t bid, uint64_t end)
{
	uint64_t number = engine_segment_of(e, end);

	for (; number >= e->view_hi; number--) {
		const struct segment *s = engine_segment(e, number);
		uint64_t start = number * e->segment_size;
		uint64_t at = index_find_row(s,
		    index_hash_row(e->control->hash_secret, bid), bid);

		if (at != 0)
			return start + at >= e->view_end;
	}
	return false;
}

/* The put of a key that is to be alone: was a bucket of its name made? */
static bool
recheck_has_bucket(const struct engine *e, const struct stage_item *item,
    struct kv_slice key, uint64_t end)
{
	char bytes[ENGINE_PREFIX_MAX + KV_KEY_MAX], room[SCOPE_NAME_MAX];
	struct kv_slice name = { bytes, item->prefix_len + key.len };

	memcpy(bytes, item->prefix, item->prefix_len);
	memcpy(bytes + item->prefix_len, key.data, key.len);
	if (name.len > KV_BUCKET_MAX)
		return false;
	return recheck_bucket(e, engine_bucket_id(name), end) ||
	    recheck_bucket(e,
		engine_bucket_id(scope_row_name(SCOPE_LOCAL, name, room)), end);
}

/* The row of a bucket that is to be alone: was a key of its name put? */
static bool
recheck_has_key(const struct engine *e, const struct stage_item *item,
    struct kv_slice row_name, uint64_t end)
{
	struct kv_slice name = scope_bare(row_name);
	struct kv_slice key = { name.data + item->prefix_len,
		name.len - item->prefix_len };
	uint64_t hash =
	    index_hash_key(e->control->hash_secret, WAL_KEY, item->rival, key);

	return view_find(e, hash, WAL_KEY, item->rival, key, end) >=
	    e->view_end;
}

/* Is something that is to be alone no longer so?  Its bucket's view_lo is
 * that of recheck_stage: only what came after the view. */
static bool
recheck_company(const struct engine *e, bool buckets, uint64_t end)
{
	const struct stage *s = &e->stage;
	size_t i;

	for (i = 0; i < s->count; i++) {
		const struct stage_item *item = &s->items[i];
		struct kv_slice name = wal_record_key(stage_bytes(s, i));

		if (!item->alone)
			continue;
		if (item->row != STAGE_NO_ROW
			? recheck_has_key(e, item, name, end)
			: buckets && recheck_has_bucket(e, item, name, end))
			return true;
	}
	return false;
}

/* Others appended after our view: look at the newest versions. */
int
recheck_stage(struct engine *e, uint64_t end)
{
	struct stage *s = &e->stage;
	bool stale,
	    buckets = atomic_load(&e->control->bucket_change) != e->view_change;
	uint64_t lsn, lo = e->view_lo;
	struct record r;
	size_t i;

	if (buckets)
		for (i = 0; i < s->bucket_count; i++)
			if (recheck_bucket(e, s->buckets[i].bid, end))
				return KV_ESTALE;
	for (i = 0; i < s->bucket_count; i++)
		if (s->buckets[i].recounted &&
		    view_find_chain(e, s->buckets[i].hash, s->buckets[i].bid,
			end) >= e->view_end)
			return KV_ESTALE;
	/* Only what came after the view: the segments before its last one
	 * have not changed. */
	e->view_lo = e->view_hi;
	for (i = 0; i < s->count; i++) {
		const struct wal_record *w = stage_bytes(s, i);
		struct bucket b = { .bid = w->bid };

		if (s->items[i].earlier >= 0 || wal_class(w->type) != WAL_KEY)
			continue;
		/* A drop after the view would have been KV_ESTALE. */
		b.dropped = s->buckets[s->items[i].bucket].dropped;
		lsn = view_find(e, s->items[i].hash, WAL_KEY, w->bid,
		    wal_record_key(w), end);
		if (lsn < e->view_end)
			continue;
		if (s->items[i].decided)
			break;
		view_record(e, lsn, &r);
		stage_count(&b, &r, &s->items[i].before);
	}
	stale = i < s->count || recheck_company(e, buckets, end);
	e->view_lo = lo;
	return stale ? KV_ESTALE : KV_OK;
}
