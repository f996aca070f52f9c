/* SPDX-License-Identifier: ISC */
/* What must be true when all has settled. */

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "ghost.h"

void
ghost_survey(const struct ghost *g, struct ghost_end *e,
    const struct sim_store *const *stores, unsigned count)
{
	const struct sim_bucket *b;
	const struct record *r;
	unsigned i, k;
	int order;

	memset(e, 0, sizeof(*e));
	for (i = 0; i < count; i++) {
		ghost_vector(g, stores[i], &stores[i]->now, e->node[i].vv);
		for (k = 0; k < GHOST_BUCKETS; k++) {
			b = sim_bucket(&stores[i]->now, g->bids[k]);
			if (b != NULL &&
			    stamp_compare(b->row.dropped, e->dropped[k]) > 0)
				e->dropped[k] = b->row.dropped;
		}
		for (k = 0; k < GHOST_KEYS; k++) {
			if ((r = ghost_find(g, &stores[i]->now, k)) == NULL)
				continue;
			order = stamp_compare(r->stamp, e->best[k]);
			if (order < 0)
				continue;
			/* Of an erased and a whole copy: it may live. */
			e->lives[k] = (order == 0 && e->lives[k]) ||
			    r->type == RECORD_PUT;
			e->best[k] = r->stamp;
			e->deadline[k] = r->deadline;
		}
	}
}

static bool
is_shown(const struct sim_state *t, const struct record *r, uint64_t over_ms)
{
	return r != NULL && r->type == RECORD_PUT &&
	    sim_bucket_lives(t, r->bid) && !sim_is_killed(t, r) &&
	    !record_is_expired(r, over_ms);
}

static void
check_value(struct ghost *g, const struct record *r)
{
	unsigned i;

	for (i = 0; i < g->write_count; i++) {
		if (stamp_compare(g->writes[i].stamp, r->stamp) == 0) {
			if (!slice_equal(g->writes[i].value, r->value))
				ghost_violation(g, GHOST_VALUE,
				    "key %u has other bytes than were written",
				    g->writes[i].key);
			return;
		}
	}
	if (g->write_count < GHOST_WRITES)
		ghost_violation(g, GHOST_VALUE, "a write that nobody made");
}

/* Did a write or a drop arrive after the survey, that was on its way then?  Or
 * is the bucket not there to be looked into: what it hides is compared when it
 * is made again. */
static bool
is_excused(const struct ghost *g, const struct ghost_end *e,
    const struct sim_store *s, unsigned key)
{
	const struct record *r = ghost_find(g, &s->now, key);
	const struct sim_bucket *b =
	    sim_bucket(&s->now, g->bids[ghost_bucket_of(key)]);

	if (b == NULL || !bucket_is_live(&b->row) ||
	    !bucket_shows(&b->row, e->best[key]))
		return true;
	return r != NULL && stamp_compare(r->stamp, e->best[key]) > 0;
}

/* Did a node not know of this write when writing stopped? */
static bool
is_unknown(const struct ghost *g, const struct ghost_end *e, unsigned count,
    struct stamp stamp)
{
	int o = ghost_number(g, stamp.inc);
	unsigned i;

	for (i = 0; i < count; i++) {
		if (o < 0 || e->node[i].vv[o] < stamp.tick)
			return true;
	}
	return false;
}

/* Was its delete purged by somebody who had not seen it, and had waited for it
 * for as long as it says?  He takes it for a write that nobody knew of. */
static bool
is_given_up(const struct ghost *g, unsigned key, const struct record *r, int o)
{
	const struct ghost_purge *p;
	unsigned i;

	for (i = 0; i < g->purge_count; i++) {
		p = &g->purges[i];
		if (p->key == key && stamp_compare(r->stamp, p->stamp) < 0 &&
		    g->given_up[p->node][o] >= r->stamp.tick &&
		    ((unsigned)o >= p->origin_count ||
			p->vv[o] < r->stamp.tick))
			return true;
	}
	return false;
}

static void
check_undead(struct ghost *g, unsigned key, const struct record *r)
{
	const struct ghost_purge *p;
	int o = ghost_number(g, r->stamp.inc);
	unsigned i;

	for (i = 0; i < g->purge_count && o >= 0; i++) {
		p = &g->purges[i];
		if (!p->is_void && p->key == key &&
		    (unsigned)o < p->origin_count &&
		    stamp_compare(r->stamp, p->stamp) < 0 &&
		    p->vv[o] >= r->stamp.tick && !is_given_up(g, key, r, o))
			ghost_violation(g, GHOST_ZOMBIE,
			    "key %u is back although node %u, who purged its "
			    "delete, had seen or missed it",
			    key, p->node);
	}
}

static void
check_key(struct ghost *g, const struct ghost_end *e, unsigned key,
    const struct record *r, unsigned count)
{
	struct stamp best = e->best[key];

	if (stamp_compare(best, e->dropped[ghost_bucket_of(key)]) <= 0)
		return;
	if (e->lives[key] && stamp_compare(best, g->purged[key]) >= 0 &&
	    (r == NULL || stamp_compare(r->stamp, best) < 0))
		ghost_violation(g, GHOST_LOST, "key %u: surviving write %llx",
		    key, (unsigned long long)best.tick);
	if (r == NULL)
		return;
	if (!e->lives[key] && best.tick != 0 &&
	    !(stamp_compare(best, g->purged[key]) <= 0 &&
		is_unknown(g, e, count, r->stamp)))
		ghost_violation(g, GHOST_ZOMBIE, "key %u: deleted and live",
		    key);
}

static bool
is_same(const struct record *a, const struct record *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return stamp_compare(a->stamp, b->stamp) == 0 &&
	    a->deadline == b->deadline && slice_equal(a->value, b->value);
}

/* The record that a node shows, or NULL. */
static const struct record *
shown(const struct ghost *g, const struct sim_store *s, unsigned key,
    uint64_t over_ms)
{
	const struct record *r = ghost_find(g, &s->now, key);

	return is_shown(&s->now, r, over_ms) ? r : NULL;
}

/* The first node that differs from node 0 in a key, 0: none. */
static unsigned
find_other(const struct ghost *g, const struct sim_store *const *stores,
    unsigned count, unsigned key, uint64_t over_ms)
{
	const struct record *first = shown(g, stores[0], key, over_ms);
	unsigned i;

	for (i = 1; i < count; i++) {
		if (!is_same(first, shown(g, stores[i], key, over_ms)))
			return i;
	}
	return 0;
}

/* Is what is live of it anywhere older than a purged tombstone? */
static bool
is_forgiven(const struct ghost *g, const struct sim_store *const *stores,
    unsigned count, unsigned key)
{
	const struct record *r;
	unsigned i;

	for (i = 0; i < count && g->is_forgiving; i++) {
		r = ghost_find(g, &stores[i]->now, key);
		if (r != NULL && r->type == RECORD_PUT &&
		    stamp_compare(r->stamp, g->purged[key]) > 0)
			return false;
	}
	return g->is_forgiving;
}

static void
check_buckets(struct ghost *g, const struct sim_store *const *stores,
    unsigned count)
{
	const struct sim_bucket *a, *b;
	unsigned i, k;

	for (k = 0; k < GHOST_BUCKETS; k++) {
		a = sim_bucket(&stores[0]->now, g->bids[k]);
		for (i = 1; i < count; i++) {
			b = sim_bucket(&stores[i]->now, g->bids[k]);
			if ((a == NULL) != (b == NULL) ||
			    (a != NULL &&
				(stamp_compare(a->row.created,
				     b->row.created) != 0 ||
				    stamp_compare(a->row.dropped,
					b->row.dropped) != 0 ||
				    a->row.options != b->row.options)))
				ghost_violation(g, GHOST_DIVERGED,
				    "bucket %u differs, node 0 and %u", k, i);
		}
	}
}

/* All that is in it may be over by now, also what somebody limited who had an
 * option that another's bucket of the name has not. */
static bool
is_short(const struct ghost *g, unsigned key)
{
	return g->has_short && ghost_bucket_of(key) == GHOST_SHORT;
}

void
ghost_check_end(struct ghost *g, const struct ghost_end *e,
    const struct sim_store *const *stores, unsigned count, uint64_t over_ms)
{
	const struct record *r;
	unsigned i, k, other;
	bool forgiven;

	for (k = 0; k < GHOST_KEYS; k++) {
		other = find_other(g, stores, count, k, over_ms);
		forgiven = other > 0 && is_forgiven(g, stores, count, k);
		if (other > 0 && !forgiven)
			ghost_violation(g, GHOST_DIVERGED,
			    "key %u differs, node 0 and %u", k, other);
		for (i = 0; i < count; i++) {
			if ((r = shown(g, stores[i], k, over_ms)) == NULL)
				continue;
			check_value(g, r);
			check_undead(g, k, r);
		}
		if (forgiven || is_excused(g, e, stores[0], k) ||
		    is_short(g, k) ||
		    (e->deadline[k] != 0 && e->deadline[k] <= over_ms))
			continue;
		check_key(g, e, k, shown(g, stores[0], k, over_ms), count);
	}
	check_buckets(g, stores, count);
}

static bool
is_running(const struct sim_store *const *stores, unsigned count, uint64_t inc)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		if (stores[i]->inc == inc)
			return true;
	}
	return false;
}

static bool
is_alike(const struct ghost *g, const struct sim_store *const *stores,
    unsigned count)
{
	uint64_t digest = sim_digest(&stores[0]->now);
	bool is_same_digest = true;
	unsigned i, k;

	for (i = 1; i < count; i++)
		is_same_digest =
		    is_same_digest && sim_digest(&stores[i]->now) == digest;
	if (is_same_digest || !g->is_forgiving)
		return is_same_digest;
	for (k = 0; k < GHOST_KEYS; k++) {
		if (find_other(g, stores, count, k, 0) > 0 &&
		    !is_forgiven(g, stores, count, k))
			return false;
	}
	return true;
}

bool
ghost_is_settled(const struct ghost *g, const struct sim_store *const *stores,
    unsigned count)
{
	uint64_t first[GHOST_ORIGINS], vv[GHOST_ORIGINS];
	unsigned i, o;

	if (!is_alike(g, stores, count))
		return false;
	ghost_vector(g, stores[0], &stores[0]->now, first);
	for (i = 1; i < count; i++) {
		ghost_vector(g, stores[i], &stores[i]->now, vv);
		for (o = 0; o < g->origin_count; o++) {
			if (vv[o] != first[o] &&
			    !is_running(stores, count, g->origins[o]))
				return false;
		}
	}
	return true;
}

static void
explain_key(const struct ghost *g, const struct sim_store *s, unsigned node,
    unsigned key)
{
	const struct record *r = ghost_find(g, &s->now, key);

	if (r == NULL)
		return;
	printf("  n%u key %u: %s %llx inc %llx flags %x%s\n", node, key,
	    r->type == RECORD_PUT ? "put" : "tomb",
	    (unsigned long long)r->stamp.tick, (unsigned long long)r->stamp.inc,
	    r->flags, sim_is_killed(&s->now, r) ? " killed" : "");
}

void
ghost_explain(const struct ghost *g, const struct sim_store *const *stores,
    unsigned count)
{
	const struct sync_row *row;
	unsigned i, k, o;

	for (k = 0; k < GHOST_KEYS; k++) {
		for (i = 0; i < count; i++)
			explain_key(g, stores[i], i, k);
	}
	for (i = 0; i < count; i++)
		printf("  n%u inc %llx digest %llx head %llx\n", i,
		    (unsigned long long)stores[i]->inc,
		    (unsigned long long)sim_digest(&stores[i]->now),
		    (unsigned long long)stores[i]->now.head);
	for (o = 0; o < g->origin_count; o++) {
		printf("  o%u %llx%s:", o, (unsigned long long)g->origins[o],
		    is_running(stores, count, g->origins[o]) ? " runs" : "");
		for (i = 0; i < count; i++) {
			row = sim_row(&stores[i]->now, g->origins[o]);
			if (row != NULL)
				printf(" n%u vv %llx ann %llx pg %llx;", i,
				    (unsigned long long)row->vv,
				    (unsigned long long)row->announced,
				    (unsigned long long)row->purged);
		}
		putchar('\n');
	}
}
