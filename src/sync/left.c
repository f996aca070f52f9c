/* SPDX-License-Identifier: ISC */
/* How many records a peer is behind, for people: told to one that stays
 * behind, not to one whose ACK is on its way.  A range is read from the tree, so
 * of that it is what the tree has and was not sent yet. */

#include "sync/core.h"

#define LEFT_MS 250 /* between two, and before the first */

/* Is there something that it has not acknowledged?  *seq: from where on. */
static bool
is_behind(const struct replica *r, const struct replica_link *l,
    enum frame_stream kind, uint64_t *seq)
{
	const struct sender *s = &l->to[kind];

	*seq = kind == STREAM_RANGE ? 0 : s->acked;
	return s->is_open &&
	    (kind == STREAM_RANGE ? !l->answer.is_repair : r->head > s->acked);
}

static int
count(struct replica *r, const struct replica_link *l, uint64_t *left)
{
	enum frame_stream kind;
	uint64_t seq, n;
	int rc;

	*left = 0;
	for (kind = STREAM_RANGE; kind >= STREAM_OWN; kind--) {
		if (!is_behind(r, l, kind, &seq))
			continue;
		rc = r->store.ops->count(r->store.self, seq, kind == STREAM_OWN,
		    &n);
		if (rc < 0)
			return rc;
		if (kind == STREAM_RANGE)
			n -= n < l->range_ops ? n : l->range_ops;
		if (*left < n)
			*left = n;
		if (kind == STREAM_RANGE)
			break; /* the rest is in it */
	}
	return KV_OK;
}

static int
tell(struct replica *r, struct replica_link *l, uint64_t left)
{
	struct frame f = { .type = FRAME_LEFT, .u.left = left };

	l->left_told_ms = r->now.mono_ms;
	if (l->told_left == left)
		return KV_OK;
	l->told_left = left;
	return outbox_put(&l->outbox, &f);
}

int
left_due(struct replica *r, struct replica_link *l, uint64_t *next_ms)
{
	uint64_t seq, left, due;
	int rc;

	if (!is_behind(r, l, STREAM_OWN, &seq) &&
	    !is_behind(r, l, STREAM_FULL, &seq) &&
	    !is_behind(r, l, STREAM_RANGE, &seq)) {
		l->left_since_ms = 0;
		return l->told_left == 0 ? KV_OK : tell(r, l, 0);
	}
	if (l->left_since_ms == 0)
		l->left_since_ms = r->now.mono_ms;
	due = l->left_since_ms + LEFT_MS;
	if (is_behind(r, l, STREAM_RANGE, &seq))
		due = r->now.mono_ms; /* whoever reads ranges has to go far */
	if (due < l->left_told_ms + LEFT_MS && l->told_left > 0)
		due = l->left_told_ms + LEFT_MS;
	if (r->now.mono_ms < due) {
		core_sooner(next_ms, due);
		return KV_OK;
	}
	core_sooner(next_ms, r->now.mono_ms + LEFT_MS);
	if ((rc = count(r, l, &left)) < 0)
		return rc;
	return tell(r, l, left);
}

int
left_received(struct replica *r, struct replica_link *l, const struct frame *f)
{
	(void)r;
	l->left = f->u.left > INT64_MAX ? INT64_MAX : f->u.left;
	return KV_OK;
}
