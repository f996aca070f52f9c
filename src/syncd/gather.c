/* SPDX-License-Identifier: ISC */
/* How often the log grows, and a turn a millisecond where that is often. */

#include "syncd/gather.h"

#include "base/clock.h"
#include "syncd/syncd.h"

#define GATHER_NS 1000000u
#define GATHER_BATCHES 4 /* within that time are many */

static void
gather_expired(struct timer *timer)
{
	struct syncd *s = loop_owner(timer, struct syncd, gather.timer);

	s->gather.is_set = false;
	s->turn_wanted = true;
}

void
gather_init(struct gather *g)
{
	*g = (struct gather){ .timer.expired = gather_expired };
}

static void
gather_look(struct gather *g, uint64_t now, uint64_t batches)
{
	uint64_t ns = now - g->since_ns;

	if (ns < GATHER_NS)
		return;
	g->is_dense = (batches - g->batches) * GATHER_NS >= ns * GATHER_BATCHES;
	g->since_ns = now;
	g->batches = batches;
}

bool
gather_waits(struct syncd *s)
{
	struct gather *g = &s->gather;
	uint64_t now = clock_mono_ns();

	gather_look(g, now,
	    atomic_load_explicit(&engine_control(s->engine)->stats.appends,
		memory_order_relaxed));
	if (g->is_dense && !g->is_set) {
		loop_timer_set(s->loop, &g->timer, now + GATHER_NS);
		g->is_set = true;
	}
	return g->is_dense;
}
