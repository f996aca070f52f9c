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

/* From the first record on to the first one with a seq over this, or that ends
 * past limit (an LSN), or to the end.  *before: the seq of the record it then
 * stands behind (the segment's first_seq - 1: of none).
 *
 * Each process remembers places it came by, so that the way to one that is
 * not much newer than where somebody was before is short. */
void walk_seek(struct engine *e, struct walk *w, uint64_t seq, uint64_t limit,
    uint64_t *before);

/* A position behind the last record of a segment becomes the start of the
 * next.  KV_ENOTFOUND: its segment has left the view, and there were records
 * behind it. */
KV_CHECKED int walk_settle(const struct engine *e, uint64_t *position);

#define WALK_MARKS 256

/* Places in a segment: for each 256th of it the first record that begins
 * there, and the seq of the one before that. */
struct walk_marks {
	uint64_t nonce; /* of the segment they are in */
	struct walk_mark {
		uint64_t offset; /* 0: not known */
		uint64_t before;
	} marks[WALK_MARKS];
};

#endif
