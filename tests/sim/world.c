/* SPDX-License-Identifier: ISC */
/* A run: what kind of cluster, its two phases, the ghosts between them. */

#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"

#define CHECK_EVERY 16

uint64_t
world_random_u64(struct world *w)
{
	return rng_next(&w->random);
}

uint32_t
world_random(struct world *w, uint32_t below)
{
	return (uint32_t)(((rng_next(&w->random) >> 32) * below) >> 32);
}

uint64_t
world_wall(const struct world *w, unsigned x)
{
	return (
	    uint64_t)((int64_t)(w->now_ms + WORLD_WALL) + w->node[x].skew_ms);
}

/* ---- trace ------------------------------------------------------------------- */

void
world_trace(const struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (!world_traces(w))
		return;
	printf("[%llu] ", (unsigned long long)w->now_ms);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void
world_show(struct world *w, unsigned x)
{
	struct node *n = &w->node[x];
	const struct record *r;

	if (w->plan.traced < 0)
		return;
	r = ghost_find(&w->ghost, &n->store.now, (unsigned)w->plan.traced);
	if (r == NULL) {
		if (n->shown_type != 0)
			world_trace(w, "n%u has no key %d any more", x,
			    w->plan.traced);
		n->shown_type = (enum record_type)0;
		return;
	}
	if (n->shown_type == r->type && stamp_compare(n->shown, r->stamp) == 0)
		return;
	n->shown_type = r->type;
	n->shown = r->stamp;
	world_trace(w, "n%u key %d: %s %llx inc %llx flags %x seq %llx", x,
	    w->plan.traced, r->type == RECORD_PUT ? "put" : "tomb",
	    (unsigned long long)r->stamp.tick, (unsigned long long)r->stamp.inc,
	    r->flags, (unsigned long long)r->seq);
}

/* ---- a run ------------------------------------------------------------------- */

void
world_check(struct world *w, unsigned x)
{
	struct node *n = &w->node[x];
	uint64_t sane = 0;

	if (w->plan.faults & FAULT_CLOCK)
		sane = (world_wall(w, x) + WORLD_DRIFT_MS) << 16;
	n->checked = n->store.claims;
	ghost_check_claims(&w->ghost, x, &n->store, sane);
}

static void
choose_tuning(struct world *w)
{
	static const uint32_t retentions[] = { 60000, 60000, 20000, 5000 };
	struct replica_tuning *t = &w->tuning;

	*t = (struct replica_tuning){ 0 };
	if (world_random(w, 4) != 0) {
		t->mark_ops = 1 + world_random(w, 4);
		t->mark_bytes = 64 + world_random(w, 2000);
		t->range_keys = 1 + world_random(w, 6);
		t->frame_bytes = 30 + world_random(w, 120);
	}
	/* As the true ones do: half of it holds what stands between two
	 * MARKs, all rows among it. */
	if (t->mark_ops > 0 && world_random(w, 3) == 0)
		t->credit = 60 * GHOST_ORIGINS + world_random(w, 4000);
	t->has_no_digests = !w->plan.has_digests;
	w->timeout_ms = 10000;
	w->retention_ms = retentions[world_random(w, 4)];
}

/* Mesh, line, ring or by chance; always one piece. */
static void
choose_topology(struct world *w)
{
	unsigned kind = world_random(w, 4), n, a, b;
	bool is;

	n = w->node_count = 2 + world_random(w, WORLD_NODES - 1);
	memset(w->is_base, 0, sizeof(w->is_base));
	memset(w->is_blocked, 0, sizeof(w->is_blocked));
	for (a = 0; a < n; a++) {
		for (b = a + 1; b < n; b++) {
			is = kind == 0 || b == a + 1 ||
			    (kind == 2 && world_random(w, 2)) ||
			    (kind == 3 && a == 0 && b == n - 1);
			w->is_base[a][b] = w->is_base[b][a] = is;
		}
	}
}

static void
begin(struct world *w, const struct world_plan *plan)
{
	unsigned i;

	w->plan = *plan;
	w->random = hash_u64(plan->seed) | 1;
	w->now_ms = 1000;
	w->next_value = 0;
	w->noise = 0;
	w->had_bad_clock = w->had_clone = false;
	w->pattern = (struct kv_slice){ NULL, 0 };
	arena_reset(&w->arena);
	ghost_reset(&w->ghost, !plan->has_digests);
	for (i = 0; i < WORLD_CABLES; i++)
		cable_reset(&w->cable[i]);
	choose_topology(w);
	choose_tuning(w);
	for (i = 0; i < w->node_count; i++) {
		node_init(w, i);
		node_start(w, i);
	}
	for (i = 0; i < GHOST_BUCKETS; i++) {
		if (sim_create(&w->node[world_random(w, w->node_count)].store,
			ghost_bucket_name(i), 0) < 0)
			ghost_violation(&w->ghost, GHOST_ERROR, "create");
	}
}

static void
finish(struct world *w)
{
	unsigned i;

	for (i = 0; i < w->node_count; i++)
		node_stop(w, i);
	w->counts.runs++;
	w->counts.virtual_ms += w->now_ms;
}

bool
world_run(struct world *w, const struct world_plan *plan)
{
	uint32_t pace = plan->faults & FAULT_RETENTION ? 250 : 100;
	unsigned step, x;

	begin(w, plan);
	for (step = 0; step < plan->steps; step++) {
		if (ghost_is_violated(&w->ghost))
			break;
		w->now_ms += world_random(w, pace);
		fault_step(w);
		if (step % CHECK_EVERY != 0)
			continue;
		for (x = 0; x < w->node_count; x++) {
			if (w->node[x].checked != w->node[x].store.claims)
				world_check(w, x);
		}
	}
	if (!ghost_is_violated(&w->ghost))
		heal_run(w);
	finish(w);
	return !ghost_is_violated(&w->ghost);
}

void
world_fini(struct world *w)
{
	unsigned i;

	for (i = 0; i < WORLD_CABLES; i++)
		cable_fini(&w->cable[i]);
	arena_fini(&w->arena);
}
