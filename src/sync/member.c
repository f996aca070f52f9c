/* SPDX-License-Identifier: ISC */
/* Candidates, their state and when to dial them. */

#include "sync/member.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/rng.h"
#include "conf/value.h"
#include "sync/nodename.h"

struct members {
	struct member *list; /* those of nodes first */
	size_t count;
	uint64_t seed;
	uint16_t own_port;
	char self[MEMBER_NAME_TEXT];
};

/* ---- the list ---- */

int
members_new(const char *self, uint64_t seed, struct members **out)
{
	struct members *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return KV_ENOMEM;
	m->seed = seed | 1;
	snprintf(m->self, sizeof(m->self), "%s", self);
	*out = m;
	return KV_OK;
}

static void
members_drop(struct members *m, struct member *c)
{
	DL_DELETE(m->list, c);
	m->count--;
	free(c);
}

void
members_free(struct members *m)
{
	struct member *c, *next;

	if (m == NULL)
		return;
	DL_FOREACH_SAFE(m->list, c, next)
		members_drop(m, c);
	free(m);
}

/* Whoever only dialled us and is gone for the longest time makes room. */
static bool
members_make_room(struct members *m)
{
	struct member *c, *oldest = NULL;

	if (m->count < MEMBERS_MAX)
		return true;
	DL_FOREACH(m->list, c) {
		if (c->source != MEMBER_CAME || c->link != NULL ||
		    c->state == MEMBER_DIALLING)
			continue;
		if (oldest == NULL || c->since_ms < oldest->since_ms)
			oldest = c;
	}
	if (oldest != NULL)
		members_drop(m, oldest);
	return oldest != NULL;
}

static struct member *
members_insert(struct members *m, enum member_source source, uint64_t now_ms)
{
	struct member *c, *at;

	if (!members_make_room(m) || (c = calloc(1, sizeof(*c))) == NULL)
		return NULL;
	c->source = source;
	c->reason = MEMBER_UNTRIED;
	c->since_ms = now_ms;
	c->due_ms = source == MEMBER_CAME ? MEMBER_NEVER : now_ms;
	c->marked = true;
	DL_FOREACH(m->list, at) {
		if (at->source > source)
			break;
	}
	if (at == NULL)
		DL_APPEND(m->list, c);
	else
		DL_PREPEND_ELEM(m->list, at, c);
	m->count++;
	return c;
}

void
members_begin(struct members *m, enum member_source source)
{
	struct member *c;

	DL_FOREACH(m->list, c) {
		if (c->source == source)
			c->marked = false;
	}
}

void
members_end(struct members *m, enum member_source source)
{
	struct member *c, *next;

	DL_FOREACH_SAFE(m->list, c, next) {
		if (c->source != source || c->marked)
			continue;
		if (c->link == NULL && c->state != MEMBER_DIALLING) {
			members_drop(m, c);
			continue;
		}
		/* As one that dialled us: not dialled, gone when it ends. */
		DL_DELETE(m->list, c);
		c->source = MEMBER_CAME;
		c->due_ms = MEMBER_NEVER;
		DL_APPEND(m->list, c);
	}
}

static struct member *
members_find_host(const struct members *m, enum member_source source,
    const char *entry, const char *host, uint16_t port)
{
	struct member *c;

	DL_FOREACH(m->list, c) {
		if (c->source == source && c->port == port &&
		    strcasecmp(c->host, host) == 0 &&
		    (entry == NULL || strcmp(c->entry, entry) == 0))
			return c;
	}
	return NULL;
}

int
members_add(struct members *m, enum member_source source, const char *address,
    uint16_t port, uint64_t now_ms)
{
	struct member *c = members_find_host(m, source, NULL, address, port);

	if (c == NULL) {
		if ((c = members_insert(m, source, now_ms)) == NULL)
			return KV_ETOOBIG;
		snprintf(c->host, sizeof(c->host), "%s", address);
		c->port = port;
	}
	c->marked = true;
	return KV_OK;
}

/* ---- nodes ---- */

static bool
members_is_own(struct members *m, const struct value_node *node)
{
	struct kv_slice name, host;

	nodename_split(m->self, &name, &host);
	return host.len > 0 && slice_equal(name, node->name) &&
	    nodename_is_here(m->self, node->host);
}

static int
members_add_node(struct members *m, const struct value_node *node,
    uint64_t now_ms)
{
	char entry[MEMBER_NAME_TEXT], host[MEMBER_HOST_TEXT];
	struct member *c;

	if (members_is_own(m, node)) {
		if (node->port != 0)
			m->own_port = node->port;
		return KV_OK;
	}
	snprintf(host, sizeof(host), "%.*s", (int)node->host.len,
	    node->host.data);
	snprintf(entry, sizeof(entry), "%.*s@%.*s", (int)node->name.len,
	    node->name.data, (int)node->host.len, node->host.data);
	c = members_find_host(m, MEMBER_OF_NODES, entry, host, node->port);
	if (c == NULL) {
		c = members_insert(m, MEMBER_OF_NODES, now_ms);
		if (c == NULL)
			return KV_ETOOBIG;
		memcpy(c->entry, entry, sizeof(c->entry));
		memcpy(c->name, entry, sizeof(c->name));
		memcpy(c->host, host, sizeof(c->host));
		snprintf(c->want, sizeof(c->want), "%.*s", (int)node->name.len,
		    node->name.data);
		c->port = node->port;
		c->is_local = nodename_is_here(m->self, node->host);
	}
	c->marked = true;
	return KV_OK;
}

int
members_set_nodes(struct members *m, struct kv_slice list, uint64_t now_ms)
{
	struct value_node node;
	struct kv_slice item;
	int rc = KV_OK;

	m->own_port = 0;
	members_begin(m, MEMBER_OF_NODES);
	while (rc == KV_OK && value_next(&list, &item))
		if (value_node(item, &node))
			rc = members_add_node(m, &node, now_ms);
	members_end(m, MEMBER_OF_NODES);
	return rc;
}

uint16_t
members_own_port(const struct members *m)
{
	return m->own_port;
}

/* ---- dialling ---- */

/* Has another one the link of the same store?  Another name is a copy's. */
static bool
members_is_alias(const struct members *m, const struct member *c)
{
	struct kv_slice name, host;
	const struct member *other;

	DL_FOREACH(m->list, other)
		if (other != c && other->uid == c->uid && other->link != NULL)
			break;
	nodename_split(other == NULL ? "" : other->name, &name, &host);
	return other != NULL && /* linked ones have a uid */
	    (c->want[0] == '\0' || slice_equal(name, slice_of(c->want)));
}

static bool
members_may_dial(const struct members *m, const struct member *c)
{
	return c->link == NULL && c->state != MEMBER_DIALLING &&
	    c->due_ms != MEMBER_NEVER && !members_is_alias(m, c);
}

struct member *
members_due(struct members *m, uint64_t now_ms)
{
	struct member *c, *next;

	DL_FOREACH_SAFE(m->list, c, next) {
		if (c->source == MEMBER_CAME && c->link == NULL &&
		    c->state != MEMBER_DIALLING &&
		    now_ms - c->since_ms >= MEMBER_GONE_MS)
			members_drop(m, c);
		else if (members_may_dial(m, c) && c->due_ms <= now_ms)
			return c;
	}
	return NULL;
}

uint64_t
members_next_ms(const struct members *m)
{
	uint64_t next = MEMBER_NEVER;
	const struct member *c;

	DL_FOREACH(m->list, c)
		if (members_may_dial(m, c) && c->due_ms < next)
			next = c->due_ms;
	return next;
}

void
member_dials(struct member *c, const char *address)
{
	/* It dialled us while we looked it up: its link is what is shown. */
	if (c->state == MEMBER_UP)
		return;
	c->state = MEMBER_DIALLING;
	snprintf(c->address, sizeof(c->address), "%s", address);
}

/* Full jitter: all of a cluster do not come back at the same moment. */
static void
member_pause(struct members *m, struct member *c, uint64_t now_ms)
{
	uint64_t most = MEMBER_PAUSE_MIN_MS;
	unsigned i;

	if (c->source == MEMBER_CAME) {
		c->due_ms = MEMBER_NEVER;
		return;
	}
	for (i = 0; i < c->failures && most < MEMBER_PAUSE_MAX_MS; i++)
		most *= 2;
	if (most > MEMBER_PAUSE_MAX_MS)
		most = MEMBER_PAUSE_MAX_MS;
	c->failures += c->failures < UINT16_MAX;
	c->due_ms = now_ms + 1 + rng_next(&m->seed) % most;
}

/* Whose cookie was refused is turned away for a while without a word: that
 * says less than what is known. */
static bool
member_knows_better(const struct member *c, enum member_reason reason)
{
	return reason == MEMBER_TURNED_AWAY && c->state != MEMBER_UP &&
	    c->reason == MEMBER_COOKIE;
}

static void
member_set(struct member *c, enum member_state state, enum member_reason reason,
    const char *detail, uint64_t now_ms)
{
	bool same = c->reason == reason || member_knows_better(c, reason);

	if (!same || c->state == MEMBER_UP)
		c->since_ms = now_ms;
	c->state = state;
	if (same && c->reason != reason)
		return;
	c->reason = reason;
	snprintf(c->detail, sizeof(c->detail), "%s", detail);
}

/* Each reason is told once, until a link is up. */
static bool
member_is_news(struct member *c)
{
	bool news = c->told != c->reason;

	c->told = c->reason;
	return news;
}

bool
member_failed(struct members *m, struct member *c, enum member_reason reason,
    const char *detail, uint64_t now_ms)
{
	if (c->link != NULL) /* it came up from the other side meanwhile */
		return false;
	c->redirect = 0;
	member_set(c, MEMBER_DOWN, reason, detail, now_ms);
	member_pause(m, c, now_ms);
	return reason != MEMBER_ALIAS && member_is_news(c);
}

bool
member_is_self(struct member *c, uint64_t now_ms)
{
	member_set(c, MEMBER_SELF, MEMBER_FINE, "", now_ms);
	c->due_ms = now_ms + MEMBER_SELF_MS;
	c->failures = 0;
	return member_is_news(c);
}

void
member_redirected(struct member *c, uint16_t port, uint64_t now_ms)
{
	if (c->link != NULL) /* it came up from the other side meanwhile */
		return;
	c->redirect = port;
	c->state = MEMBER_DOWN;
	c->due_ms = now_ms;
}

/* ---- links ---- */

/* An entry of nodes that this node is, as far as names tell. */
static bool
members_fits(const struct member *c, const char *full)
{
	struct kv_slice name, host, entry = slice_of(c->host);

	nodename_split(full, &name, &host);
	return c->source == MEMBER_OF_NODES && c->uid == 0 &&
	    slice_equal(name, slice_of(c->want)) &&
	    (c->is_local || nodename_same_host(entry, host));
}

static struct member *
members_whose(struct members *m, const char *name, uint64_t uid)
{
	struct member *c;

	DL_FOREACH(m->list, c)
		if (c->uid == uid)
			return c;
	DL_FOREACH(m->list, c) {
		if (members_fits(c, name) ||
		    (c->source == MEMBER_CAME && c->link == NULL &&
			strcmp(c->name, name) == 0))
			return c;
	}
	return NULL;
}

struct member *
members_up(struct members *m, struct member *dialled,
    const struct member_link *up, uint64_t now_ms)
{
	struct member *c = dialled;

	if (c == NULL && (c = members_whose(m, up->name, up->uid)) == NULL &&
	    (c = members_insert(m, MEMBER_CAME, now_ms)) == NULL)
		return NULL;
	c->link = up->link;
	c->uid = up->uid;
	c->redirect = 0;
	c->up_ms = c->since_ms = now_ms;
	c->state = MEMBER_UP;
	c->reason = c->told = MEMBER_FINE;
	c->detail[0] = '\0';
	snprintf(c->name, sizeof(c->name), "%s", up->name);
	snprintf(c->address, sizeof(c->address), "%s", up->address);
	return c;
}

/* Did the other end refuse it, once it had read our HELLO, and for the same
 * reason as the link before?  Then nothing has changed. */
static bool
member_was_refused(struct member *c, uint64_t now_ms)
{
	bool is_refusal = c->reason == MEMBER_DUPLICATE ||
	    c->reason == MEMBER_CLOCK || c->reason == MEMBER_FULL ||
	    c->reason == MEMBER_NAME;
	bool again = c->refused == c->reason;

	if (again)
		c->since_ms = c->refused_ms;
	c->refused_ms = c->since_ms;
	c->refused = is_refusal && now_ms - c->up_ms < MEMBER_BRIEF_MS
	    ? c->reason
	    : MEMBER_FINE;
	return again && is_refusal;
}

bool
members_down(struct members *m, const void *link, enum member_reason reason,
    const char *detail, uint64_t now_ms)
{
	struct member *c;

	DL_FOREACH(m->list, c)
		if (c->link == link)
			break;
	if (c == NULL || link == NULL)
		return false;
	c->link = NULL;
	if (now_ms - c->up_ms >= MEMBER_STEADY_MS)
		c->failures = 0;
	member_set(c, MEMBER_DOWN, reason, detail, now_ms);
	member_pause(m, c, now_ms);
	if (member_was_refused(c, now_ms))
		c->told = reason;
	return member_is_news(c);
}

struct member *
members_proved(struct members *m, uint64_t now_ms)
{
	struct member *c;

	DL_FOREACH(m->list, c) {
		if (c->link != NULL && c->refused != MEMBER_FINE &&
		    now_ms - c->up_ms >= MEMBER_BRIEF_MS)
			break;
	}
	if (c != NULL)
		c->refused = MEMBER_FINE;
	return c;
}

const struct member *
members_next(const struct members *m, const struct member *after)
{
	const struct member *c = after == NULL ? m->list : after->next;

	while (c != NULL && (c->state == MEMBER_SELF || members_is_alias(m, c)))
		c = c->next;
	return c;
}

size_t
members_count(const struct members *m)
{
	return m->count;
}
