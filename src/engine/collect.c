/* SPDX-License-Identifier: ISC */
/* Records of the log on their way into the tree. */

#include "engine/collect.h"

#include <stdlib.h>
#include <uthash.h>

#include "base/log.h"

#define COLLECT_BATCH 32 /* records looked at together */

struct collect_batch {
	size_t count;
	uint64_t lsn[COLLECT_BATCH], hash[COLLECT_BATCH];
};

struct collect_sum {
	struct bucket_totals totals;
	UT_hash_handle hh;
};

void
collect_forget(struct collection *c)
{
	struct collect_sum *sum, *next;

	HASH_ITER(hh, c->sums, sum, next) {
		HASH_DEL(c->sums, sum);
		free(sum);
	}
	c->count = 0;
}

void
collect_fini(struct collection *c)
{
	collect_forget(c);
	free(c->records);
	*c = (struct collection){ NULL, 0, 0, NULL };
}

static void
collect_corrupt(struct engine *e, uint64_t lsn)
{
	if (atomic_fetch_or(&e->control->trouble, TROUBLE_CORRUPT) &
	    TROUBLE_CORRUPT)
		return;
	log_error("log lsn=%llu error=\"a record in shared memory is damaged; "
		  "it goes no further\" action=\"writes are refused; restart "
		  "the store to read the log from disk\"",
	    (unsigned long long)lsn);
	engine_wake_room(e);
}

static int
collect_sum(struct collection *c, const struct wal_record *w)
{
	struct collect_sum *sum;

	HASH_FIND(hh, c->sums, &w->bid, sizeof(w->bid), sum);
	if (sum == NULL) {
		if ((sum = calloc(1, sizeof(*sum))) == NULL)
			return KV_ENOMEM;
		sum->totals.bid = w->bid;
		HASH_ADD(hh, c->sums, totals.bid, sizeof(sum->totals.bid), sum);
	}
	sum->totals.totals = w->totals;
	return KV_OK;
}

/* Is the record at `offset` its key's newest before `limit` in the segment? */
static bool
collect_is_newest(const struct segment *s, uint64_t hash, uint64_t offset,
    uint64_t limit)
{
	const struct wal_record *w = segment_record(s, offset);
	uint64_t at =
	    index_find(s, hash, wal_class(w->type), w->bid, wal_record_key(w));

	while (at >= limit)
		at = (uint64_t)segment_record(s, at)->prev << 3;
	return at == offset;
}

static int
collect_keep(struct engine *e, struct collection *c, uint64_t lsn)
{
	struct record *records;

	if (c->count == c->cap) {
		size_t cap = c->cap == 0 ? 4096 : c->cap * 2;

		records = realloc(c->records, cap * sizeof(*records));
		if (records == NULL)
			return KV_ENOMEM;
		c->records = records;
		c->cap = cap;
	}
	view_record(e, lsn, &c->records[c->count]);
	c->records[c->count].flags &= (uint8_t)~RECORD_MORE;
	c->count++;
	return KV_OK;
}

/* Verify the records from *at on, as many as fit, and have what the index
 * knows of their keys fetched: the entries lie all over memory. */
static int
collect_verify(struct engine *e, uint64_t *at, uint64_t to,
    struct collect_batch *b)
{
	const struct segment *s = engine_segment(e, engine_segment_of(e, *at));
	size_t i;

	for (b->count = 0; b->count < COLLECT_BATCH && *at < to; b->count++) {
		const struct wal_record *w =
		    segment_record(s, engine_offset_of(e, *at));

		if (wal_record_verify(w, to - *at, segment_header(s)->nonce,
			*at) < 0) {
			collect_corrupt(e, *at);
			return KV_ECORRUPT;
		}
		b->lsn[b->count] = *at;
		b->hash[b->count] = index_hash_key(e->control->hash_secret,
		    wal_class(w->type), w->bid, wal_record_key(w));
		index_prefetch(s, b->hash[b->count]);
		*at += w->len;
	}
	for (i = 0; i < b->count; i++)
		index_prefetch_record(s, b->hash[i]);
	return KV_OK;
}

int
collect_range(struct engine *e, uint64_t from, uint64_t to,
    struct collection *c, uint64_t *seq)
{
	const struct segment *s = engine_segment(e, engine_segment_of(e, from));
	uint64_t limit = engine_offset_of(e, from) + (to - from);
	struct collect_batch b;
	int rc = KV_OK;
	size_t i;

	collect_forget(c);
	while (rc == KV_OK && from < to) {
		rc = collect_verify(e, &from, to, &b);
		for (i = 0; rc == KV_OK && i < b.count; i++) {
			uint64_t offset = engine_offset_of(e, b.lsn[i]);
			const struct wal_record *w = segment_record(s, offset);

			*seq = w->seq;
			if (wal_class(w->type) == WAL_MESSAGE)
				continue; /* who wanted it has it */
			if (wal_class(w->type) != WAL_POSITION)
				rc = collect_sum(c, w);
			if (rc == KV_OK &&
			    collect_is_newest(s, b.hash[i], offset, limit))
				rc = collect_keep(e, c, b.lsn[i]);
		}
	}
	return rc;
}

int
collect_totals(const struct collection *c, struct bucket_totals **out,
    size_t *count)
{
	struct bucket_totals *totals;
	const struct collect_sum *sum;

	totals = calloc(HASH_COUNT(c->sums) + 1, sizeof(*totals));
	if (totals == NULL)
		return KV_ENOMEM;
	*count = 0;
	for (sum = c->sums; sum != NULL; sum = sum->hh.next)
		totals[(*count)++] = sum->totals;
	*out = totals;
	return KV_OK;
}
