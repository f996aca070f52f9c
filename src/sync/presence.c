/* SPDX-License-Identifier: ISC */
/* Who is connected where.  Each node owns its list; peers get the whole of it,
 * then what changed.  Our clients stand in the order of their last change, and
 * each peer has a place in that order: what stands behind it is news. */

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "sync/service.h"

static struct client *
client_find(struct client *table, uint64_t id)
{
	struct client *c;

	HASH_FIND(hh, table, &id, sizeof(id), c);
	return c;
}

static void
client_set(struct client *c, const struct item_client *from)
{
	c->tick = from->tick;
	c->len = (uint8_t)from->name.len;
	memcpy(c->name, from->name.data, from->name.len);
}

static void
client_get(const struct client *c, struct item_client *to)
{
	*to = (struct item_client){
		.is_gone = c->is_gone,
		.id = c->id,
		.tick = c->tick,
		.name = { c->name, c->len },
	};
}

/* The names end in terminals and logs. */
static bool
client_fits(const struct item_client *c)
{
	return c->name.len <= ITEM_CLIENT_MAX;
}

static struct client *
client_add(struct client **table, uint64_t id)
{
	struct client *c;

	if (HASH_COUNT(*table) >= SERVICES_CLIENTS ||
	    (c = calloc(1, sizeof(*c))) == NULL)
		return NULL;
	c->id = id;
	HASH_ADD(hh, *table, id, sizeof(c->id), c);
	return c;
}

/* ---- ours ---- */

static void
presence_changed(struct services *s, struct client *c)
{
	if (c->version != 0)
		DL_DELETE(s->by_version, c);
	c->version = ++s->version;
	DL_APPEND(s->by_version, c);
}

int
services_client(struct services *s, const struct item_client *in)
{
	struct client *c = client_find(s->clients, in->id);

	if (!client_fits(in))
		return KV_EINVAL;
	if (c == NULL && (c = client_add(&s->clients, in->id)) == NULL)
		return KV_EBUSY;
	client_set(c, in);
	s->gone -= c->is_gone;
	c->is_gone = false;
	presence_changed(s, c);
	return KV_OK;
}

void
services_client_gone(struct services *s, uint64_t id)
{
	struct client *c = client_find(s->clients, id);

	if (c == NULL)
		return;
	s->gone += !c->is_gone;
	c->is_gone = true;
	presence_changed(s, c);
}

/* Who is gone is kept until all peers know it; and until there are so many that
 * a walk past those who are not is worth it. */
static void
presence_forget(struct services *s)
{
	uint64_t told = s->version;
	struct service_peer *p;
	struct client *c, *next;

	DL_FOREACH(s->peers, p)
		if (p->told < told)
			told = p->told;
	if (told == s->forgot || s->gone * 4 < HASH_COUNT(s->clients))
		return;
	s->forgot = told;
	DL_FOREACH_SAFE(s->by_version, c, next) {
		if (c->version > told)
			break;
		if (!c->is_gone)
			continue;
		DL_DELETE(s->by_version, c);
		assert(s->clients != NULL); /* it is one of them */
		HASH_DEL(s->clients, c);
		free(c);
		s->gone--;
	}
}

/* The first change that a peer was not told of. */
static struct client *
presence_next(const struct services *s, const struct service_peer *p)
{
	struct client *c;

	/* From the end: a peer is rarely far behind.  The list is circular
	 * backwards, so that its head's prev is its end. */
	if (s->by_version == NULL || s->by_version->prev->version <= p->told)
		return NULL;
	for (c = s->by_version->prev;
	     c != s->by_version && c->prev->version > p->told; c = c->prev)
		;
	return c;
}

static int
presence_encode(const struct services *s, struct service_peer *p,
    struct frame *f, struct buf *out)
{
	const struct client *c = presence_next(s, p);
	struct buf entries;
	uint64_t told = p->told;
	struct item_client item;
	int rc = KV_OK;

	buf_init(&entries);
	for (; c != NULL && entries.len < FRAME_MAX - 256; c = c->next) {
		told = c->version;
		if (c->is_gone && !p->is_told)
			continue;
		client_get(c, &item);
		if ((rc = item_put_client(&entries, &item)) < 0)
			goto out;
	}
	/* The last change may be of one who is gone and forgotten. */
	if (c == NULL)
		told = s->version;
	f->u.presence.flags = (uint8_t)((c != NULL ? FRAME_MORE : 0) |
	    (p->is_told ? 0 : FRAME_FIRST));
	f->u.presence.entries = buf_slice(&entries);
	if ((rc = frame_encode(f, out)) < 0)
		goto out;
	p->told = told;
	/* Who goes while the whole list is on its way may be in it already. */
	p->is_told = true;
out:
	buf_fini(&entries);
	return rc;
}

int
presence_send(struct service_peer *p, struct buf *out)
{
	const struct services *s = p->services;
	struct frame f = { .type = FRAME_PRESENCE };
	int rc;

	if (p->is_told && (s->version <= p->told || s->now_ms < p->tell_ms))
		return KV_EAGAIN;
	rc = presence_encode(s, p, &f, out);
	if (rc == KV_OK && !(f.u.presence.flags & FRAME_MORE))
		p->tell_ms = s->now_ms + SERVICES_CLIENTS_MS;
	return rc;
}

void
presence_turn(struct services *s, uint64_t *next_ms)
{
	struct service_peer *p;

	presence_forget(s);
	DL_FOREACH(s->peers, p)
		if (p->is_told && s->version > p->told &&
		    s->now_ms < p->tell_ms)
			service_sooner(next_ms, p->tell_ms);
}

/* ---- theirs ---- */

static void
clients_free(struct client **table)
{
	struct client *c, *next;

	HASH_ITER(hh, *table, c, next) {
		HASH_DEL(*table, c);
		free(c);
	}
}

int
presence_receive(struct service_peer *p, const struct frame *f)
{
	struct kv_slice left = f->u.presence.entries;
	struct item_client item;
	struct client *c;
	int rc;

	if (f->u.presence.flags & FRAME_FIRST)
		clients_free(&p->clients);
	while ((rc = item_take_client(&left, &item)) == KV_OK) {
		c = client_find(p->clients, item.id);
		if (item.is_gone && c != NULL) {
			assert(p->clients != NULL);
			HASH_DEL(p->clients, c);
			free(c);
		}
		if (item.is_gone)
			continue;
		if (c == NULL)
			c = client_add(&p->clients, item.id);
		if (c != NULL)
			client_set(c, &item);
	}
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
clients_each(struct client *table, const char *node, uint64_t inc,
    int (*each)(void *user, const struct services_presence *p), void *user)
{
	struct services_presence presence = { .node = node, .inc = inc };
	const struct client *c;
	int rc = KV_OK;

	for (c = table; c != NULL && rc >= 0; c = c->hh.next) {
		if (c->is_gone)
			continue;
		client_get(c, &presence.client);
		rc = each(user, &presence);
	}
	return rc;
}

int
services_each_client(const struct services *s,
    int (*each)(void *user, const struct services_presence *p), void *user)
{
	int rc = clients_each(s->clients, NULL, s->config.inc, each, user);
	const struct service_peer *p;

	for (p = s->peers; p != NULL && rc >= 0; p = p->next)
		rc = clients_each(p->clients, p->name, p->inc, each, user);
	return rc;
}

struct holder {
	struct kv_slice name;
	struct services_presence *best;
	bool is_found;
};

/* By the time it took the name, then by node and client: never the same. */
static bool
holder_is_before(const struct services_presence *a,
    const struct services_presence *b)
{
	if (a->client.tick != b->client.tick)
		return a->client.tick < b->client.tick;
	return a->inc != b->inc ? a->inc < b->inc : a->client.id < b->client.id;
}

static int
holder_look(void *user, const struct services_presence *p)
{
	struct holder *h = user;

	if (!slice_equal(p->client.name, h->name) ||
	    (h->is_found && !holder_is_before(p, h->best)))
		return KV_OK;
	*h->best = *p;
	h->is_found = true;
	return KV_OK;
}

int
services_holder(const struct services *s, struct kv_slice name,
    struct services_presence *out)
{
	struct holder h = { .name = name, .best = out };
	int rc = services_each_client(s, holder_look, &h);

	return rc < 0 ? rc : h.is_found ? KV_OK : KV_ENOTFOUND;
}

void
presence_down(struct service_peer *p)
{
	clients_free(&p->clients);
}

void
presence_fini(struct services *s)
{
	clients_free(&s->clients);
}
