/* SPDX-License-Identifier: ISC */
/* The stream of our own changes, pushed to every peer that subscribed:
 * what this run wrote, what replaced such a write (RELAY), all bucket rows. */

#include "sync/core.h"

int
push_sub(struct replica *r, struct replica_link *l, const struct frame *f)
{
	uint64_t cursor = f->u.rows.cursor;
	uint64_t most = r->head > r->config.start ? r->head : r->config.start;
	int rc;

	if ((rc = announce_learn(r, l, f->u.rows.rows)) < 0)
		return rc;
	if (f->u.rows.flags & FRAME_MORE)
		return KV_OK;
	if (l->to[STREAM_OWN].is_open || cursor > most)
		return link_refuse(r, l, BYE_PROTOCOL, "a SUB that cannot be");
	if (stream_peer_missed(r, l))
		return stream_resync(r, l, STREAM_OWN);
	stream_begin(r, l, STREAM_OWN, cursor);
	return KV_OK;
}

static bool
wants(const struct replica *r, const struct replica_link *l,
    const struct sync_item *item)
{
	const struct record *rec = &item->record;

	if (rec->type == RECORD_BUCKET)
		return true;
	if (rec->stamp.inc != r->config.inc &&
	    (!(rec->flags & RECORD_RELAY) || MUTATED(NO_RELAY)))
		return false;
	return ticks_get(&l->vv, rec->stamp.inc) < rec->stamp.tick;
}

/* The log ends here, in this snapshot: what stands in front of head is claimed,
 * if the peer cannot have missed a purged delete meanwhile.  Once on each link
 * in any case: the ACK says that the peer has it on its disk, which its vector
 * does not. */
static int
claim(struct replica *r, struct replica_link *l, struct sender *s)
{
	struct op mark = { .flags = OP_END,
		.cursor = r->head,
		.head = r->head };
	uint64_t known = ticks_get(&l->vv, r->config.inc);

	if (known < s->claimed)
		known = s->claimed;
	if (s->ops == 0 && r->head <= known && (s->claimed > 0 || r->head == 0))
		return KV_EAGAIN;
	if (stream_peer_missed(r, l) && !MUTATED(NO_CLAIM_TEST))
		return stream_resync(r, l, STREAM_OWN);
	s->claimed = r->head;
	return stream_mark(r, l, s, &mark);
}

int
push_fill(struct replica *r, struct replica_link *l)
{
	struct sender *s = &l->to[STREAM_OWN];
	int rc = stream_next(r, l, s, wants);

	return rc == KV_ENOTFOUND ? claim(r, l, s) : rc;
}
