/* SPDX-License-Identifier: ISC */
/* The batch being made as its own process sees it before it is appended:
 * sums, and the keys in order. */

#include "engine/staged.h"

#include <stdlib.h>

struct staged_entry {
	struct kv_slice key;
	int32_t item;
};

struct staged {
	size_t count, at;
	uint64_t batch; /* whose items these are */
	struct staged_entry entries[];
};

static int
staged_order(const void *a, const void *b)
{
	const struct staged_entry *x = a, *y = b;
	int order = slice_compare(x->key, y->key);

	return order != 0 ? order : (x->item > y->item) - (x->item < y->item);
}

/* Of each key only the newest: it stands last. */
static void
staged_fold(struct staged *s)
{
	size_t i, n = 0;

	for (i = 0; i < s->count; i++) {
		if (i + 1 < s->count &&
		    slice_equal(s->entries[i].key, s->entries[i + 1].key))
			continue;
		s->entries[n++] = s->entries[i];
	}
	s->count = n;
}

int
staged_open(const struct engine *e, enum wal_class class, uint64_t bid,
    struct staged **out)
{
	const struct stage *stage = &e->stage;
	struct staged *s;
	size_t i;

	s = calloc(1, sizeof(*s) + stage->count * sizeof(s->entries[0]));
	if (s == NULL)
		return KV_ENOMEM;
	s->batch = stage->batch;
	for (i = 0; i < stage->count; i++) {
		const struct wal_record *w = stage_bytes(stage, i);

		if (wal_class(w->type) == class &&
		    (class != WAL_KEY || w->bid == bid))
			s->entries[s->count++] =
			    (struct staged_entry){ wal_record_key(w),
				    (int32_t)i };
	}
	qsort(s->entries, s->count, sizeof(s->entries[0]), staged_order);
	staged_fold(s);
	*out = s;
	return KV_OK;
}

void
staged_close(struct staged *s)
{
	free(s);
}

void
staged_seek(const struct engine *e, struct staged *s, struct kv_slice key)
{
	size_t lo = 0, hi = s->count, mid;

	if (s->batch != e->stage.batch)
		return;
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (slice_compare(s->entries[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	s->at = lo;
}

bool
staged_peek(const struct engine *e, const struct staged *s, struct record *out)
{
	if (s->batch != e->stage.batch || s->at == s->count)
		return false;
	stage_view(e, s->entries[s->at].item, out);
	return true;
}

void
staged_step(struct staged *s)
{
	s->at++;
}

/* As append_sum will do it, but that the stamps are not the last word. */
static void
staged_sum_item(struct engine *e, size_t i)
{
	static const struct count nothing;
	struct stage *s = &e->stage;
	struct stage_item *item = &s->items[i];
	struct stage_bucket *b;
	const struct count *before = &item->before;
	struct record r;

	stage_view(e, (int32_t)i, &r);
	if (r.type != RECORD_PUT && r.type != RECORD_TOMB &&
	    r.type != RECORD_BUCKET)
		return;
	b = &s->buckets[item->bucket];
	if (item->row == STAGE_DROP) {
		b->ahead_keys = b->ahead_bytes = 0;
		b->ahead_drop = (int32_t)i;
	}
	if (wal_class((uint8_t)r.type) != WAL_KEY)
		return;
	if (item->earlier >= 0)
		before = &s->items[item->earlier].after;
	if (b->ahead_drop >= 0 && item->earlier < b->ahead_drop)
		before = &nothing;
	item->after = nothing;
	if (r.type == RECORD_PUT) {
		item->after.live = true;
		item->after.bytes = r.key.len + r.value.len;
	}
	b->ahead_keys += (uint64_t)item->after.live - (uint64_t)before->live;
	b->ahead_bytes += item->after.bytes - before->bytes;
}

void
staged_totals(struct engine *e, uint64_t bid, struct totals *t)
{
	struct stage *s = &e->stage;
	const struct stage_bucket *b;

	for (; s->summed < s->count; s->summed++)
		staged_sum_item(e, s->summed);
	if ((b = stage_find_bucket(e, bid)) == NULL)
		return;
	if (b->ahead_drop >= 0)
		*t = (struct totals){ 0 };
	t->keys += b->ahead_keys;
	t->bytes += b->ahead_bytes;
}
