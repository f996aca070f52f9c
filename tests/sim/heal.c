/* SPDX-License-Identifier: ISC */
/* The second phase: nothing goes wrong any more and nobody writes.  All must
 * become alike, in bounded time, and then fall silent. */

#include <stdio.h>
#include <string.h>

#include "world.h"

#define SETTLE_MS 600000u	/* at most */
#define SILENCE_AFTER_MS 45000u /* a lazy pull, two looks at digests */
#define SILENCE_MS 15000u
#define ROUNDS 5
#define OVER_MS 60000u /* deadlines that close may strike now or later */
#define OVER_CLOCKS_MS (4u * 3600 * 1000) /* by whose clock, is not said */

static void
collect(struct world *w, const struct sim_store *stores[WORLD_NODES])
{
	unsigned x;

	for (x = 0; x < w->node_count; x++)
		stores[x] = &w->node[x].store;
}

/* The operator has come. */
static void
mend_all(struct world *w)
{
	struct node *n;
	unsigned x, y;

	fault_mend_more(w);
	for (x = 0; x < w->node_count; x++) {
		n = &w->node[x];
		if (n->store.refuse < 0)
			n->refused_ms = w->now_ms;
		n->store.refuse = KV_OK;
		n->store.fills = 0;
		n->store.fuse = 0;
		for (y = 0; y < w->node_count; y++)
			w->is_blocked[x][y] = false;
		if (n->is_clone) { /* a store and a name of its own */
			node_crash(w, x, false);
			n->store.uid = world_random_u64(w);
			memset(n->backup, 0, sizeof(n->backup));
			snprintf(n->name, sizeof(n->name), "n%u@sim", x);
			n->is_clone = false;
		}
		if (n->replica == NULL)
			node_start(w, x);
		if (n->has_bad_clock && !(w->plan.faults & FAULT_CLOCKS))
			node_repair_clock(w, x);
	}
	fault_mend_clocks(w);
	fault_mend_rot(w);
}

static bool
settle(struct world *w, uint64_t *turns)
{
	const struct sim_store *stores[WORLD_NODES];
	uint64_t began = w->now_ms;

	collect(w, stores);
	while (w->now_ms<began + SETTLE_MS && * turns> 0 &&
	    !ghost_is_violated(&w->ghost)) {
		pass_ticks(w, PASS_TICK_MS, turns);
		if (ghost_is_settled(&w->ghost, stores, w->node_count)) {
			w->counts.settle_ms += w->now_ms - began;
			return true;
		}
	}
	return false;
}

/* A lazy pull may bring what nobody can claim, and so begin another round, but
 * not without end. */
static void
check_silence(struct world *w, uint64_t *turns)
{
	uint64_t noise = 0;
	unsigned round;

	/* What expires is a change, though nobody wrote. */
	if (w->plan.faults & FAULT_DEADLINES)
		pass_ticks(w, OVER_MS + 2 * SILENCE_MS, turns);
	for (round = 0; round < ROUNDS; round++) {
		pass_ticks(w, SILENCE_AFTER_MS, turns);
		noise = w->noise;
		pass_ticks(w, SILENCE_MS, turns);
		if (w->noise == noise)
			return;
	}
	ghost_violation(&w->ghost, GHOST_NOISE,
	    "%llu frames in %u s, long after all was settled",
	    (unsigned long long)(w->noise - noise), SILENCE_MS / 1000);
}

void
heal_run(struct world *w)
{
	const struct sim_store *stores[WORLD_NODES];
	struct ghost_end end;
	uint64_t turns = PASS_TURNS;
	unsigned x;

	mend_all(w);
	collect(w, stores);
	ghost_survey(&w->ghost, &end, stores, w->node_count);
	world_trace(w, "---- healing");
	if (!settle(w, &turns) && !ghost_is_violated(&w->ghost))
		ghost_violation(&w->ghost, GHOST_STUCK,
		    "not settled after %llu ms, %llu turns",
		    (unsigned long long)SETTLE_MS,
		    (unsigned long long)(PASS_TURNS - turns));
	if (ghost_is_violated(&w->ghost)) {
		if (world_traces(w))
			ghost_explain(&w->ghost, stores, w->node_count);
		return;
	}
	world_trace(w, "---- settled");
	check_silence(w, &turns);
	for (x = 0; x < w->node_count; x++)
		world_check(w, x);
	agent_check_end(w);
	roster_check_end(w, &turns);
	ghost_check_end(&w->ghost, &end, stores, w->node_count,
	    WORLD_WALL + w->now_ms +
		(w->plan.faults & FAULT_CLOCKS ? OVER_CLOCKS_MS : OVER_MS));
	if (ghost_is_violated(&w->ghost) && world_traces(w))
		ghost_explain(&w->ghost, stores, w->node_count);
}
