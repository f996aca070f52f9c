/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_WALK_H
#define KV_ENGINE_WALK_H

/* Forward through the records of a live segment, in a view. */

#include "engine/internal.h"

struct walk {
	const struct segment *segment;
	uint64_t start; /* LSN of the segment */
	uint64_t at;	/* offset of the next record */
	uint64_t end;	/* offset where the view's records end */
};

/* Stand at the first record of segment `number`, view_lo..view_hi. */
void walk_begin(const struct engine *e, uint64_t number, struct walk *w);

/* The record, at start + w->at - len after the step.  KV_ENOTFOUND: no more
 * in this segment; the RECORD_END is not handed out.  KV_ECORRUPT: a length
 * that cannot be; the memory was scribbled on. */
KV_CHECKED int walk_next(struct walk *w, const struct wal_record **out);

#endif
