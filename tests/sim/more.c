/* SPDX-License-Identifier: ISC */
/* What goes on beside replication, and what makes a node slow: of FAULT_MORE.
 * Apart from fault.c, so that the seeds of runs without it stay what they
 * are. */

#include "world.h"

#define ONE_OF 12 /* steps */
#define PAUSE_MAX_MS 100

static bool
do_slow_disk(struct world *w, unsigned x, unsigned p)
{
	(void)p;
	w->node[x].store.is_slow = world_random(w, 2);
	return w->node[x].store.is_slow;
}

/* MDB_MAP_FULL, or its disk: the checkpointer gets nowhere. */
static bool
do_full_tree(struct world *w, unsigned x, unsigned p)
{
	(void)p;
	w->node[x].store.is_full = world_random(w, 2);
	return w->node[x].store.is_full;
}

/* MDB_READERS_FULL: no snapshot is to be had, and the process ends. */
static bool
do_no_snapshot(struct world *w, unsigned x, unsigned p)
{
	(void)p;
	if (w->node[x].replica == NULL)
		return false;
	w->node[x].store.has_no_snapshot = true;
	return true;
}

static bool
do_piece(struct world *w, unsigned x, unsigned p)
{
	(void)p;
	w->node[x].store.cut = 2 + world_random(w, 8);
	w->node[x].store.cut_kills = world_random(w, 2);
	return true;
}

static bool
do_slow_reader(struct world *w, unsigned x, unsigned p)
{
	struct cable *c = &w->cable[world_random(w, WORLD_CABLES)];
	struct cable_end *e = &c->end[world_random(w, 2)];

	(void)x;
	(void)p;
	if (!c->is_used)
		return false;
	e->pause_ms = world_random(w, 2) ? world_random(w, PAUSE_MAX_MS) : 0;
	return e->pause_ms > 0;
}

/* The power fails and is back at once, and so is a client. */
static bool
do_blackout(struct world *w, unsigned x, unsigned p)
{
	if (w->node[x].replica == NULL ||
	    w->ghost.origin_count + 3 * WORLD_NODES >= w->origins_max)
		return false;
	node_crash(w, x, true);
	node_start(w, x);
	(void)agent_try(w, x, p);
	return true;
}

/* The next step of changing the secret, on one host: none is two ahead. */
static bool
do_rotate(struct world *w, unsigned x, unsigned p)
{
	unsigned *mine = &w->node[x].cookie, y;

	(void)p;
	for (y = 0; y < w->node_count; y++) {
		if ((w->node[y].cookie + 1) % CABLE_COOKIES == *mine)
			return false;
	}
	*mine = (*mine + 1) % CABLE_COOKIES;
	return true;
}

static const struct more {
	unsigned weight;
	unsigned needs; /* of enum world_fault */
	bool (*happens)(struct world *w, unsigned x, unsigned p);
	const char *name;
} table[] = {
	{ 20, FAULT_SERVICES, agent_try, NULL },
	{ 10, FAULT_SERVICES, agent_call, NULL },
	{ 10, FAULT_SERVICES, agent_publish, NULL },
	{ 10, FAULT_SERVICES, agent_client, NULL },
	{ 20, FAULT_SEALED, do_rotate, "another cookie" },
	{ 3, FAULT_SERVICES, do_blackout, "power cut and back" },
	{ 3, FAULT_SLOW, do_slow_disk, "slow disk" },
	{ 3, FAULT_SLOW, do_full_tree, "tree full" },
	{ 1, FAULT_SLOW, do_no_snapshot, "no snapshot" },
	{ 5, FAULT_SLOW, do_piece, "a piece of a commit" },
	{ 5, FAULT_SLOW, do_slow_reader, "slow reader" },
};

bool
fault_more(struct world *w)
{
	const struct more *m;
	unsigned sum = 0, x, p, at;
	size_t i;

	if (!(w->plan.faults & FAULT_MORE) || world_random(w, ONE_OF) != 0)
		return false;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		sum += table[i].weight;
	at = world_random(w, sum);
	for (m = table; at >= m->weight; m++)
		at -= m->weight;
	x = world_random(w, w->node_count);
	p = world_random(w, w->node_count);
	if (!(m->needs & w->plan.faults) || !m->happens(w, x, p) ||
	    m->name == NULL)
		return true;
	w->counts.faults++;
	if (w->plan.verbose > 0)
		world_trace(w, "fault: %s, n%u", m->name, x);
	return true;
}

void
fault_mend_more(struct world *w)
{
	struct sim_store *s;
	struct cable *c;
	unsigned x;

	for (x = 0; x < w->node_count; x++) {
		s = &w->node[x].store;
		s->is_slow = s->is_full = s->has_no_snapshot = false;
		s->cut = 0;
	}
	for (c = w->cable; c < w->cable + WORLD_CABLES; c++)
		c->end[0].pause_ms = c->end[1].pause_ms = 0;
}
