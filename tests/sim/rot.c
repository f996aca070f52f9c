/* SPDX-License-Identifier: ISC */
/* What must not be: a store has lost a record that its vector says it has, by a
 * bad disk or a mistake of ours.  Nobody asks for it any more; digests notice,
 * and repair brings it back.  Of FAULT_ROT. */

#include "state.h"
#include "world.h"

#define ONE_OF 25 /* steps */

static bool
has_same(const struct sim_state *t, const struct record *r)
{
	const struct record *at = sim_find(t, r->bid, r->key);

	return at != NULL && at->type == r->type &&
	    stamp_compare(at->stamp, r->stamp) == 0;
}

/* Who else has it, on his disk? */
static bool
has_other(const struct world *w, unsigned x, const struct record *r)
{
	const struct sim_store *s;
	unsigned y;

	for (y = 0; y < w->node_count; y++) {
		s = &w->node[y].store;
		if (y != x && has_same(&s->now, r) && has_same(&s->synced, r))
			return true;
	}
	return false;
}

/* Who copies a store takes what it has not, and its vector covers, for
 * deleted. */
static bool
somebody_copies(const struct world *w)
{
	const struct node *n;

	for (n = w->node; n < w->node + w->node_count; n++) {
		if (n->is_copying || n->store.now.head == 0 ||
		    n->store.now.note_count > 0)
			return true;
	}
	return false;
}

static void
lose(struct sim_state *t, const struct record *gone)
{
	const struct record *r = sim_find(t, gone->bid, gone->key);

	if (r != NULL)
		state_remove(t, r);
}

/* There is no digest of what a drop hides. */
static void
make_buckets(struct world *w, unsigned x)
{
	struct sim_store *s = &w->node[x].store;
	unsigned b;

	s->wall_ms = world_wall(w, x);
	for (b = 0; b < GHOST_BUCKETS; b++) {
		if (!sim_bucket_lives(&s->now, w->ghost.bids[b]) &&
		    sim_create(s, ghost_bucket_name(b), 0) < 0)
			ghost_violation(&w->ghost, GHOST_ERROR, "create");
	}
}

void
fault_mend_rot(struct world *w)
{
	unsigned x;

	for (x = 0; w->plan.faults & FAULT_ROT && x < w->node_count; x++)
		make_buckets(w, x);
}

bool
fault_rot(struct world *w)
{
	struct sim_store *s;
	const struct record *r;
	struct record gone;
	unsigned x, key;

	if (!(w->plan.faults & FAULT_ROT) || world_random(w, ONE_OF) != 0)
		return false;
	x = world_random(w, w->node_count);
	key = world_random(w, GHOST_KEYS);
	s = &w->node[x].store;
	r = ghost_find(&w->ghost, &s->now, key);
	if (r == NULL || !has_other(w, x, r) || somebody_copies(w))
		return true;
	gone = *r;
	lose(&s->now, &gone);
	lose(&s->synced, &gone);
	lose(&s->tree, &gone);
	w->had_rot = true;
	w->counts.faults++;
	world_trace(w, "fault: n%u has lost key %u of %llx", x, key,
	    (unsigned long long)gone.stamp.tick);
	world_show(w, x);
	return true;
}
