/* SPDX-License-Identifier: ISC */
/* Clocks that are wrong, several at a time, of FAULT_CLOCKS: an hour behind, of
 * 1970, too fast or too slow, ahead by less than stamps may be; one of them by
 * more, which repair-clock is for; and machines that are put back to an earlier
 * state and go on from there.  The engine's part (engine/clockwatch.c) is here
 * once more, on virtual time; whom to believe says the product's
 * syncd/clocks.h. */

#include "syncd/clocks.h"

#include "sync/mutate.h"
#include "world.h"

#define ONE_OF 30 /* steps */
#define HOUR_MS 3600000
#define JUMP_MS 30000	     /* a new run begins */
#define DOUBT_MS HOUR_MS     /* a jump forward to be doubted; for how long */
#define DOUBT_SAID_MS 300000 /* by replication */
#define AHEAD_MS 240000	     /* less than stamps may be ahead */
#define FAR_MS 600000	     /* more than others and what they take */
#define SMALL_MS 30000	     /* of a clock that is right */
#define DRIFT_MAX 50	     /* of a thousand */

static int64_t
true_ms(const struct world *w)
{
	return (int64_t)(w->now_ms + WORLD_WALL);
}

/* ---- what the engine makes of it ----------------------------------------- */

bool
clocks_doubted(const struct world *w, unsigned x)
{
	const struct node *n = &w->node[x];

	return (n->jumped_ms > DOUBT_MS || w->now_ms < n->doubted_ms) &&
	    !MUTATED(NO_DOUBT);
}

/* It says so much from now on. */
static void
set_clock(struct world *w, unsigned x, int64_t wall_ms)
{
	struct node *n = &w->node[x];
	int64_t before = (int64_t)world_wall(w, x);

	n->skew_ms = wall_ms - true_ms(w);
	n->drift = 0;
	n->drift_from_ms = w->now_ms;
	if (n->replica != NULL)
		n->jumped_ms += wall_ms - before;
	n->store.wall_ms = world_wall(w, x);
	world_trace(w, "n%u: its clock is off by %lld ms", x,
	    (long long)n->skew_ms);
}

static void
set_right(struct world *w, unsigned x)
{
	set_clock(w, x,
	    true_ms(w) + (int64_t)world_random(w, SMALL_MS) - SMALL_MS / 2);
}

/* Before each turn: a jump means that this may be a machine that was put back.
 * Until then its clients write on in the old run's name. */
void
clocks_watch(struct world *w, unsigned x)
{
	struct node *n = &w->node[x];
	int64_t by = n->jumped_ms;

	if (!(w->plan.faults & FAULT_CLOCKS))
		return;
	n->jumped_ms = 0;
	if (by > DOUBT_MS)
		n->doubted_ms = w->now_ms + DOUBT_MS;
	else if (by < -DOUBT_MS)
		n->doubted_ms = 0;
	if ((by > JUMP_MS || by < -JUMP_MS) && !MUTATED(NO_RENEWAL))
		node_renew(w, x);
	n->store.well_seq = n->store.now.clock;
}

/* After each: what the links have heard. */
void
clocks_listen(struct world *w, unsigned x)
{
	struct node *n = &w->node[x];
	struct replica_link *l = NULL;
	struct replica_status status;

	if (n->clocks == NULL)
		return;
	while ((l = replica_next_link(n->replica, l)) != NULL) {
		replica_status(n->replica, l, &status);
		if (status.is_up)
			(void)clocks_hear(n->clocks, status.uid,
			    status.offset_ms, w->now_ms);
	}
	if (clocks_in_doubt(n->clocks, w->now_ms)) {
		n->is_unwarned = false;
		if (n->doubted_ms < w->now_ms + DOUBT_SAID_MS)
			n->doubted_ms = w->now_ms + DOUBT_SAID_MS;
	}
	n->store.is_doubted = clocks_doubted(w, x);
}

void
clocks_start(struct world *w, unsigned x)
{
	if (w->plan.faults & FAULT_CLOCKS && clocks_new(&w->node[x].clocks) < 0)
		ghost_violation(&w->ghost, GHOST_ERROR, "clocks_new");
}

void
clocks_stop(struct world *w, unsigned x)
{
	clocks_free(w->node[x].clocks);
	w->node[x].clocks = NULL;
}

/* The power was cut: that the clock was doubted is forgotten. */
void
clocks_reboot(struct world *w, unsigned x)
{
	struct node *n = &w->node[x];

	n->jumped_ms = 0;
	n->doubted_ms = 0;
	n->is_unwarned = true;
}

/* Nothing is taken away by a clock that others, or its own jump, speak
 * against. */
void
clocks_expired(void *user, const struct record *r)
{
	const struct watcher *of = user;
	struct world *w = of->w;
	int64_t early = (int64_t)r->deadline - true_ms(w);

	if (w->plan.faults & FAULT_CLOCKS && early > (int64_t)WORLD_DRIFT_MS &&
	    !w->node[of->node].is_unwarned)
		ghost_violation(&w->ghost, GHOST_LOST,
		    "n%u lets %.*s expire %lld ms too early", of->node,
		    (int)r->key.len, r->key.data, (long long)early);
}

/* ---- what goes wrong ------------------------------------------------------- */

/* More than stamps may be ahead, and more than a jump that is believed; one
 * host of the cluster at most, and repair-clock comes. */
static void
run_away(struct world *w, unsigned x)
{
	if (w->had_bad_clock || w->node[x].replica == NULL)
		return;
	w->had_bad_clock = w->node[x].has_bad_clock = true;
	w->node[x].backup[0].is_there = false;
	set_clock(w, x,
	    true_ms(w) + HOUR_MS + FAR_MS + (int64_t)world_random(w, HOUR_MS));
}

static void
drift(struct world *w, unsigned x)
{
	struct node *n = &w->node[x];

	if (n->has_bad_clock)
		return;
	n->skew_ms = (int64_t)world_wall(w, x) - true_ms(w);
	n->drift_from_ms = w->now_ms;
	n->drift = (int)world_random(w, 2 * DRIFT_MAX) - DRIFT_MAX;
	world_trace(w, "n%u: its clock drifts by %d of a thousand", x,
	    n->drift);
}

/* A virtual machine goes on from where it was half a minute ago, or longer. */
static void
resume(struct world *w, unsigned x)
{
	struct node *n = &w->node[x];
	struct backup *b = &n->backup[0];

	if (n->replica == NULL || n->has_bad_clock)
		return;
	if (!b->is_there) {
		b->is_there = true;
		b->taken_ms = w->now_ms;
		sim_store_copy(&b->store, &n->store);
		return;
	}
	if (w->now_ms <= b->taken_ms + JUMP_MS)
		return;
	world_trace(w, "n%u goes on as it was at %llu", x,
	    (unsigned long long)b->taken_ms);
	node_stop(w, x);
	sim_store_copy(&n->store, &b->store);
	n->store.is_reading = false;
	ghost_unpurge(&w->ghost, x, n->store.now.clock);
	b->is_there = false;
	set_right(w, x);
	n->jumped_ms = (int64_t)(w->now_ms - b->taken_ms);
	if (MUTATED(NO_RENEWAL))
		node_go_on(w, x);
	else
		node_renew(w, x);
	n->jumped_ms = 0;
	world_show(w, x);
}

static void
go_wrong(struct world *w, unsigned x)
{
	struct node *n = &w->node[x];

	switch (world_random(w, 8)) {
	case 0:
		if (!n->has_bad_clock)
			set_clock(w, x, true_ms(w) - HOUR_MS);
		break;
	case 1:
		if (!n->has_bad_clock)
			set_clock(w, x, (int64_t)world_random(w, 600000));
		break;
	case 2:
		if (!n->has_bad_clock)
			set_clock(w, x,
			    true_ms(w) + (int64_t)world_random(w, AHEAD_MS));
		break;
	case 3:
		drift(w, x);
		break;
	case 4:
		run_away(w, x);
		break;
	case 5:
		set_right(w, x); /* what it stamped ahead of time stays */
		break;
	case 6:
		if (n->has_bad_clock && n->replica != NULL)
			node_repair_clock(w, x);
		break;
	default:
		resume(w, x);
	}
}

bool
fault_clocks(struct world *w)
{
	if (!(w->plan.faults & FAULT_CLOCKS) || world_random(w, ONE_OF) != 0)
		return false;
	if (w->ghost.origin_count < w->origins_max - 3 * WORLD_NODES) {
		go_wrong(w, world_random(w, w->node_count));
		w->counts.faults++;
	}
	return true;
}

void
fault_mend_clocks(struct world *w)
{
	unsigned x;

	for (x = 0; w->plan.faults & FAULT_CLOCKS && x < w->node_count; x++) {
		if (w->node[x].has_bad_clock)
			node_repair_clock(w, x);
		set_right(w, x);
		w->node[x].timer_ms = w->now_ms;
	}
}
