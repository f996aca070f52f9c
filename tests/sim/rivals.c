/* SPDX-License-Identifier: ISC */
/* Conflict logs (kv-sync.7, "Seeing what was lost"): of each write the ghosts
 * know what its writer had, and so whether two that meet had seen each other.
 * The store says what the product's base/rival.h makes of them. */

#include "base/buf.h"
#include "base/rival.h"
#include "ghost.h"
#include "sync/mutate.h"
#include "tick.h"

/* ---- the array store, as the engine does --------------------------------- */

void
rivals_note(const struct sim_store *s, const struct record *was,
    struct record *r)
{
	rival_note(was, s->inc, r);
	if (MUTATED(PREV_FORGOTTEN) && was != NULL && rival_is_own(was, s->inc))
		r->prev = (struct stamp){ 0 };
}

void
rivals_meet(struct sim_store *s, const struct record *in,
    const struct record *was)
{
	const struct sim_bucket *b = sim_bucket(&s->now, in->bid);
	struct sim_meeting m;

	if (b == NULL || !(b->row.options & BUCKET_CONFLICTS) || was == NULL ||
	    !bucket_shows(&b->row, in->stamp))
		return;
	m = (struct sim_meeting){ &b->row, in, was,
		rival_look(&b->row, in, was, s->inc) };
	if (MUTATED(PREV_IS_OLDER) && stamp_compare(in->prev, was->stamp) > 0)
		m.kept = RIVAL_NONE;
	if (s->watch.met != NULL)
		s->watch.met(s->watch.user, &m);
}

/* ---- what must be true --------------------------------------------------- */

static const struct ghost_write *
find_write(const struct ghost *g, struct stamp stamp)
{
	unsigned i = g->write_count;

	while (i-- > 0) {
		if (stamp_compare(g->writes[i].stamp, stamp) == 0)
			return &g->writes[i];
	}
	return NULL;
}

void
ghost_wrote_over(struct ghost *g, struct ghost_write *w,
    const struct record *was, uint64_t own_inc)
{
	const struct ghost_write *before;

	w->base = w->had = (struct stamp){ 0 };
	if (was == NULL)
		return;
	w->base = was->stamp;
	before = find_write(g, was->stamp);
	if (was->flags & RECORD_FOREIGN && was->stamp.inc != own_inc)
		w->had = was->stamp;
	else if (before != NULL)
		w->had = before->had;
}

/* Is `seen` among what the writer of w had, and those before him?  False with
 * *unknown: the ghosts do not remember. */
static bool
has_seen(const struct ghost *g, const struct ghost_write *w, struct stamp seen,
    bool *unknown)
{
	*unknown = false;
	while (w->base.tick != 0) {
		if (stamp_compare(w->base, seen) == 0)
			return true;
		if ((w = find_write(g, w->base)) == NULL) {
			*unknown = true;
			return false;
		}
	}
	return false;
}

/* What nobody speaks of: equal values, and what a deadline or a drop took. */
static bool
is_silent(const struct bucket *b, const struct record *in,
    const struct record *was)
{
	return stamp_compare(in->stamp, was->stamp) == 0 ||
	    !bucket_shows(b, was->stamp) ||
	    (in->type == RECORD_TOMB && in->flags & RECORD_EXPIRED) ||
	    (was->type == RECORD_TOMB && was->flags & RECORD_EXPIRED) ||
	    (in->type == was->type && slice_equal(in->value, was->value));
}

/* The winner's writer had not seen the loser: is it kept?  Of what came too
 * late to one who had seen something newer already, this node says nothing. */
static bool
is_due(const struct ghost_write *won, struct stamp lost, bool was_ours)
{
	return was_ours || stamp_compare(lost, won->had) > 0;
}

void
ghost_met(struct ghost *g, unsigned node, const struct sim_store *s,
    const struct sim_meeting *m)
{
	const struct record *in = m->in, *was = m->was;
	bool ours = stamp_compare(was->stamp, in->stamp) < 0, seen, unknown;
	const struct ghost_write *won, *lost;
	enum rival kept = ours ? RIVAL_THERE : RIVAL_IN;

	won = find_write(g, ours ? in->stamp : was->stamp);
	lost = find_write(g, ours ? was->stamp : in->stamp);
	if (won == NULL || lost == NULL || !won->tells_prev ||
	    is_silent(m->bucket, in, was) ||
	    (was->flags & RECORD_FOREIGN && was->stamp.inc != s->inc))
		return;
	seen = has_seen(g, won, lost->stamp, &unknown);
	if (unknown)
		return;
	if (!seen && is_due(won, lost->stamp, ours) && m->kept != kept)
		ghost_violation(g, GHOST_CONFLICT,
		    "node %u: key %u of %llx is lost to %llx, whose writer had "
		    "not seen it, and is not kept",
		    node, lost->key, (unsigned long long)lost->tick,
		    (unsigned long long)won->tick);
	/* He had it by way of a third one, who wrote between. */
	if (seen && m->kept != RIVAL_NONE &&
	    (!ours || stamp_compare(won->had, lost->stamp) == 0))
		ghost_violation(g, GHOST_CONFLICT,
		    "node %u: key %u of %llx is kept, but the writer of %llx "
		    "had seen it",
		    node, lost->key, (unsigned long long)lost->tick,
		    (unsigned long long)won->tick);
}
