/* SPDX-License-Identifier: ISC */
/* GLOBAL compare-and-set: set a key, pass a barrier, look whether it is still
 * mine.  Of all who try and do not know of each other at most one wins. */

#include "agent.h"
#include "base/bytes.h"
#include "world.h"

#define BARRIER_MS 20000u
#define KEYS 3 /* that they fight for */

/* Two who did not know of each other have both won? */
static void
note_win(struct world *w, const struct agent_try *t)
{
	struct agent_win *o, *at = &w->wins[w->win_count++ % AGENT_WINS];
	struct stamp base, first;

	*at = (struct agent_win){ t->key, t->base, t->mine };
	w->counts.wins++;
	for (o = w->wins; o < w->wins + AGENT_WINS; o++) {
		if (o == at || o->mine.tick == 0 || o->key != t->key)
			continue;
		base = stamp_compare(o->base, t->base) > 0 ? o->base : t->base;
		first = stamp_compare(o->mine, t->mine) < 0 ? o->mine : t->mine;
		if (stamp_compare(base, first) < 0)
			ghost_violation(&w->ghost, GHOST_WINNERS,
			    "key %u was won by %llx and by %llx, who had seen "
			    "nothing newer than %llx",
			    t->key, (unsigned long long)o->mine.tick,
			    (unsigned long long)t->mine.tick,
			    (unsigned long long)base.tick);
	}
}

static bool
is_mine(const struct agent *a, const struct agent_try *t)
{
	const struct sim_state *now = &a->w->node[a->node].store.now;
	const struct record *r = ghost_find(&a->w->ghost, now, t->key);

	return r != NULL && r->type == RECORD_PUT && !sim_is_killed(now, r) &&
	    sim_bucket_lives(now, r->bid) &&
	    stamp_compare(r->stamp, t->mine) == 0;
}

void
agent_settled(void *user, uint64_t wait, unsigned count, const char *missing)
{
	struct agent *a = user;
	struct sim_store *s = &a->w->node[a->node].store;
	struct agent_try *t = a->tries;

	(void)count;
	while (t < a->tries + AGENT_TRIES && t->wait != wait)
		t++;
	if (t == a->tries + AGENT_TRIES) {
		ghost_violation(&a->w->ghost, GHOST_SERVICE,
		    "n%u: an answer to no barrier", a->node);
		return;
	}
	t->wait = 0;
	world_trace(a->w, "n%u key %u: its barrier %s%s", a->node, t->key,
	    missing == NULL ? "holds" : "fails without ",
	    missing == NULL ? "" : missing);
	if (!is_mine(a, t))
		return;
	if (missing == NULL) {
		sim_sync(s); /* its answer waits for the disk */
		if (!s->is_slow)
			note_win(a->w, t);
	} else if (t->withdraws) {
		(void)!sim_del(s, ghost_bucket_name(ghost_bucket_of(t->key)),
		    ghost_key_name(t->key));
	}
}

/* The newest version that this node's clients can have seen, or more. */
static struct stamp
seen_of(const struct world *w, const struct sim_state *now, unsigned key)
{
	const struct record *r = ghost_find(&w->ghost, now, key);
	const struct sim_bucket *b =
	    sim_bucket(now, w->ghost.bids[ghost_bucket_of(key)]);
	struct stamp s = w->ghost.purged[key];

	if (r != NULL && stamp_compare(r->stamp, s) > 0)
		s = r->stamp;
	if (b != NULL && stamp_compare(b->row.dropped, s) > 0)
		s = b->row.dropped;
	return s;
}

static bool
begin_barrier(struct world *w, unsigned x, struct agent_try *t)
{
	struct kv_slice others[WORLD_NODES];
	struct agent *a = &w->node[x].agent;
	size_t count = 0;
	unsigned y;

	for (y = 0; y < w->node_count; y++) {
		if (y != x)
			others[count++] = slice_of(w->node[y].name);
	}
	w->node[x].timer_ms = w->now_ms;
	w->counts.tries++;
	return services_barrier(a->services, t->mine.tick, others, count,
		   w->now_ms + 1000 * x + 1000 + world_random(w, BARRIER_MS),
		   &t->wait) == KV_OK;
}

static bool
try_key(struct world *w, unsigned x, unsigned key)
{
	struct agent *a = &w->node[x].agent;
	struct sim_store *s = &w->node[x].store;
	struct agent_try *t = a->tries;
	char *value;

	if (a->services == NULL)
		return false;
	while (t < a->tries + AGENT_TRIES && t->wait != 0)
		t++;
	if (t == a->tries + AGENT_TRIES)
		return false;
	s->wall_ms = world_wall(w, x);
	*t = (struct agent_try){ .key = key,
		.base = seen_of(w, &s->now, key),
		.withdraws = world_random(w, 2) };
	value = arena_take(&w->arena, 4);
	bytes_put_be32(value, ++w->next_value);
	if (sim_put(s, ghost_bucket_name(ghost_bucket_of(key)),
		ghost_key_name(key), (struct kv_slice){ value, 4 }, 0) < 0)
		return false;
	t->mine = ghost_find(&w->ghost, &s->now, key)->stamp;
	world_trace(w, "n%u key %u: sets it for all to %llx", x, key,
	    (unsigned long long)t->mine.tick);
	return begin_barrier(w, x, t);
}

bool
agent_try(struct world *w, unsigned x, unsigned p)
{
	unsigned key = world_random(w, KEYS);

	/* A backup, and so a clone, forgets what it acknowledged. */
	if (w->plan.faults & (FAULT_RESTORES | FAULT_CLONES))
		return false;
	if (p != x && world_random(w, 4) != 0)
		try_key(w, p, key);
	return try_key(w, x, key);
}
