/* SPDX-License-Identifier: ISC */
/* Time passes, from one event to the next: what arrived is read, timers end,
 * processes keep house. */

#include <limits.h>

#include "world.h"

/* Every link that should be there and is not. */
void
pass_dial(struct world *w)
{
	unsigned x, y;

	if (w->plan.faults & FAULT_ROSTER) {
		roster_dial(w);
		return;
	}
	for (x = 0; x < w->node_count; x++) {
		for (y = x + 1; y < w->node_count; y++) {
			if (!w->is_base[x][y] || link_count(w, x, y) > 0)
				continue;
			if (world_random(w, 2))
				link_dial(w, x, y, w->node[y].name);
			else
				link_dial(w, y, x, w->node[x].name);
		}
	}
}

void
pass_house(struct world *w)
{
	struct sim_store *s;
	unsigned x;

	for (x = 0; x < w->node_count; x++) {
		s = &w->node[x].store;
		if (w->node[x].replica == NULL)
			continue;
		s->wall_ms = world_wall(w, x);
		sim_sync(s);
		sim_checkpoint(s, UINT_MAX);
		sim_sweep(s);
		if (w->plan.faults & FAULT_DEADLINES && !clocks_doubted(w, x))
			sim_expire(s);
		if (w->plan.faults & FAULT_TTL)
			sim_purge_short(s, s->wall_ms - WORLD_APART_MS);
		world_show(w, x);
	}
}

/* Everything that is on its way arrives. */
static bool
deliver_all(struct world *w, uint64_t *turns)
{
	bool any = true, some = false;
	uint64_t claims;
	unsigned x;

	while (any && *turns > 0) {
		any = false;
		for (x = 0; x < w->node_count; x++) {
			if (w->node[x].replica == NULL ||
			    (!node_has_input(w, x) &&
				w->node[x].timer_ms > w->now_ms))
				continue;
			claims = w->node[x].store.claims;
			node_turn(w, x, 100, 0);
			if (w->node[x].replica != NULL &&
			    w->node[x].store.claims != claims) {
				sim_sync(&w->node[x].store);
				w->node[x].timer_ms = w->now_ms;
			}
			any = some = true;
			--*turns;
		}
		if (any)
			w->now_ms += world_random(w, 3);
	}
	return some;
}

void
pass_until(struct world *w, uint64_t end, uint64_t *turns)
{
	struct cable *c;
	uint64_t next;
	unsigned x;

	while (w->now_ms<end && * turns> 0 && !ghost_is_violated(&w->ghost)) {
		deliver_all(w, turns);
		next = end;
		for (x = 0; x < w->node_count; x++) {
			if (w->node[x].replica != NULL &&
			    w->node[x].timer_ms < next)
				next = w->node[x].timer_ms;
		}
		for (c = w->cable; c < w->cable + WORLD_CABLES; c++) {
			for (x = 0; x < 2; x++) {
				if (c->end[x].reads_ms > w->now_ms &&
				    c->end[x].reads_ms < next)
					next = c->end[x].reads_ms;
			}
		}
		w->now_ms = next > w->now_ms ? next : w->now_ms + 1;
	}
}

void
pass_ticks(struct world *w, uint64_t ms, uint64_t *turns)
{
	uint64_t end = w->now_ms + ms;

	while (w->now_ms<end && * turns> 0 && !ghost_is_violated(&w->ghost)) {
		pass_dial(w);
		pass_until(w, w->now_ms + PASS_TICK_MS, turns);
		pass_house(w);
	}
}
