/* SPDX-License-Identifier: ISC */
/* Buckets with a ttl_max: as the engine and the tree have them, and what must
 * be true of them. */

#include "ghost.h"
#include "state.h"
#include "sync/mutate.h"
#include "tick.h"

void
short_limit(const struct sim_state *t, uint64_t ms, struct record *r)
{
	const struct sim_bucket *b = sim_bucket(t, r->bid);

	if (b != NULL)
		bucket_limit(&b->row, ms, r);
}

void
short_limit_all(struct sim_store *s)
{
	struct record *r, limited;
	unsigned i;

	for (i = 0; s->refuse == KV_OK && i < s->now.record_count; i++) {
		r = &s->now.records[i];
		limited = *r;
		short_limit(&s->now, stamp_ms(r->stamp), &limited);
		if (r->type != RECORD_PUT || limited.deadline == r->deadline)
			continue;
		*r = limited;
		r->flags |= RECORD_FOREIGN;
		r->seq = tick_next(s);
		s->now.position++;
		if (!(r->flags & RECORD_LOCAL))
			s->now.head = r->seq;
	}
}

/* The tree's row, and what we see of it, is to be kept longer. */
static void
keep_longer(struct sim_store *s, const struct record *as)
{
	struct sim_state *each[] = { &s->now, &s->synced, &s->tree };
	const struct record *r;
	size_t i;

	for (i = 0; i < 3; i++) {
		r = sim_find(each[i], as->bid, as->key);
		if (r != NULL && r->seq == as->seq)
			*state_enter(each[i], r) = *as;
	}
}

static bool
is_over(const struct record *r, uint64_t before_ms)
{
	return r->deadline < before_ms && stamp_ms(r->stamp) < before_ms;
}

void
sim_purge_short(struct sim_store *s, uint64_t before_ms)
{
	struct record r, now;
	unsigned i = 0;

	if (MUTATED(SHORT_AT_ONCE))
		before_ms = UINT64_MAX;
	while (!s->is_half && i < s->tree.record_count) {
		r = now = s->tree.records[i];
		if (r.type != RECORD_TOMB || !(r.flags & RECORD_SHORT) ||
		    !is_over(&r, before_ms)) {
			i++;
			continue;
		}
		now.flags &= (uint8_t)~RECORD_SHORT;
		short_limit(&s->tree, stamp_ms(r.stamp), &now);
		if (!(now.flags & RECORD_SHORT) || !is_over(&now, before_ms)) {
			keep_longer(s, &now);
			i++;
			continue;
		}
		if (s->watch.forgot != NULL)
			s->watch.forgot(s->watch.user, &r);
		store_forget(s, &r);
	}
}

/* ---- what must be true ------------------------------------------------- */

void
ghost_forgot(struct ghost *g, const struct record *r)
{
	unsigned key = ghost_key_number(r->key);

	if (stamp_compare(g->forgotten[key], r->stamp) < 0)
		g->forgotten[key] = r->stamp;
}

void
ghost_check_forgotten(struct ghost *g, unsigned node, const struct sim_store *s,
    uint64_t wall_ms)
{
	const struct sim_bucket *b;
	const struct record *r;
	unsigned k;

	for (k = 0; k < GHOST_KEYS; k++) {
		r = ghost_find(g, &s->now, k);
		if (r == NULL || r->type != RECORD_PUT ||
		    record_is_expired(r, wall_ms) ||
		    stamp_compare(r->stamp, g->forgotten[k]) >= 0 ||
		    (b = sim_bucket(&s->now, r->bid)) == NULL ||
		    !bucket_is_live(&b->row) || sim_is_killed(&s->now, r))
			continue;
		/* One of before the option is still to be looked at. */
		if (bucket_ttl_ms(&b->row) == 0 ||
		    bucket_deadline(&b->row, stamp_ms(r->stamp), r->deadline) !=
			r->deadline)
			continue;
		ghost_violation(g, GHOST_ZOMBIE,
		    "key %u of %llx is there at node %u, but a delete of %llx "
		    "was forgotten",
		    k, (unsigned long long)r->stamp.tick, node,
		    (unsigned long long)g->forgotten[k].tick);
	}
}
