/* SPDX-License-Identifier: ISC */
/* What is published, to all nodes: each hands on what it has not seen, so that
 * messages cross a line of nodes.  A run's stamps rise, so the last one seen
 * tells what is new.  One ring serves all links; a link that is so slow that
 * its next message is gone from the ring misses it: messages are not kept. */

#include <stdlib.h>
#include <utlist.h>

#include "sync/service.h"

#define MESSAGE_RUNS 4096 /* whose stamps are remembered */

static struct message *
message_at(const struct services *s, uint64_t n)
{
	return &s->messages[n % SERVICES_MESSAGES];
}

int
messages_init(struct services *s)
{
	s->messages = calloc(SERVICES_MESSAGES, sizeof(*s->messages));
	return s->messages == NULL ? KV_ENOMEM : KV_OK;
}

static void
message_drop_first(struct services *s)
{
	struct message *m = message_at(s, s->message_first++);

	s->message_bytes -= m->frame.len;
	buf_fini(&m->frame);
}

void
messages_fini(struct services *s)
{
	while (s->message_first < s->message_end)
		message_drop_first(s);
	free(s->messages);
}

void
messages_up(struct service_peer *p)
{
	p->next_message = p->services->message_end;
}

/* What all links have sent. */
static void
messages_tidy(struct services *s)
{
	uint64_t sent = s->message_end;
	struct service_peer *p;

	DL_FOREACH(s->peers, p)
		if (p->next_message < sent)
			sent = p->next_message;
	while (s->message_first < sent)
		message_drop_first(s);
}

static int
message_add(struct services *s, const struct frame *f, unsigned from)
{
	struct buf frame;
	int rc;

	buf_init(&frame);
	if ((rc = frame_encode(f, &frame)) < 0) {
		buf_fini(&frame);
		return rc;
	}
	while (s->message_first < s->message_end &&
	    (s->message_end - s->message_first >= SERVICES_MESSAGES ||
		s->message_bytes + frame.len > SERVICES_MESSAGE_BYTES))
		message_drop_first(s);
	s->message_bytes += frame.len;
	*message_at(s, s->message_end++) = (struct message){
		.frame = frame,
		.from = from,
		.inc = f->u.message.inc,
	};
	return KV_OK;
}

int
services_publish(struct services *s, const struct frame_message *m)
{
	struct frame f = { .type = FRAME_MESSAGE, .u.message = *m };

	if (s->peers == NULL)
		return KV_OK;
	return message_add(s, &f, 0);
}

uint64_t
services_messages_lost(const struct services *s)
{
	return s->messages_lost;
}

int
messages_receive(struct service_peer *p, const struct frame *f)
{
	const struct frame_message *m = &f->u.message;
	struct services *s = p->services;
	int rc;

	if (m->channel.len == 0)
		return KV_EPROTO;
	if (m->inc == s->config.inc || m->tick <= ticks_get(&s->seen, m->inc))
		return KV_OK;
	if (s->seen.count >= MESSAGE_RUNS)
		ticks_clear(&s->seen);
	if ((rc = ticks_set(&s->seen, m->inc, m->tick)) < 0)
		return rc;
	s->config.ops->message(s->config.user, m);
	return s->peer_count > 1 ? message_add(s, f, p->number) : KV_OK;
}

/* Not back to where it came from, nor to who published it. */
static bool
message_is_for(const struct message *m, const struct service_peer *p)
{
	return m->from != p->number && m->inc != p->inc;
}

int
messages_send(struct service_peer *p, struct buf *out)
{
	struct services *s = p->services;
	const struct message *m;
	int rc = KV_EAGAIN;

	if (p->next_message < s->message_first) {
		s->messages_lost += s->message_first - p->next_message;
		p->next_message = s->message_first;
	}
	while (rc == KV_EAGAIN && p->next_message < s->message_end) {
		m = message_at(s, p->next_message++);
		if (message_is_for(m, p))
			rc = buf_append(out, m->frame.data, m->frame.len);
	}
	messages_tidy(s);
	return rc;
}
