/* SPDX-License-Identifier: ISC */
/* Connections: made, cut, half of them lost. */

#include "world.h"

bool
link_dial(struct world *w, unsigned a, unsigned b, const char *meant)
{
	struct cable *c = NULL;
	unsigned i, end;
	int rc;

	if (w->node[a].replica == NULL || w->node[b].replica == NULL ||
	    w->is_blocked[a][b] || w->is_blocked[b][a])
		return false;
	for (i = 0; i < WORLD_CABLES && c == NULL; i++) {
		if (!w->cable[i].is_used)
			c = &w->cable[i];
	}
	if (c == NULL)
		return false;
	cable_reset(c);
	c->is_used = true;
	c->end[0].node = a;
	c->end[1].node = b;
	for (end = 0; end < 2; end++) {
		if (w->node[c->end[end].node].is_newer)
			c->end[end].features = WORLD_FEATURES;
		c->end[end].cookie = w->node[c->end[end].node].cookie;
	}
	if (w->plan.faults & FAULT_SEALED && cable_seal(c, w->now_ms) < 0) {
		ghost_violation(&w->ghost, GHOST_ERROR,
		    "n%u was not let in by n%u: cookies of stage %u and %u", a,
		    b, c->end[0].cookie, c->end[1].cookie);
		c->is_used = false;
		return false;
	}
	for (end = 0; end < 2; end++) {
		rc = replica_open(w->node[c->end[end].node].replica, end == 0,
		    end == 0 ? slice_of(meant) : (struct kv_slice){ "", 0 },
		    &c->end[end].link);
		if (rc < 0) {
			world_trace(w, "n%u cannot open: %d", c->end[end].node,
			    rc);
			c->end[end].is_lost = true;
			link_cut(w, c);
			return false;
		}
		c->end[end].is_open = true;
		w->node[c->end[end].node].timer_ms = w->now_ms;
	}
	w->counts.links++;
	w->dialled = c;
	world_trace(w, "n%u dials n%u (%s): cable %u", a, b, meant,
	    (unsigned)(c - w->cable));
	return true;
}

/* Whole cables between the two. */
unsigned
link_count(const struct world *w, unsigned a, unsigned b)
{
	const struct cable *c;
	unsigned i, n = 0;

	for (i = 0; i < WORLD_CABLES; i++) {
		c = &w->cable[i];
		if (c->is_used && c->end[0].is_open && c->end[1].is_open &&
		    ((c->end[0].node == a && c->end[1].node == b) ||
			(c->end[0].node == b && c->end[1].node == a)))
			n++;
	}
	return n;
}

void
link_forget(struct world *w, struct cable *c)
{
	if (c->is_used && !c->end[0].is_open && !c->end[1].is_open) {
		world_trace(w, "cable %u is gone", (unsigned)(c - w->cable));
		cable_reset(c);
	}
}

void
link_close_end(struct world *w, struct cable *c, unsigned end)
{
	struct cable_end *e = &c->end[end];

	if (!e->is_open)
		return;
	replica_close(w->node[e->node].replica, e->link);
	e->is_open = e->is_ending = false;
	e->link = NULL;
}

void
link_lose(struct world *w, struct cable *c, unsigned end)
{
	world_trace(w, "cable %u: n%u is gone without a word",
	    (unsigned)(c - w->cable), c->end[end].node);
	c->end[end].is_lost = true;
	link_close_end(w, c, end);
	link_forget(w, c);
}

void
link_cut(struct world *w, struct cable *c)
{
	link_close_end(w, c, 0);
	link_close_end(w, c, 1);
	link_forget(w, c);
}
