/* SPDX-License-Identifier: ISC */
/* The order by seq, out of log and tree. */

#include "engine/trail.h"

#include "engine/internal.h"
#include "engine/walk.h"
#include "tree/range.h"

static bool
trail_wants(const struct wal_record *w)
{
	return !(w->flags & RECORD_LOCAL) && w->type != RECORD_POSITION &&
	    w->type != RECORD_MESSAGE;
}

void
trail_end(struct trail_view *v)
{
	tree_scan_close(v->scan);
	*v = (struct trail_view){ NULL, 0 };
}

/* ---- the tree ---- */

/* The tree's next behind seq.  The scan is kept: whoever goes on where it
 * stands need not look for the place again. */
static int
trail_read_tree(struct engine *e, struct trail_view *v, uint64_t seq,
    struct record *out)
{
	int rc = KV_OK;

	if (v->scan == NULL) {
		rc = tree_scan_open(e->tree, TREE_BY_SEQ, 0, &v->scan);
		v->seq = 0;
	}
	if (rc == KV_OK && v->seq != seq)
		rc = tree_scan_seek(v->scan, (struct kv_slice){ "", 0 },
		    seq + 1);
	v->seq = UINT64_MAX; /* nowhere */
	if (rc == KV_OK)
		rc = tree_scan_next(v->scan, out);
	if (rc == KV_OK)
		v->seq = out->seq;
	return rc;
}

/* KV_EAGAIN: the tree has no more, the place is in the log now. */
static int
trail_next_in_tree(struct engine *e, struct trail_view *v, struct trail *t,
    struct record *out)
{
	uint64_t start = e->view_lo * e->segment_size + SEGMENT_HEADER;
	struct tree_position p;
	int rc;

	if ((rc = tree_position(e->tree, &p)) < 0)
		return rc;
	if (t->seq < p.seq) {
		rc = trail_read_tree(e, v, t->seq, out);
		/* Behind p.seq lies some of what a checkpoint that is half
		 * done brings; the log has all of it. */
		if (rc == KV_OK && out->seq <= p.seq) {
			t->seq = out->seq;
			return KV_OK;
		}
		if (rc < 0 && rc != KV_ENOTFOUND)
			return rc;
		t->seq = p.seq;
	}
	t->place = p.checkpointed > start ? p.checkpointed : start;
	return KV_EAGAIN;
}

/* ---- the log ---- */

/* The record at *place, which then is behind it. */
static int
trail_step(struct engine *e, uint64_t *place, uint64_t *lsn,
    const struct wal_record **out)
{
	struct walk w;
	int rc;

	for (;;) {
		if ((rc = walk_settle(e, place)) < 0)
			return rc;
		if (*place >= e->view_end)
			return KV_EAGAIN;
		walk_begin(e, engine_segment_of(e, *place), &w);
		w.at = *place - w.start;
		*lsn = *place;
		rc = walk_next(&w, out);
		*place = w.start + (rc == KV_ENOTFOUND ? w.end : w.at);
		if (rc != KV_ENOTFOUND)
			return rc;
	}
}

/* Where the log has the first record behind seq; 0: it does not reach back. */
static uint64_t
trail_find(struct engine *e, uint64_t seq)
{
	uint64_t number, before;
	struct walk w;

	for (number = e->view_hi; number + 1 > e->view_lo; number--) {
		const struct segment *s = engine_segment(e, number);

		if (segment_header(s)->first_seq - 1 > seq)
			continue;
		walk_begin(e, number, &w);
		walk_seek(e, &w, seq, e->view_end, &before);
		return w.start + w.at;
	}
	return 0;
}

static int
trail_next_in_log(struct engine *e, struct trail *t, struct record *out)
{
	const struct wal_record *w;
	uint64_t lsn;
	int rc;

	while ((rc = trail_step(e, &t->place, &lsn, &w)) == KV_OK) {
		if (w->seq <= t->seq)
			continue;
		t->seq = w->seq;
		if (!trail_wants(w))
			continue;
		view_record(e, lsn, out);
		return KV_OK;
	}
	return rc;
}

int
trail_next(struct engine *e, struct trail_view *v, struct trail *t,
    struct record *out)
{
	int rc;

	if (t->place == 0)
		t->place = trail_find(e, t->seq);
	if (t->place != 0) {
		rc = trail_next_in_log(e, t, out);
		if (rc != KV_ENOTFOUND)
			return rc == KV_EAGAIN ? KV_ENOTFOUND : rc;
		t->place = 0; /* recycled */
	}
	rc = trail_next_in_tree(e, v, t, out);
	if (rc == KV_EAGAIN)
		rc = trail_next_in_log(e, t, out);
	return rc == KV_EAGAIN ? KV_ENOTFOUND : rc;
}

/* What push_fill() hands to others by itself. */
static bool
trail_is_own(const struct wal_record *w)
{
	return w->type == RECORD_BUCKET || !(w->flags & RECORD_FOREIGN) ||
	    w->flags & RECORD_RELAY;
}

int
trail_head(struct engine *e, struct trail *h, struct tally *t)
{
	uint64_t start = e->view_lo * e->segment_size + SEGMENT_HEADER;
	const struct wal_record *w;
	uint64_t lsn, seq;
	int rc;

	if (h->place < start) {
		if ((rc = tree_last_seq(e->tree, &seq)) < 0)
			return rc;
		if (seq > h->seq)
			h->seq = seq;
		h->place = start;
		tally_begin(t,
		    segment_header(engine_segment(e, e->view_lo))->first_seq -
			1);
	}
	while ((rc = trail_step(e, &h->place, &lsn, &w)) == KV_OK) {
		if (!trail_wants(w))
			continue;
		tally_add(t, w->seq, trail_is_own(w));
		if (w->seq > h->seq)
			h->seq = w->seq;
	}
	return rc == KV_EAGAIN ? KV_OK : rc;
}
