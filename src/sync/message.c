/* SPDX-License-Identifier: ISC */
/* What is published, to all nodes: each hands on what it has not seen, so that
 * messages cross a line of nodes.  A run's stamps rise, so the last one seen
 * tells what is new.  One ring serves all links; a link that is so slow that
 * its next message is gone from the ring misses it: messages are not kept.
 * What is too long for a frame goes in parts (parts.c). */

#include <stdlib.h>
#include <utlist.h>

#include "sync/service.h"

#define MESSAGE_RUNS 4096 /* whose stamps are remembered */
#define MESSAGE_FITS (FRAME_MAX - FRAME_MESSAGE_HEAD) /* one frame */

static struct message *
message_at(const struct services *s, uint64_t n)
{
	return &s->messages[n % SERVICES_MESSAGES];
}

/* What it costs, about. */
static size_t
message_size(const struct message *m)
{
	return m->bytes.len + FRAME_MESSAGE_HEAD;
}

static size_t
messages_limit(const struct services *s)
{
	size_t two = 2 * (s->config.value_max + KV_KEY_MAX);

	return two > SERVICES_MESSAGE_BYTES ? two : SERVICES_MESSAGE_BYTES;
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

	s->message_bytes -= message_size(m);
	buf_fini(&m->bytes);
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
message_add(struct services *s, const struct frame_message *from,
    unsigned number)
{
	struct message m = { .channel = from->channel.len,
		.from = number,
		.inc = from->inc,
		.tick = from->tick };
	size_t size = from->channel.len + from->payload.len;

	buf_init(&m.bytes);
	if (buf_reserve(&m.bytes, size + 1) < 0 ||
	    buf_append(&m.bytes, from->channel.data, from->channel.len) < 0 ||
	    buf_append(&m.bytes, from->payload.data, from->payload.len) < 0) {
		buf_fini(&m.bytes);
		return KV_ENOMEM;
	}
	while (s->message_first < s->message_end &&
	    (s->message_end - s->message_first >= SERVICES_MESSAGES ||
		s->message_bytes + message_size(&m) > messages_limit(s)))
		message_drop_first(s);
	s->message_bytes += message_size(&m);
	*message_at(s, s->message_end++) = m;
	return KV_OK;
}

bool
services_wants_messages(const struct services *s)
{
	const struct service_peer *p;

	if (s->message_bytes < messages_limit(s) / 2 &&
	    s->message_end - s->message_first < SERVICES_MESSAGES / 2)
		return true;
	DL_FOREACH(s->peers, p)
		if (p->next_message == s->message_end)
			return true;
	return false;
}

int
services_publish(struct services *s, const struct frame_message *m)
{
	if (m->channel.len > KV_KEY_MAX || m->payload.len > UINT32_MAX)
		return KV_ETOOBIG;
	return s->peers == NULL ? KV_OK : message_add(s, m, 0);
}

uint64_t
services_messages_lost(const struct services *s)
{
	return s->messages_lost;
}

bool
messages_is_new(const struct services *s, uint64_t inc, uint64_t tick)
{
	return inc != s->config.inc && tick > ticks_get(&s->seen, inc);
}

int
messages_take(struct service_peer *p, const struct frame_message *m)
{
	struct services *s = p->services;
	uint64_t limit =
	    s->config.ops->wall_ms(s->config.user) + SERVICES_DRIFT_MS;
	int rc;

	if (!messages_is_new(s, m->inc, m->tick) ||
	    parts_are_before(s, m->inc, m->tick))
		return KV_OK;
	/* All that this run says later would be old. */
	if (m->tick >> 16 > limit) {
		s->messages_lost++;
		return KV_OK;
	}
	if (s->seen.count >= MESSAGE_RUNS)
		ticks_clear(&s->seen);
	if ((rc = ticks_set(&s->seen, m->inc, m->tick)) < 0)
		return rc;
	parts_came(s, m->inc, m->tick);
	s->config.ops->message(s->config.user, m);
	return s->peer_count > 1 ? message_add(s, m, p->number) : KV_OK;
}

int
messages_receive(struct service_peer *p, const struct frame *f)
{
	if (f->u.message.channel.len == 0)
		return KV_EPROTO;
	parts_end(p);
	return messages_take(p, &f->u.message);
}

/* Not back to where it came from, nor to who published it. */
static bool
message_is_for(const struct message *m, const struct service_peer *p)
{
	return m->from != p->number && m->inc != p->inc;
}

static int
message_put_whole(const struct message *m, struct buf *out)
{
	const char *bytes = m->bytes.data;
	struct frame f = { .type = FRAME_MESSAGE };

	f.u.message.inc = m->inc;
	f.u.message.tick = m->tick;
	f.u.message.channel = (struct kv_slice){ bytes, m->channel };
	f.u.message.payload =
	    (struct kv_slice){ bytes + m->channel, m->bytes.len - m->channel };
	return frame_encode(&f, out);
}

static int
message_put_part(struct service_peer *p, const struct message *m,
    struct buf *out)
{
	const char *bytes = m->bytes.data;
	size_t size = m->bytes.len - m->channel, n = size - p->sent;
	size_t head = FRAME_PART_HEAD + (p->sent == 0 ? m->channel : 0);
	struct frame f = { .type = FRAME_PART };
	int rc;

	if (n > FRAME_MAX - head)
		n = FRAME_MAX - head;
	f.u.part.inc = m->inc;
	f.u.part.tick = m->tick;
	f.u.part.size = (uint32_t)size;
	f.u.part.at = (uint32_t)p->sent;
	f.u.part.channel =
	    (struct kv_slice){ bytes, p->sent == 0 ? m->channel : 0 };
	f.u.part.bytes = (struct kv_slice){ bytes + m->channel + p->sent, n };
	if ((rc = frame_encode(&f, out)) == KV_OK)
		p->sent += n;
	return rc;
}

/* The next frame of the peer's next message. */
static int
message_put(struct service_peer *p, const struct message *m, struct buf *out)
{
	size_t size = m->bytes.len - m->channel;
	bool is_whole = m->bytes.len <= MESSAGE_FITS;
	int rc =
	    is_whole ? message_put_whole(m, out) : message_put_part(p, m, out);

	if (rc == KV_OK && (is_whole || p->sent == size)) {
		p->next_message++;
		p->sent = 0;
	}
	return rc;
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
		p->sent = 0;
	}
	while (rc == KV_EAGAIN && p->next_message < s->message_end) {
		m = message_at(s, p->next_message);
		if (message_is_for(m, p))
			rc = message_put(p, m, out);
		else
			p->next_message++;
	}
	messages_tidy(s);
	return rc;
}
