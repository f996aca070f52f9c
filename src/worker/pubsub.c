/* SPDX-License-Identifier: ISC */
/* Subscriptions of RESP clients, and the feed that serves them.
 *
 * A client has a link to each of its topics.  While messages are handed out a
 * client can be lost at any point: then it only loses its session, and its
 * links go when nobody walks along them any more. */

#include "worker/pubsub.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "base/log.h"
#include "engine/feed.h"
#include "proto/glob.h"
#include "worker/notify.h"

#define PUBSUB_SLICE 4096	      /* records of the log in one turn */
#define PUBSUB_SLICE_BYTES (4u << 20) /* sent out in one turn */
#define PUBSUB_FLUSH 65536

struct pubsub_link {
	struct link_key {
		const struct pubsub_client *client;
		const struct pubsub_topic *topic;
	} key;
	struct pubsub_client *client;
	struct pubsub_topic *topic;
	struct pubsub_link *prev, *next;	   /* of the topic */
	struct pubsub_link *prev_mine, *next_mine; /* of the client */
	uint64_t after;				   /* nothing up to this seq */
	UT_hash_handle hh;
};

struct pubsub_client {
	struct session *session; /* NULL: lost */
	struct pubsub_link *links[2];
	size_t count[2]; /* by enum channel_kind */
	struct pubsub_client *dirty, *lost;
	bool is_dirty;
};

struct pubsub_topic {
	UT_hash_handle hh;
	struct pubsub_link *links;
	uint32_t count;
	uint32_t place; /* in the host's table */
	size_t len;
	char name[];
};

struct pubsub {
	struct feed feed;
	struct pubsub_topic *topics[2];
	struct pubsub_link *links;
	struct pubsub_client *dirty, *lost;
	size_t total;
	size_t sent;  /* bytes handed out in this turn */
	bool pumping; /* clients that go are only lost */
	uint64_t seq; /* of the record being handed out */
	struct buf text[2];
	struct notify notify;
};

int
pubsub_init(struct worker *w)
{
	w->pubsub = calloc(1, sizeof(*w->pubsub));
	return w->pubsub == NULL ? KV_ENOMEM : KV_OK;
}

void
pubsub_fini(struct worker *w)
{
	if (w->pubsub == NULL)
		return;
	buf_fini(&w->pubsub->text[0]);
	buf_fini(&w->pubsub->text[1]);
	buf_fini(&w->pubsub->notify.text);
	free(w->pubsub);
	w->pubsub = NULL;
}

/* ---- topics ---- */

static struct pubsub_topic *
topic_find(const struct pubsub *p, enum channel_kind kind, struct kv_slice name)
{
	struct pubsub_topic *t;

	HASH_FIND(hh, p->topics[kind], name.data, name.len, t);
	return t;
}

static struct pubsub_topic *
topic_make(struct worker *w, enum channel_kind kind, struct kv_slice name)
{
	struct pubsub *p = w->pubsub;
	struct pubsub_topic *t = topic_find(p, kind, name);

	if (t != NULL || (t = calloc(1, sizeof(*t) + name.len)) == NULL)
		return t;
	t->len = name.len;
	memcpy(t->name, name.data, name.len);
	t->place = channel_enter(w->engine, kind, name);
	HASH_ADD_KEYPTR(hh, p->topics[kind], t->name, t->len, t);
	return t;
}

const struct pubsub_topic *
pubsub_find(const struct worker *w, enum channel_kind kind,
    struct kv_slice name)
{
	return topic_find(w->pubsub, kind, name);
}

const struct pubsub_topic *
pubsub_next(const struct worker *w, enum channel_kind kind,
    const struct pubsub_topic *before)
{
	return before == NULL ? w->pubsub->topics[kind] : before->hh.next;
}

struct kv_slice
pubsub_name(const struct pubsub_topic *t)
{
	return (struct kv_slice){ t->name, t->len };
}

size_t
pubsub_subscribers(const struct pubsub_topic *t)
{
	return t->count;
}

uint64_t
pubsub_receivers(const struct worker *w, struct kv_slice channel)
{
	const struct pubsub_topic *t = pubsub_find(w, CHANNEL_NAME, channel);
	uint64_t n = t == NULL ? 0 : t->count;

	for (t = w->pubsub->topics[CHANNEL_PATTERN]; t != NULL; t = t->hh.next)
		if (glob_match(pubsub_name(t), channel, false))
			n += t->count;
	return n;
}

/* ---- subscribing ---- */

static struct pubsub_link *
link_find(const struct pubsub *p, const struct pubsub_client *client,
    const struct pubsub_topic *topic)
{
	struct link_key key = { client, topic };
	struct pubsub_link *l;

	/* The analyzer loses track of pointers that are read byte by byte. */
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
	HASH_FIND(hh, p->links, &key, sizeof(key), l);
	return l;
}

static void
link_free(struct worker *w, struct pubsub_link *l, enum channel_kind kind)
{
	struct pubsub *p = w->pubsub;
	struct pubsub_topic *t = l->topic;

	DL_DELETE(t->links, l);
	DL_DELETE2(l->client->links[kind], l, prev_mine, next_mine);
	HASH_DEL(p->links, l);
	l->client->count[kind]--;
	p->total--;
	channel_set(w->engine, t->place, --t->count);
	if (t->count == 0) {
		HASH_DEL(p->topics[kind], t);
		free(t);
	}
	free(l);
}

static void
client_free(struct worker *w, struct pubsub_client *client)
{
	int kind;

	for (kind = 0; kind < 2; kind++)
		while (client->links[kind] != NULL)
			link_free(w, client->links[kind],
			    (enum channel_kind)kind);
	channel_total(w->engine, w->pubsub->total);
	free(client);
}

static struct pubsub_client *
client_of(struct session *s)
{
	if (s->pubsub != NULL)
		return s->pubsub;
	s->pubsub = calloc(1, sizeof(*s->pubsub));
	if (s->pubsub != NULL) {
		s->pubsub->session = s;
		s->conn.flags |= CONN_PATIENT;
	}
	return s->pubsub;
}

static int
link_make(struct worker *w, struct pubsub_client *client,
    enum channel_kind kind, struct pubsub_topic *t)
{
	struct pubsub *p = w->pubsub;
	struct pubsub_link *l;
	struct feed tail;

	if (link_find(p, client, t) != NULL)
		return KV_OK;
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return KV_ENOMEM;
	l->key = (struct link_key){ client, t };
	l->client = client;
	l->topic = t;
	feed_tail(w->engine, &tail);
	l->after = tail.seq;
	if (p->total == 0) {
		p->feed = tail;
		p->feed.messages = true;
	}
	HASH_ADD(hh, p->links, key, sizeof(l->key), l);
	DL_APPEND(t->links, l);
	DL_APPEND2(client->links[kind], l, prev_mine, next_mine);
	client->count[kind]++;
	p->total++;
	channel_set(w->engine, t->place, ++t->count);
	channel_total(w->engine, p->total);
	return KV_OK;
}

void
pubsub_end(struct session *s)
{
	struct worker *w = session_worker(s);
	struct pubsub_client *client = s->pubsub;

	if (client == NULL)
		return;
	s->pubsub = NULL;
	s->conn.flags &= ~(uint32_t)CONN_PATIENT;
	client->session = NULL;
	if (!w->pubsub->pumping) {
		client_free(w, client);
		return;
	}
	client->lost = w->pubsub->lost;
	w->pubsub->lost = client;
}

static void
client_tidy(struct session *s)
{
	const struct pubsub_client *client = s->pubsub;

	if (client != NULL && client->count[0] + client->count[1] == 0)
		pubsub_end(s);
}

int
pubsub_subscribe(struct session *s, enum channel_kind kind,
    struct kv_slice name)
{
	struct worker *w = session_worker(s);
	struct pubsub_client *client = client_of(s);
	struct pubsub_topic *t = NULL;
	int rc = KV_ENOMEM;

	if (client != NULL && (t = topic_make(w, kind, name)) != NULL)
		rc = link_make(w, client, kind, t);
	if (t != NULL && t->count == 0) {
		channel_set(w->engine, t->place, 0);
		HASH_DEL(w->pubsub->topics[kind], t);
		free(t);
	}
	if (rc < 0)
		client_tidy(s);
	return rc;
}

void
pubsub_unsubscribe(struct session *s, enum channel_kind kind,
    struct kv_slice name)
{
	struct worker *w = session_worker(s);
	struct pubsub_topic *t = topic_find(w->pubsub, kind, name);
	struct pubsub_link *l;

	if (s->pubsub == NULL || t == NULL ||
	    (l = link_find(w->pubsub, s->pubsub, t)) == NULL)
		return;
	link_free(w, l, kind);
	channel_total(w->engine, w->pubsub->total);
	client_tidy(s);
}

size_t
pubsub_count(const struct session *s, enum channel_kind kind)
{
	return s->pubsub == NULL ? 0 : s->pubsub->count[kind];
}

bool
pubsub_any(const struct session *s, enum channel_kind kind,
    struct kv_slice *name)
{
	if (pubsub_count(s, kind) == 0)
		return false;
	*name = pubsub_name(s->pubsub->links[kind]->topic);
	return true;
}

/* ---- handing out ---- */

static void
client_lose(struct session *s, const char *why)
{
	session_worker(s)->subscribers_lost++;
	log_warn("close id=%llu reason=\"%s\" pending=%zu",
	    (unsigned long long)s->id, why, output_pending(&s->conn));
	conn_close(&s->conn);
}

static void
client_send(struct worker *w, struct pubsub_client *client,
    const struct buf *text)
{
	struct pubsub *p = w->pubsub;
	struct conn *c = &client->session->conn;
	bool outer = conn_enter(c);

	if (output_pending(c) + text->len > PUBSUB_FLUSH &&
	    !(c->flags & CONN_WANT_OUT))
		output_flush(c);
	if (conn_is_dead(c))
		goto out;
	if (output_pending(c) + text->len > w->subscriber_limit) {
		client_lose(client->session, "subscriber too slow");
		goto out;
	}
	p->sent += text->len;
	if (output_append(c, text->data, text->len) && !client->is_dirty) {
		client->is_dirty = true;
		client->dirty = p->dirty;
		p->dirty = client;
	}
out:
	conn_leave(c, outer);
}

/* pattern: NULL for a subscriber of the channel itself. */
static const struct buf *
pubsub_encode(struct pubsub *p, int proto, const struct pubsub_topic *pattern,
    struct kv_slice channel, struct kv_slice payload)
{
	struct buf *text = &p->text[proto == 3];
	struct reply reply = { text, proto, KV_OK };

	text->len = 0;
	reply_push(&reply, pattern == NULL ? 3 : 4);
	reply_text(&reply, pattern == NULL ? "message" : "pmessage");
	if (pattern != NULL)
		reply_bulk(&reply, pubsub_name(pattern));
	reply_bulk(&reply, channel);
	reply_bulk(&reply, payload);
	return reply.rc < 0 ? NULL : text;
}

static void
topic_deliver(struct worker *w, const struct pubsub_topic *t, bool is_pattern,
    struct kv_slice channel, struct kv_slice payload)
{
	struct pubsub *p = w->pubsub;
	const struct buf *text[2] = { NULL, NULL };
	struct pubsub_link *l;

	DL_FOREACH(t->links, l) {
		const struct session *s = l->client->session;
		unsigned form;

		if (s == NULL || p->seq <= l->after)
			continue;
		form = s->proto == 3;
		if (text[form] == NULL)
			text[form] = pubsub_encode(p, s->proto,
			    is_pattern ? t : NULL, channel, payload);
		if (text[form] != NULL)
			client_send(w, l->client, text[form]);
	}
}

void
pubsub_deliver(struct worker *w, struct kv_slice channel,
    struct kv_slice payload)
{
	struct pubsub *p = w->pubsub;
	const struct pubsub_topic *t = topic_find(p, CHANNEL_NAME, channel);

	if (t != NULL)
		topic_deliver(w, t, false, channel, payload);
	for (t = p->topics[CHANNEL_PATTERN]; t != NULL; t = t->hh.next)
		if (glob_match(pubsub_name(t), channel, false))
			topic_deliver(w, t, true, channel, payload);
}

/* The feed lost its place: a worker that was stopped for long. */
static void
pubsub_missed(struct worker *w)
{
	struct pubsub *p = w->pubsub;
	struct pubsub_link *l;

	feed_tail(w->engine, &p->feed);
	p->feed.messages = true;
	for (l = p->links; l != NULL; l = l->hh.next)
		if (l->client->session != NULL)
			client_lose(l->client->session, "messages were missed");
}

static bool
pubsub_follow(struct worker *w)
{
	struct pubsub *p = w->pubsub;
	bool notify = channel_notify(w->engine) != 0;
	struct record r;
	unsigned n;
	int rc;

	for (n = 0; n < PUBSUB_SLICE && p->sent < PUBSUB_SLICE_BYTES; n++) {
		rc = feed_next(w->engine, &p->feed, &r);
		if (rc == KV_EAGAIN)
			return false;
		if (rc < 0) {
			pubsub_missed(w);
			return false;
		}
		p->seq = r.seq;
		if (r.type == RECORD_MESSAGE && r.bid == MESSAGE_CHANNEL)
			pubsub_deliver(w, r.key, r.value);
		else if (r.type != RECORD_MESSAGE && notify)
			notify_record(w, &p->notify, &r);
	}
	return true;
}

static void
pubsub_flush(struct pubsub *p)
{
	struct pubsub_client *client;
	struct conn *c;
	bool outer;

	while ((client = p->dirty) != NULL) {
		p->dirty = client->dirty;
		client->is_dirty = false;
		if (client->session == NULL)
			continue;
		c = &client->session->conn;
		outer = conn_enter(c);
		if (!(c->flags & CONN_WANT_OUT))
			output_flush(c);
		conn_leave(c, outer);
	}
}

bool
pubsub_pump(struct worker *w)
{
	struct pubsub *p = w->pubsub;
	struct pubsub_client *client;
	bool more;

	if (p->total == 0)
		return false;
	p->sent = 0;
	p->pumping = true;
	more = pubsub_follow(w);
	pubsub_flush(p);
	p->pumping = false;
	while ((client = p->lost) != NULL) {
		p->lost = client->lost;
		client_free(w, client);
	}
	return more && p->total > 0;
}

bool
pubsub_want(struct worker *w)
{
	return w->pubsub->total > 0 && feed_want(w->engine, &w->pubsub->feed);
}
