/* SPDX-License-Identifier: ISC */
/* A day in one run: five nodes, for 24 hours of virtual time, with faults all
 * the while.  Every half an hour or so all is mended, has to become alike, and
 * is looked at as at the end of a short run; then it goes on from there, with
 * the same stores, the backups of hours ago, and vectors that grow. */

#include <string.h>

#include "profile.h"
#include "world.h"

#define BURST_MAX 400 /* steps, as those of a short run */
#define BURST_PACE_MS 100
#define ROUND_MIN_MS 600000u
#define ROUND_MORE_MS 2400000u
#define TICK_MAX_MS 10000u
#define TIMEOUT_MS 30000u /* fewer PINGs: they are most of what happens */
#define TICK_STEPS 10	  /* at most, in a tick */

/* In turn: what may happen until the next mending. */
static const char *const kinds[] = { "versions", "clock-drops", "services",
	"all", "sealed" };

/* Of nodes that start from now on.  The first credit is part of the protocol,
 * and has to be large beside what stands between two MARKs of anybody. */
static void
choose_sizes(struct world *w)
{
	struct replica_tuning before = w->tuning;

	world_choose_tuning(w);
	if (before.credit > 0 && w->tuning.mark_ops == 0)
		w->tuning = before;
	w->tuning.credit = before.credit;
	w->timeout_ms = TIMEOUT_MS;
}

static void
choose_round(struct world *w, unsigned round)
{
	const unsigned n = sizeof(kinds) / sizeof(kinds[0]);

	w->plan.faults =
	    profile_find(kinds[round % n])->faults | FAULT_SERVICES;
	w->had_clone = w->had_bad_clock = false;
	memset(w->wins, 0, sizeof(w->wins));
	world_choose_topology(w, WORLD_NODES);
	choose_sizes(w);
	world_trace(w, "---- round %u: %s", round, kinds[round % n]);
}

/* Much at once. */
static void
run_burst(struct world *w)
{
	unsigned n = world_random(w, BURST_MAX), i;

	for (i = 0; i < n && !ghost_is_violated(&w->ghost); i++) {
		w->now_ms += world_random(w, BURST_PACE_MS);
		fault_step(w);
		if (i % WORLD_CHECK_EVERY == 0)
			world_check_all(w);
	}
}

/* A little, now and then; whoever is up does his work between. */
static void
run_ticks(struct world *w, uint64_t end)
{
	uint64_t turns = UINT64_MAX;
	unsigned n;

	while (w->now_ms < end && !ghost_is_violated(&w->ghost)) {
		for (n = world_random(w, TICK_STEPS); n > 0; n--)
			fault_step(w);
		pass_dial(w);
		pass_until(w, w->now_ms + world_random(w, TICK_MAX_MS), &turns);
		pass_house(w);
		if (world_random(w, 3) == 0)
			fault_mend_more(w); /* these wait by looking */
		world_check_all(w);
	}
}

/* What went before was found to be right: remember less. */
static void
forget(struct world *w)
{
	const struct sim_store *stores[WORLD_NODES * (1 + WORLD_BACKUPS)];
	unsigned x, i, n = 0;

	for (x = 0; x < w->node_count; x++) {
		stores[n++] = &w->node[x].store;
		for (i = 0; i < WORLD_BACKUPS; i++) {
			if (w->node[x].backup[i].is_there)
				stores[n++] = &w->node[x].backup[i].store;
		}
	}
	ghost_forget(&w->ghost, stores, n);
	world_compact(w);
}

void
day_run(struct world *w)
{
	uint64_t end = w->now_ms + w->plan.length_ms, next;
	unsigned round;

	for (round = 0; w->now_ms < end; round++) {
		choose_round(w, round);
		next =
		    w->now_ms + ROUND_MIN_MS + world_random(w, ROUND_MORE_MS);
		run_burst(w);
		run_ticks(w, next < end ? next : end);
		if (!ghost_is_violated(&w->ghost))
			heal_run(w);
		if (ghost_is_violated(&w->ghost))
			return;
		w->counts.heals++;
		forget(w);
	}
}
