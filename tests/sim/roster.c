/* SPDX-License-Identifier: ISC */
/* Who dials whom, by the product's own sync/member.h: each node has all nodes,
 * itself too, in its list and once more as bare addresses.  So both ends dial
 * at once, dial themselves, and one store by two ways.  In the end there is one
 * link between any two, and nobody dials any more. */

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "world.h"

#define CALM_MS 60000u

static const void *
key_of(uint64_t number)
{
	static const char keys[1u << 16];

	return &keys[number % sizeof(keys)];
}

void
roster_start(struct world *w, unsigned x)
{
	struct node *n = &w->node[x];
	char list[16 * WORLD_NODES] = "", address[24];
	unsigned y;
	size_t at = 0;
	int rc;

	if (!(w->plan.faults & FAULT_ROSTER))
		return;
	memset(n->lines, 0, sizeof(n->lines));
	for (y = 0; y < w->node_count; y++)
		at += (size_t)snprintf(list + at, sizeof(list) - at,
		    "%sn%u@sim", y > 0 ? "," : "", y);
	rc = members_new(n->name, world_random_u64(w) | 1, &n->members);
	if (rc == KV_OK)
		rc = members_set_nodes(n->members, slice_of(list), w->now_ms);
	if (rc < 0) {
		ghost_violation(&w->ghost, GHOST_ERROR, "members: %d", rc);
		return;
	}
	members_begin(n->members, MEMBER_OF_DNS);
	for (y = 0; y < w->node_count; y++) {
		snprintf(address, sizeof(address), "10.0.0.%u", y);
		(void)!members_add(n->members, MEMBER_OF_DNS, address, 0,
		    w->now_ms);
	}
	members_end(n->members, MEMBER_OF_DNS);
}

void
roster_stop(struct world *w, unsigned x)
{
	members_free(w->node[x].members);
	w->node[x].members = NULL;
}

/* ---- dialling ---- */

static struct line *
line_of(struct node *n, uint64_t number)
{
	struct line *l = n->lines;

	while (l < n->lines + WORLD_LINES && l->number != number)
		l++;
	return l < n->lines + WORLD_LINES ? l : NULL;
}

static struct line *
line_new(struct node *n, uint64_t number, struct member *dialled)
{
	struct line *l = line_of(n, 0);

	if (l != NULL)
		*l = (struct line){ number, dialled, false };
	return l;
}

static void
dial(struct world *w, unsigned x, struct member *c)
{
	struct node *n = &w->node[x];
	const char *text = c->want[0] != '\0' ? c->want : c->host;
	unsigned y = (unsigned)(text[strlen(text) - 1] - '0');

	member_dials(c, text);
	if (y < w->node_count && link_dial(w, x, y, c->want) &&
	    line_new(n, replica_link_number(w->dialled->end[0].link), c) !=
		NULL)
		return;
	member_failed(n->members, c, MEMBER_REFUSED, "", w->now_ms);
}

void
roster_dial(struct world *w)
{
	struct member *c;
	unsigned x;

	for (x = 0; x < w->node_count; x++) {
		if (w->node[x].replica == NULL || w->node[x].members == NULL)
			continue;
		while ((c = members_due(w->node[x].members, w->now_ms)) != NULL)
			dial(w, x, c);
	}
}

/* ---- what becomes of it: as syncd/news.c does ---- */

static void
gone(struct world *w, unsigned x, const struct replica_event *e, struct line *l)
{
	static const enum member_reason reasons[] = {
		[BYE_NAME] = MEMBER_NAME,
		[BYE_DUPLICATE] = MEMBER_DUPLICATE,
		[BYE_REPLACED] = MEMBER_ALIAS,
		[BYE_REDIRECT] = MEMBER_NAME,
	};
	enum member_reason why = MEMBER_FINE;
	struct member *c = l->dialled;
	struct node *n = &w->node[x];

	if (e->bye < sizeof(reasons) / sizeof(reasons[0]))
		why = reasons[e->bye];
	if (why == MEMBER_FINE)
		why = MEMBER_LOST;
	if (l->is_up) {
		members_down(n->members, key_of(l->number), why, "", w->now_ms);
	} else if (c != NULL) {
		if (e->uid != 0 && e->bye != BYE_NAME)
			c->uid = e->uid;
		if (e->bye == BYE_SELF) {
			c->uid = 0;
			member_is_self(c, w->now_ms);
		} else {
			member_failed(n->members, c, why, "", w->now_ms);
		}
	}
	*l = (struct line){ 0 };
}

void
roster_event(struct world *w, unsigned x, const struct replica_event *e)
{
	const struct member_link up = { key_of(e->link), "here", e->name,
		e->uid };
	struct node *n = &w->node[x];
	struct line *l;

	if (n->members == NULL || e->link == 0)
		return;
	l = line_of(n, e->link);
	if (e->kind == REPLICA_UP) {
		if (l == NULL && (l = line_new(n, e->link, NULL)) == NULL)
			return;
		members_up(n->members, l->dialled, &up, w->now_ms);
		l->dialled = NULL;
		l->is_up = true;
	} else if (e->kind == REPLICA_DOWN && l != NULL) {
		gone(w, x, e, l);
	}
}

/* ---- in the end ---- */

static unsigned
links_shown(const struct node *n, uint64_t uid)
{
	const struct member *c = NULL;
	unsigned count = 0;

	while ((c = members_next(n->members, c)) != NULL)
		count +=
		    c->uid == uid && c->state == MEMBER_UP && c->link != NULL;
	return count;
}

void
roster_check_end(struct world *w, uint64_t *turns)
{
	uint64_t links;
	unsigned x, y;

	if (!(w->plan.faults & FAULT_ROSTER))
		return;
	pass_ticks(w, CALM_MS, turns);
	links = w->counts.links;
	pass_ticks(w, CALM_MS, turns);
	if (w->counts.links != links)
		ghost_violation(&w->ghost, GHOST_NOISE,
		    "%llu dials in a minute when all are linked",
		    (unsigned long long)(w->counts.links - links));
	for (x = 0; x < w->node_count; x++) {
		for (y = 0; y < w->node_count; y++) {
			if (x == y ||
			    (link_count(w, x, y) == 1 &&
				links_shown(&w->node[x],
				    w->node[y].store.uid) == 1))
				continue;
			ghost_violation(&w->ghost, GHOST_STUCK,
			    "n%u has %u links to n%u and shows %u", x,
			    link_count(w, x, y), y,
			    links_shown(&w->node[x], w->node[y].store.uid));
		}
	}
}
