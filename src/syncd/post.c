/* SPDX-License-Identifier: ISC */
/* PUBLISH over all nodes: what this host's log has of its own clients goes to
 * the links, what comes from them goes into the log, where all workers find
 * it.  Messages are not kept: who is too slow misses some. */

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "engine/channel.h"
#include "syncd/desk.h"

#define POST_ARRIVED_MAX (4u << 20)
#define POST_SLICE 4096 /* records of the log in one turn */

/* In front of the bytes of channel and payload in d->arrived. */
struct post_head {
	struct stamp stamp;
	size_t channel, payload;
};

/* Said at the first, the second, the fourth ... */
static void
post_lost(struct desk *d, const char *why)
{
	d->dropped++;
	if ((d->dropped & (d->dropped - 1)) == 0)
		log_warn("messages lost count=%llu reason=\"%s\"",
		    (unsigned long long)d->dropped, why);
}

void
post_init(struct desk *d)
{
	buf_init(&d->arrived);
}

void
post_fini(struct desk *d)
{
	if (d->follows)
		channel_total(d->s->engine, 0);
	buf_fini(&d->arrived);
}

/* ---- from the links ---- */

uint64_t
post_wall_ms(void *user)
{
	(void)user;
	return clock_wall_ms();
}

uint64_t
post_lost_count(const struct desk *d)
{
	return d->dropped + services_messages_lost(d->services);
}

/* There is always room for one of any size. */
static size_t
post_room(const struct desk *d)
{
	return POST_ARRIVED_MAX + (size_t)conf_u64(d->s->conf, CONF_VALUE_MAX);
}

void
post_message(void *user, const struct frame_message *m)
{
	struct desk *d = user;
	struct buf *to = &d->arrived;
	struct post_head head = { { m->tick, m->inc }, m->channel.len,
		m->payload.len };
	size_t size = sizeof(head) + head.channel + head.payload;

	if (to->len + size > post_room(d) || buf_reserve(to, size) < 0) {
		post_lost(d, "too many at once");
		return;
	}
	/* There is room: none of these fails. */
	if (buf_append(to, &head, sizeof(head)) < 0 ||
	    buf_append(to, m->channel.data, m->channel.len) < 0 ||
	    buf_append(to, m->payload.data, m->payload.len) < 0)
		post_lost(d, "out of memory");
}

/* Stage what fits one batch; *at goes behind it. */
static int
post_stage(struct desk *d, size_t *at)
{
	struct post_head head;
	const char *bytes;
	int rc = KV_OK;

	while (*at < d->arrived.len && rc == KV_OK &&
	    engine_staged(d->s->engine) < POST_ARRIVED_MAX / 4) {
		memcpy(&head, d->arrived.data + *at, sizeof(head));
		bytes = d->arrived.data + *at + sizeof(head);
		rc = engine_publish_foreign(d->s->engine, head.stamp,
		    (struct kv_slice){ bytes, head.channel },
		    (struct kv_slice){ bytes + head.channel, head.payload });
		*at += sizeof(head) + head.channel + head.payload;
	}
	return rc;
}

/* All from there on. */
static void
post_lose_rest(struct desk *d, size_t at, const char *why)
{
	struct post_head head;

	for (; at < d->arrived.len;
	     at += sizeof(head) + head.channel + head.payload) {
		memcpy(&head, d->arrived.data + at, sizeof(head));
		post_lost(d, why);
	}
}

/* A log that is full, or refuses, takes no messages. */
static void
post_append(struct desk *d)
{
	uint64_t end;
	size_t at = 0, before = 0;
	int rc = KV_OK;

	while (at < d->arrived.len && rc == KV_OK) {
		before = at;
		if ((rc = post_stage(d, &at)) == KV_OK)
			rc = engine_commit(d->s->engine, &end);
		else
			engine_rollback(d->s->engine);
	}
	if (rc < 0)
		post_lose_rest(d, before, err_text(rc));
	d->arrived.len = 0;
	buf_shrink(&d->arrived, 65536);
}

/* ---- from the log ---- */

/* Somebody to tell came, or the last one went: workers write messages into the
 * log only when there is a subscriber, which is us. */
static void
post_follow(struct desk *d)
{
	bool follows = services_has_peers(d->services);

	if (follows == d->follows)
		return;
	d->follows = follows;
	channel_total(d->s->engine, follows ? 1 : 0);
	feed_tail(d->s->engine, &d->feed);
	d->feed.messages = true;
}

static void
post_publish(struct desk *d, const struct record *r)
{
	struct frame_message m = { .inc = r->stamp.inc,
		.tick = r->stamp.tick,
		.channel = r->key,
		.payload = r->value };
	int rc;

	if (r->type != RECORD_MESSAGE || r->bid != MESSAGE_CHANNEL ||
	    r->flags & RECORD_FOREIGN)
		return;
	rc = services_publish(d->services, &m);
	if (rc < 0)
		post_lost(d, err_text(rc));
}

/* What links cannot take yet waits in the log, but not until that is
 * overwritten: then the oldest that they have not had are dropped, and counted. */
static bool
post_goes_on(const struct desk *d)
{
	const struct control *k = engine_control(d->s->engine);

	return services_wants_messages(d->services) ||
	    atomic_load(&k->wal_end) > d->feed.position + 2 * k->segment_size;
}

/* The log went on without us: it may be that nobody published anything. */
static void
post_skip(struct desk *d)
{
	const struct control *k = engine_control(d->s->engine);

	if (atomic_load(&k->message_end) > d->feed.position)
		post_lost(d, "kv-syncd was too slow");
	feed_tail(d->s->engine, &d->feed);
	d->feed.messages = true;
}

int
post_turn(struct desk *d)
{
	struct record r;
	unsigned n;
	int rc = KV_OK;

	if (d->arrived.len > 0)
		post_append(d);
	post_follow(d);
	d->has_more = false;
	for (n = 0; d->follows && n < POST_SLICE && post_goes_on(d); n++) {
		rc = feed_next(d->s->engine, &d->feed, &r);
		if (rc == KV_EAGAIN)
			return KV_OK;
		if (rc == KV_ENOTFOUND) {
			post_skip(d);
			return KV_OK;
		}
		if (rc < 0)
			return rc;
		post_publish(d, &r);
	}
	d->has_more = d->follows;
	return KV_OK;
}

void
post_sent(struct desk *d)
{
	if (d->has_more && post_goes_on(d))
		desk_wants_turn(d);
}
