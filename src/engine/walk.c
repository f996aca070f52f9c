/* SPDX-License-Identifier: ISC */
/* Forward through the records of a live segment. */

#include "engine/walk.h"

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

	if (w->at >= w->end)
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
