/* SPDX-License-Identifier: ISC */
/* Every write and every purge, and what must be true of all stores. */

#include "ghost.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "state.h"

const char *const ghost_names[GHOST_VIOLATION_COUNT] = {
#define X(name, text) [name] = (text),
	GHOST_VIOLATIONS(X)
#undef X
};

void
ghost_reset(struct ghost *g)
{
	unsigned i;

	g->origin_count = g->write_count = g->purge_count = 0;
	memset(g->table, 0, sizeof(g->table));
	memset(g->purged, 0, sizeof(g->purged));
	memset(g->violations, 0, sizeof(g->violations));
	g->why[0] = '\0';
	for (i = 0; i < GHOST_BUCKETS; i++)
		g->bids[i] = sim_bucket_id(ghost_bucket_name(i));
}

bool
ghost_is_violated(const struct ghost *g)
{
	return g->why[0] != '\0';
}

void
ghost_violation(struct ghost *g, enum ghost_violation v, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (g->why[0] == '\0') {
		n = snprintf(g->why, sizeof(g->why), "%s: ", ghost_names[v]);
		va_start(ap, fmt);
		vsnprintf(g->why + n, sizeof(g->why) - (size_t)n, fmt, ap);
		va_end(ap);
	}
	g->violations[v]++;
}

/* ---- names -------------------------------------------------------------- */

struct kv_slice
ghost_bucket_name(unsigned bucket)
{
	static const char names[] = "abc";

	return (struct kv_slice){ names + bucket, 1 };
}

struct kv_slice
ghost_key_name(unsigned key)
{
	static const char names[] = "k00k01k02k03k04k05k06k07k08"
				    "k09k10k11k12k13k14k15k16k17";

	return (struct kv_slice){ names + (size_t)3 * key, 3 };
}

static unsigned
key_number(struct kv_slice key)
{
	return (unsigned)(key.data[1] - '0') * 10 +
	    (unsigned)(key.data[2] - '0');
}

const struct record *
ghost_find(const struct ghost *g, const struct sim_state *t, unsigned key)
{
	return sim_find(t, g->bids[ghost_bucket_of(key)], ghost_key_name(key));
}

/* ---- origins ------------------------------------------------------------ */

static uint8_t *
origin_slot(struct ghost *g, uint64_t inc)
{
	uint8_t at = (uint8_t)inc;

	while (g->table[at] != 0 && g->origins[g->table[at] - 1] != inc)
		at++;
	return &g->table[at];
}

void
ghost_origin(struct ghost *g, uint64_t inc)
{
	uint8_t *slot = origin_slot(g, inc);

	if (*slot != 0)
		return;
	assert(g->origin_count < GHOST_ORIGINS);
	g->origins[g->origin_count++] = inc;
	*slot = (uint8_t)g->origin_count;
}

/* The vector of a store, by origin; its own run's to its clock. */
static void
vector(const struct ghost *g, const struct sim_state *t, uint64_t inc,
    uint64_t own, uint64_t vv[GHOST_ORIGINS])
{
	struct ghost *any = (struct ghost *)(uintptr_t)g;
	uint8_t *slot;
	unsigned i;

	memset(vv, 0, GHOST_ORIGINS * sizeof(vv[0]));
	for (i = 0; i < t->row_count; i++) {
		slot = origin_slot(any, t->rows[i].inc);
		if (*slot != 0)
			vv[*slot - 1] = t->rows[i].vv;
	}
	slot = origin_slot(any, inc);
	if (*slot != 0 && vv[*slot - 1] < own)
		vv[*slot - 1] = own;
}

/* ---- what happens -------------------------------------------------------- */

void
ghost_wrote(struct ghost *g, const struct record *r)
{
	struct ghost_write *w;

	if (g->write_count == GHOST_WRITES)
		return;
	w = &g->writes[g->write_count++];
	w->tick = r->stamp.tick;
	w->stamp = r->stamp;
	w->origin = (uint8_t)(*origin_slot(g, r->stamp.inc) - 1);
	w->key = (uint8_t)key_number(r->key);
	w->value = r->value;
}

void
ghost_purged(struct ghost *g, unsigned node, uint64_t clock,
    const struct record *r, const struct sim_state *by, uint64_t inc)
{
	unsigned key = key_number(r->key);
	struct ghost_purge *p;

	if (stamp_compare(g->purged[key], r->stamp) < 0)
		g->purged[key] = r->stamp;
	if (g->purge_count == GHOST_PURGES)
		return;
	p = &g->purges[g->purge_count++];
	p->is_void = false;
	p->key = key;
	p->node = node;
	p->clock = clock;
	p->stamp = r->stamp;
	vector(g, by, inc, by->clock, p->vv);
}

void
ghost_unpurge(struct ghost *g, unsigned node, uint64_t clock)
{
	unsigned i;

	for (i = 0; i < g->purge_count; i++) {
		if (g->purges[i].node == node && g->purges[i].clock > clock)
			g->purges[i].is_void = true;
	}
}

/* ---- I1 ----------------------------------------------------------------- */

/* Is the state of the write's key that write or newer, or excused? */
static bool
is_covered(const struct ghost *g, const struct ghost_write *w,
    const struct record *r, struct stamp dropped)
{
	if (r != NULL && stamp_compare(r->stamp, w->stamp) >= 0)
		return true;
	if (stamp_compare(dropped, w->stamp) >= 0)
		return true;
	return stamp_compare(g->purged[w->key], w->stamp) >= 0;
}

void
ghost_check_claims(struct ghost *g, unsigned node, const struct sim_store *s,
    uint64_t sane)
{
	const struct record *records[GHOST_KEYS], *r;
	struct stamp dropped[GHOST_BUCKETS];
	const struct sim_bucket *b;
	uint64_t vv[GHOST_ORIGINS];
	const struct ghost_write *w;
	unsigned i;

	for (i = 0; i < GHOST_KEYS; i++)
		records[i] = ghost_find(g, &s->now, i);
	for (i = 0; i < GHOST_BUCKETS; i++) {
		b = sim_bucket(&s->now, g->bids[i]);
		dropped[i] = b != NULL ? b->row.dropped : (struct stamp){ 0 };
	}
	vector(g, &s->now, s->inc, s->now.clock, vv);
	for (i = 0; i < g->write_count; i++) {
		w = &g->writes[i];
		if (w->tick > vv[w->origin] || (sane != 0 && w->tick > sane))
			continue;
		r = records[w->key];
		if (is_covered(g, w, r, dropped[ghost_bucket_of(w->key)]))
			continue;
		ghost_violation(g, GHOST_CLAIM,
		    "node %u claims o%u up to %llx but lacks key %u of %llx",
		    node, w->origin, (unsigned long long)vv[w->origin], w->key,
		    (unsigned long long)w->tick);
		return;
	}
}

/* ---- the end -------------------------------------------------------------- */

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
		vector(g, &stores[i]->now, stores[i]->inc, stores[i]->now.clock,
		    e->node[i].vv);
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
	uint8_t *slot = origin_slot((struct ghost *)(uintptr_t)g, stamp.inc);
	unsigned i;

	for (i = 0; i < count; i++) {
		if (*slot == 0 || e->node[i].vv[*slot - 1] < stamp.tick)
			return true;
	}
	return false;
}

static void
check_undead(struct ghost *g, unsigned key, const struct record *r)
{
	const struct ghost_purge *p;
	uint8_t *slot = origin_slot(g, r->stamp.inc);
	unsigned i;

	for (i = 0; i < g->purge_count && *slot != 0; i++) {
		p = &g->purges[i];
		if (!p->is_void && p->key == key &&
		    stamp_compare(r->stamp, p->stamp) < 0 &&
		    p->vv[*slot - 1] >= r->stamp.tick)
			ghost_violation(g, GHOST_ZOMBIE,
			    "key %u is back although node %u, who purged its "
			    "delete, had seen it",
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
	check_undead(g, key, r);
}

static bool
is_same(const struct record *a, const struct record *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return stamp_compare(a->stamp, b->stamp) == 0 &&
	    a->deadline == b->deadline && slice_equal(a->value, b->value);
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

void
ghost_check_end(struct ghost *g, const struct ghost_end *e,
    const struct sim_store *const *stores, unsigned count, uint64_t over_ms)
{
	const struct record *first, *r;
	unsigned i, k;

	for (k = 0; k < GHOST_KEYS; k++) {
		first = ghost_find(g, &stores[0]->now, k);
		if (!is_shown(&stores[0]->now, first, over_ms))
			first = NULL;
		if (first != NULL)
			check_value(g, first);
		for (i = 1; i < count; i++) {
			r = ghost_find(g, &stores[i]->now, k);
			if (!is_shown(&stores[i]->now, r, over_ms))
				r = NULL;
			if (!is_same(first, r))
				ghost_violation(g, GHOST_DIVERGED,
				    "key %u differs, node 0 and %u", k, i);
		}
		if (is_excused(g, e, stores[0], k) ||
		    (e->deadline[k] != 0 && e->deadline[k] <= over_ms))
			continue;
		check_key(g, e, k, first, count);
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

bool
ghost_is_settled(const struct ghost *g, const struct sim_store *const *stores,
    unsigned count)
{
	uint64_t first[GHOST_ORIGINS], vv[GHOST_ORIGINS], digest;
	unsigned i, o;

	digest = sim_digest(&stores[0]->now);
	for (i = 1; i < count; i++) {
		if (sim_digest(&stores[i]->now) != digest)
			return false;
	}
	vector(g, &stores[0]->now, stores[0]->inc, 0, first);
	for (i = 1; i < count; i++) {
		vector(g, &stores[i]->now, stores[i]->inc, 0, vv);
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
