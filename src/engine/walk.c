/* SPDX-License-Identifier: ISC */
/* Forward through the records of a live segment. */

#include "engine/walk.h"

#include <string.h>

#include "engine/recent.h"

void
walk_begin(const struct engine *e, uint64_t number, struct walk *w)
{
	uint64_t end = e->view_end;

	if (number < e->view_hi)
		end = segment_header(engine_segment(e, number + 1))->prev_end;
	w->segment = engine_segment(e, number);
	w->start = number * e->segment_size;
	w->at = SEGMENT_HEADER;
	w->end = end - w->start;
}

int
walk_next(struct walk *w, const struct wal_record **out)
{
	const struct wal_record *r = segment_record(w->segment, w->at);

	/* Zeros: what recovery found was shorter than it had been. */
	if (w->at >= w->end || r->len == 0)
		return KV_ENOTFOUND;
	if (w->end - w->at < WAL_RECORD_MIN || r->len < WAL_RECORD_MIN ||
	    r->len % 8 != 0 || r->len > w->end - w->at)
		return KV_ECORRUPT;
	if (r->type == RECORD_END)
		return KV_ENOTFOUND;
	w->at += r->len;
	*out = r;
	return KV_OK;
}

/* The marks of the walk's segment; those of the one before in its slot go. */
static struct walk_marks *
walk_marks_of(struct engine *e, const struct walk *w)
{
	struct walk_marks *m = recent_marks(e->recent,
	    (w->start / e->segment_size) % CONTROL_SLOTS);
	uint64_t nonce = segment_header(w->segment)->nonce;

	if (m->nonce != nonce)
		memset(m, 0, sizeof(*m));
	m->nonce = nonce;
	return m;
}

/* Go to the last mark that is not past seq and limit. */
static void
walk_skip(const struct walk_marks *m, struct walk *w, uint64_t seq,
    uint64_t limit, uint64_t *before)
{
	size_t i;

	for (i = WALK_MARKS; i-- > 0;) {
		const struct walk_mark *mark = &m->marks[i];

		if (mark->offset > w->at && mark->before <= seq &&
		    w->start + mark->offset <= limit &&
		    mark->offset <= w->end) {
			w->at = mark->offset;
			*before = mark->before;
			return;
		}
	}
}

void
walk_seek(struct engine *e, struct walk *w, uint64_t seq, uint64_t limit,
    uint64_t *before)
{
	struct walk_marks *m = walk_marks_of(e, w);
	const struct wal_record *r;

	*before = segment_header(w->segment)->first_seq - 1;
	walk_skip(m, w, seq, limit, before);
	for (;;) {
		uint64_t at = w->at;
		struct walk_mark *mark =
		    &m->marks[at * WALK_MARKS / e->segment_size];

		if (mark->offset == 0)
			*mark = (struct walk_mark){ at, *before };
		if (walk_next(w, &r) < 0)
			return;
		if (r->seq > seq || w->start + w->at > limit) {
			w->at = at;
			return;
		}
		*before = r->seq;
	}
}

int
walk_settle(const struct engine *e, uint64_t *position)
{
	uint64_t number = engine_segment_of(e, *position);

	if (number + 1 < e->view_lo)
		return KV_ENOTFOUND;
	for (; number < e->view_hi; number++) {
		const struct segment *next = engine_segment(e, number + 1);

		if (*position < segment_header(next)->prev_end)
			break;
		*position = (number + 1) * e->segment_size + SEGMENT_HEADER;
	}
	return number < e->view_lo ? KV_ENOTFOUND : KV_OK;
}
