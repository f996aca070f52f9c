/* SPDX-License-Identifier: ISC */
/* A heap of cursors over sorted runs. */

#include "engine/merge.h"

#include <stdlib.h>

#include "engine/recent.h"

/* Where the walk is in one run. */
struct merge_cursor {
	struct kv_slice key;
	const struct recent_source *source;
	uint32_t at;
};

struct merge {
	struct recent_source *sources;
	size_t source_count;
	size_t count;		    /* of cursors not at their end */
	struct merge_cursor heap[]; /* least key first */
};

static const struct wal_record *
merge_record(const struct recent_source *source, uint32_t at)
{
	return segment_record(source->segment,
	    (uint64_t)source->run->at[at] << 3);
}

static bool
merge_is_less(const struct merge *m, size_t a, size_t b)
{
	return slice_compare(m->heap[a].key, m->heap[b].key) < 0;
}

static void
merge_sink(struct merge *m, size_t i)
{
	for (;;) {
		size_t least = i, child = 2 * i + 1;
		struct merge_cursor swap = m->heap[i];

		if (child < m->count && merge_is_less(m, child, least))
			least = child;
		if (child + 1 < m->count && merge_is_less(m, child + 1, least))
			least = child + 1;
		if (least == i)
			return;
		m->heap[i] = m->heap[least];
		m->heap[least] = swap;
		i = least;
	}
}

int
merge_open(struct engine *e, enum wal_class class, uint64_t bid,
    struct merge **out)
{
	struct recent_source *sources;
	struct merge *m;
	size_t count;
	int rc;

	if ((rc = recent_sources(e, class, bid, &sources, &count)) < 0)
		return rc;
	m = calloc(1, sizeof(*m) + count * sizeof(m->heap[0]));
	if (m == NULL) {
		while (count > 0)
			recent_run_free(sources[--count].run);
		free(sources);
		return KV_ENOMEM;
	}
	m->sources = sources;
	m->source_count = count;
	*out = m;
	return KV_OK;
}

void
merge_close(struct merge *m)
{
	if (m == NULL)
		return;
	while (m->source_count > 0)
		recent_run_free(m->sources[--m->source_count].run);
	free(m->sources);
	free(m);
}

/* The place of the first key of the run at or after this one. */
static uint32_t
merge_search(const struct recent_source *source, struct kv_slice key)
{
	uint32_t lo = 0, hi = source->run->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (slice_compare(wal_record_key(merge_record(source, mid)),
			key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void
merge_seek(struct merge *m, struct kv_slice key)
{
	size_t i;

	m->count = 0;
	for (i = 0; i < m->source_count; i++) {
		const struct recent_source *source = &m->sources[i];
		uint32_t at = key.len == 0 ? 0 : merge_search(source, key);

		if (at < source->run->count)
			m->heap[m->count++] = (struct merge_cursor){
				wal_record_key(merge_record(source, at)),
				source, at
			};
	}
	for (i = m->count / 2; i-- > 0;)
		merge_sink(m, i);
}

const struct wal_record *
merge_peek(const struct merge *m)
{
	if (m->count == 0)
		return NULL;
	return merge_record(m->heap[0].source, m->heap[0].at);
}

/* The cursor on top goes on by one. */
static void
merge_advance(struct merge *m)
{
	struct merge_cursor *top = &m->heap[0];

	if (++top->at < top->source->run->count)
		top->key = wal_record_key(merge_record(top->source, top->at));
	else
		*top = m->heap[--m->count];
	merge_sink(m, 0);
}

void
merge_step(struct merge *m)
{
	struct kv_slice key;

	if (m->count == 0)
		return;
	/* The same key may stand in the runs of several segments. */
	key = m->heap[0].key;
	do
		merge_advance(m);
	while (m->count > 0 && slice_equal(m->heap[0].key, key));
}
