/* SPDX-License-Identifier: ISC */
/* Mending the log after a death in the middle of an append: the records in
 * [indexed_end, wal_end) are put into the index again, which is idempotent,
 * because their links stand in the records. */

#include "engine/internal.h"

static void
mend_publish(_Atomic uint64_t *position, uint64_t to)
{
	/* Pairs with the acquire loads of views, writers and followers. */
	atomic_store_explicit(position, to, memory_order_release);
}

static void
mend_record(struct engine *e, uint64_t lsn)
{
	struct control *c = e->control;
	uint64_t number = engine_segment_of(e, lsn);
	const struct segment *s = engine_segment(e, number);
	uint32_t offset = (uint32_t)engine_offset_of(e, lsn);
	const struct wal_record *w = segment_record(s, offset);

	if (w->seq > c->seq)
		c->seq = w->seq;
	if (wal_class(w->type) == WAL_MESSAGE)
		return;
	index_put(s,
	    index_hash_key(c->hash_secret, wal_class(w->type), w->bid,
		wal_record_key(w)),
	    offset);
	index_put_chain(s, index_hash_chain(c->hash_secret, w->bid), offset);
	if (w->type == RECORD_BUCKET) {
		index_put_row(s, index_hash_row(c->hash_secret, w->bid),
		    offset);
		mend_publish(&c->bucket_change, lsn + w->len);
	}
}

void
append_repair(struct engine *e)
{
	struct control *c = e->control;
	uint64_t end = atomic_load(&c->wal_end);
	uint64_t at = atomic_load(&c->indexed_end);
	uint64_t number = engine_segment_of(e, end), n = 0;

	if (engine_segment_of(e, at) != number) /* a roll: nothing in between */
		at = number * e->segment_size + SEGMENT_HEADER;
	while (at < end) {
		const struct wal_record *w = engine_record_at(e, at);

		if (w->len < WAL_RECORD_MIN || w->len > end - at) {
			/* Scribbled on; it must not hold us in the lock. */
			atomic_fetch_or(&c->trouble, TROUBLE_CORRUPT);
			break;
		}
		mend_record(e, at);
		at += w->len;
		n++;
	}
	/* Who died may have been about to begin a segment under a new one. */
	c->inc = segment_header(engine_segment(e, number))->inc;
	mend_publish(&c->segment_hi, number);
	mend_publish(&c->indexed_end, end);
	c->index_used = index_count(engine_segment(e, number));
	atomic_fetch_add(&c->stats.repaired, n);
}
