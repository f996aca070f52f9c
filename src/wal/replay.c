/* SPDX-License-Identifier: ISC */
/* The walk over a segment's records. */

#include "wal/replay.h"

struct walk {
	const char *image;
	uint64_t limit;
	uint64_t at;
	uint64_t seq;
	const struct segment_header *header;
};

/* The next record, or NULL where the log ends. */
static const struct wal_record *
walk_next(struct walk *w)
{
	const struct wal_record *r;
	uint64_t lsn = w->header->number * w->header->size + w->at;

	if (w->limit < w->at + WAL_RECORD_MIN)
		return NULL;
	r = (const struct wal_record *)(const void *)(w->image + w->at);
	if (wal_record_verify(r, w->limit - w->at, w->header->nonce, lsn) < 0)
		return NULL;
	if (r->type == RECORD_END ? r->seq < w->seq : r->seq <= w->seq)
		return NULL; /* order is part of being genuine */
	return r;
}

static void
replay_batch(const struct walk *w, uint64_t from, uint64_t to,
    replay_record *each, void *user)
{
	while (from < to) {
		const struct wal_record *r =
		    (const struct wal_record *)(const void *)(w->image + from);

		each(user, r, from);
		from += r->len;
	}
}

void
replay_segment(const char *image, uint64_t limit, replay_record *each,
    void *user, struct replay *out)
{
	const struct wal_record *r;
	struct walk w = { image, limit, SEGMENT_HEADER, 0,
		(const struct segment_header *)(const void *)image };
	uint64_t pending = 0;

	w.seq = w.header->first_seq - 1;
	*out = (struct replay){ .end = w.at, .last_seq = w.seq };
	while ((r = walk_next(&w)) != NULL) {
		if (r->type == RECORD_END) {
			out->sealed = pending == 0;
			break;
		}
		w.at += r->len;
		w.seq = r->seq;
		pending++;
		if (r->flags & RECORD_MORE)
			continue;
		if (each != NULL)
			replay_batch(&w, out->end, w.at, each, user);
		out->end = w.at;
		out->last_seq = w.seq;
		out->records += pending;
		pending = 0;
	}
	out->torn = !out->sealed &&
	    (pending > 0 ||
		(limit >= w.at + 8 &&
		    *(const uint64_t *)(const void *)(image + w.at) != 0));
}
