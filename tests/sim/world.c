/* SPDX-License-Identifier: ISC */
/* A run: what kind of cluster, its two phases, the ghosts between them. */

#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"

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
	const struct node *n = &w->node[x];
	int64_t ms = (int64_t)(w->now_ms + WORLD_WALL) + n->skew_ms;

	ms += (int64_t)(w->now_ms - n->drift_from_ms) * n->drift / 1000;
	return ms > 0 ? (uint64_t)ms : 0;
}

/* ---- trace ------------------------------------------------------------------- */

static int
stream_of(enum frame_type type)
{
	return type == FRAME_DATA_OWN  ? 0
	    : type == FRAME_DATA_FULL  ? 1
	    : type == FRAME_DATA_RANGE ? 2
				       : -1;
}

static void
tell_data(struct world *w)
{
	static const char *const names[WORLD_STREAMS] = { "OWN", "FULL",
		"RANGE" };
	unsigned from, to, i;

	for (from = 0; from < WORLD_NODES; from++) {
		for (to = 0; to < WORLD_NODES; to++) {
			for (i = 0; i < WORLD_STREAMS; i++) {
				if (w->untold[from][to][i].frames == 0)
					continue;
				printf("  n%u > n%u DATA_%s, %u frames of "
				       "%llu bytes\n",
				    from, to, names[i],
				    w->untold[from][to][i].frames,
				    (unsigned long long)w->untold[from][to][i]
					.bytes);
			}
		}
	}
	memset(w->untold, 0, sizeof(w->untold));
}

void
world_trace(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (!world_traces(w))
		return;
	if (w->plan.verbose > 0)
		tell_data(w);
	printf("[%llu] ", (unsigned long long)w->now_ms);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void
world_trace_frame(struct world *w, unsigned from, unsigned to,
    struct kv_slice plain)
{
	enum frame_type type = (enum frame_type)(uint8_t)plain.data[0];
	bool is_ping = type == FRAME_PING || type == FRAME_PONG;
	int stream = stream_of(type);

	w->noise += !is_ping && frame_name(type)[0] != '?';
	w->counts.frames++;
	w->counts.bytes += plain.len;
	if (w->plan.verbose < (is_ping ? 2u : 1u))
		return;
	if (stream < 0) {
		world_trace(w, "n%u > n%u %s %zu", from, to, frame_name(type),
		    plain.len);
		return;
	}
	w->untold[from][to][stream].frames++;
	w->untold[from][to][stream].bytes += plain.len;
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
	if (w->plan.faults & FAULT_CLOCKS)
		sane = (w->now_ms + WORLD_WALL + WORLD_DRIFT_MS) << 16;
	n->checked = n->store.claims;
	if (w->had_rot)
		return; /* wrong claims are what it is about */
	ghost_check_claims(&w->ghost, x, &n->store, sane);
	if (w->plan.faults & FAULT_TTL)
		ghost_check_forgotten(&w->ghost, x, &n->store,
		    world_wall(w, x));
}

void
world_check_all(struct world *w)
{
	unsigned x;

	for (x = 0; x < w->node_count; x++) {
		if (w->node[x].checked != w->node[x].store.claims)
			world_check(w, x);
	}
}

void
world_compact(struct world *w)
{
	struct arena old = w->arena;
	unsigned x, i;

	for (x = 0; x < w->node_count; x++) {
		sim_store_move(&w->node[x].store, &w->spare);
		for (i = 0; i < WORLD_BACKUPS; i++)
			sim_store_move(&w->node[x].backup[i].store, &w->spare);
	}
	ghost_move(&w->ghost, &w->spare);
	w->pattern = (struct kv_slice){ NULL, 0 }; /* made when wanted */
	w->arena = w->spare;
	w->spare = old;
	arena_reset(&w->spare);
}

void
world_choose_tuning(struct world *w)
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
		t->credit = 60 * w->origins_max + world_random(w, 4000);
	t->has_no_digests = !w->plan.has_digests;
	w->timeout_ms = 10000;
	w->retention_ms = retentions[world_random(w, 4)];
}

/* Mesh, line, ring or by chance; always one piece. */
void
world_choose_topology(struct world *w, unsigned n)
{
	unsigned kind = world_random(w, 4), a, b;
	/* A barrier wants a link to everybody. */
	bool is,
	    is_mesh = w->plan.faults & FAULT_SERVICES &&
	    !(w->plan.faults & FAULT_CLONES) && world_random(w, 4) != 0;

	w->node_count = n > 0 ? n : 2 + world_random(w, WORLD_NODES - 1);
	n = w->node_count;
	memset(w->is_base, 0, sizeof(w->is_base));
	memset(w->is_blocked, 0, sizeof(w->is_blocked));
	for (a = 0; a < n; a++) {
		for (b = a + 1; b < n; b++) {
			is = kind == 0 || is_mesh || b == a + 1 ||
			    (kind == 2 && world_random(w, 2)) ||
			    (kind == 3 && a == 0 && b == n - 1);
			w->is_base[a][b] = w->is_base[b][a] = is;
		}
	}
}

static void
begin(struct world *w, const struct world_plan *plan)
{
	uint32_t options[GHOST_BUCKETS] = { 0 };
	unsigned i;

	w->plan = *plan;
	w->random = hash_u64(plan->seed) | 1;
	w->now_ms = 1000;
	w->next_value = 0;
	w->origins_max = plan->length_ms > 0 ? GHOST_ORIGINS : WORLD_ORIGINS;
	w->noise = 0;
	w->had_bad_clock = w->had_clone = w->had_rot = false;
	memset(w->wins, 0, sizeof(w->wins));
	w->pattern = (struct kv_slice){ NULL, 0 };
	arena_reset(&w->arena);
	ghost_reset(&w->ghost, !plan->has_digests);
	for (i = 0; i < WORLD_CABLES; i++)
		cable_reset(&w->cable[i]);
	world_choose_topology(w, plan->length_ms > 0 ? WORLD_NODES : 0);
	world_choose_tuning(w);
	for (i = 0; i < w->node_count; i++) {
		node_init(w, i);
		node_start(w, i);
	}
	w->ghost.has_short = plan->faults & FAULT_TTL;
	if (w->ghost.has_short && world_random(w, 4) > 0)
		options[GHOST_SHORT] = WORLD_TTL_S << BUCKET_TTL_SHIFT;
	for (i = 0; i < GHOST_BUCKETS; i++) {
		if (plan->faults & FAULT_CONFLICTS && world_random(w, 4) > 0)
			options[i] |= BUCKET_CONFLICTS;
		if (sim_create(&w->node[world_random(w, w->node_count)].store,
			ghost_bucket_name(i), options[i]) < 0)
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

/* Many steps, and their end. */
static void
short_run(struct world *w)
{
	uint32_t pace = w->plan.faults & FAULT_RETENTION ? 250 : 100;
	unsigned step;

	for (step = 0; step < w->plan.steps; step++) {
		if (ghost_is_violated(&w->ghost))
			return;
		w->now_ms += world_random(w, pace);
		fault_step(w);
		if (step % WORLD_CHECK_EVERY == 0)
			world_check_all(w);
	}
	if (!ghost_is_violated(&w->ghost))
		heal_run(w);
}

bool
world_run(struct world *w, const struct world_plan *plan)
{
	begin(w, plan);
	if (plan->length_ms > 0)
		day_run(w);
	else
		short_run(w);
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
	arena_fini(&w->spare);
}
