/* SPDX-License-Identifier: ISC */
/* Messages that come in parts.  Of each peer one at a time, as it sends them;
 * what all of them take is bounded, and beyond that messages are lost: nothing
 * is ever held back for them.  One that began and does not go on, because the
 * sender had to drop it, ends when the peer's next one comes, or its time is up.
 *
 * The same one may come over several links; the first that has it whole ends the
 * others.  A link on which one was lost may not bring what was published behind
 * it while another still brings that one: all of a run comes in its order, or
 * not at all. */

#include <utlist.h>

#include "sync/service.h"

void
parts_end(struct service_peer *p)
{
	struct parts *x = &p->parts;

	p->services->parts_bytes -= x->size;
	buf_fini(&x->bytes);
	*x = (struct parts){ .size = 0 };
	buf_init(&x->bytes);
}

bool
parts_are_before(const struct services *s, uint64_t inc, uint64_t tick)
{
	const struct service_peer *p;

	DL_FOREACH(s->peers, p)
		if (p->parts.size > 0 && p->parts.inc == inc &&
		    p->parts.tick < tick && !p->is_slow)
			return true;
	return false;
}

void
parts_came(struct services *s, uint64_t inc, uint64_t tick)
{
	struct service_peer *p;

	DL_FOREACH(s->peers, p)
		if (p->parts.size > 0 && p->parts.inc == inc &&
		    p->parts.tick <= tick)
			parts_end(p);
}

static int
parts_begin(struct service_peer *p, const struct frame_part *f)
{
	struct services *s = p->services;
	struct parts *x = &p->parts;
	size_t limit = 2 * s->config.value_max;

	if (limit < SERVICES_MESSAGE_BYTES)
		limit = SERVICES_MESSAGE_BYTES;
	if (!messages_is_new(s, f->inc, f->tick))
		return KV_OK;
	if (f->size > s->config.value_max || f->size > limit - s->parts_bytes) {
		s->messages_lost++;
		return KV_OK;
	}
	*x = (struct parts){ .inc = f->inc,
		.tick = f->tick,
		.size = f->size,
		.channel = f->channel.len,
		.bytes = x->bytes,
		.part_ms = s->now_ms + SERVICES_PART_MS,
		.last_ms = s->now_ms + SERVICES_PARTS_MS };
	s->parts_bytes += x->size;
	return buf_append(&x->bytes, f->channel.data, f->channel.len);
}

static int
parts_whole(struct service_peer *p)
{
	struct services *s = p->services;
	struct parts x = p->parts;
	struct frame_message m = { .inc = x.inc,
		.tick = x.tick,
		.channel = { x.bytes.data, x.channel },
		.payload = { x.bytes.data + x.channel, x.size } };
	int rc;

	p->parts = (struct parts){ .size = 0 };
	p->is_slow = false;
	rc = messages_take(p, &m);
	s->parts_bytes -= x.size;
	buf_fini(&x.bytes);
	return rc;
}

int
parts_receive(struct service_peer *p, const struct frame *f)
{
	const struct frame_part *part = &f->u.part;
	struct parts *x = &p->parts;
	int rc;

	if ((part->at == 0) != (part->channel.len > 0) ||
	    part->at > part->size || part->bytes.len > part->size - part->at)
		return KV_EPROTO;
	if (part->at == 0) {
		parts_end(p);
		if ((rc = parts_begin(p, part)) < 0)
			return rc;
	}
	/* Of one that is not wanted, or whose beginning is not there. */
	if (x->size != part->size || x->inc != part->inc ||
	    x->tick != part->tick || x->bytes.len - x->channel != part->at)
		return KV_OK;
	if (part->bytes.len > 0)
		x->part_ms = p->services->now_ms + SERVICES_PART_MS;
	rc = buf_append(&x->bytes, part->bytes.data, part->bytes.len);
	if (rc == KV_OK && x->bytes.len - x->channel == x->size)
		rc = parts_whole(p);
	return rc;
}

/* Else one that is never whole would silence its run for good. */
void
parts_turn(struct services *s, uint64_t *next_ms)
{
	struct service_peer *p;
	uint64_t due;

	DL_FOREACH(s->peers, p) {
		if (p->parts.size == 0)
			continue;
		due = p->parts.part_ms < p->parts.last_ms ? p->parts.part_ms
							  : p->parts.last_ms;
		if (s->now_ms < due) {
			service_sooner(next_ms, due);
			continue;
		}
		s->messages_lost++;
		p->is_slow = true;
		parts_end(p);
	}
}
