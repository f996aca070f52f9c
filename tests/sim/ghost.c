/* SPDX-License-Identifier: ISC */
/* Every write and every purge, and what must be true of all stores. */

#include "ghost.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "state.h"

#define EMPTY_KEY 6 /* the first of the second bucket */

const char *const ghost_names[GHOST_VIOLATION_COUNT] = {
#define X(name, text) [name] = (text),
	GHOST_VIOLATIONS(X)
#undef X
};

void
ghost_reset(struct ghost *g, bool is_forgiving)
{
	unsigned i;

	g->is_forgiving = is_forgiving;
	g->origin_count = g->write_count = g->purge_count = 0;
	memset(g->table, 0, sizeof(g->table));
	memset(g->purged, 0, sizeof(g->purged));
	memset(g->forgotten, 0, sizeof(g->forgotten));
	memset(g->given_up, 0, sizeof(g->given_up));
	memset(g->missed, 0, sizeof(g->missed));
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

	return (struct kv_slice){ names + (size_t)3 * key,
		key == EMPTY_KEY ? 0 : 3 };
}

unsigned
ghost_key_number(struct kv_slice key)
{
	if (key.len == 0)
		return EMPTY_KEY;
	return (unsigned)(key.data[1] - '0') * 10 +
	    (unsigned)(key.data[2] - '0');
}

const struct record *
ghost_find(const struct ghost *g, const struct sim_state *t, unsigned key)
{
	return sim_find(t, g->bids[ghost_bucket_of(key)], ghost_key_name(key));
}

/* ---- origins ------------------------------------------------------------ */

static unsigned
origin_slot(const struct ghost *g, uint64_t inc)
{
	uint16_t at = inc % GHOST_TABLE;

	while (g->table[at] != 0 && g->origins[g->table[at] - 1] != inc)
		at = (uint16_t)(at + 1) % GHOST_TABLE;
	return at;
}

int
ghost_number(const struct ghost *g, uint64_t inc)
{
	return g->table[origin_slot(g, inc)] - 1;
}

void
ghost_origin(struct ghost *g, uint64_t inc)
{
	unsigned slot = origin_slot(g, inc);

	if (g->table[slot] != 0)
		return;
	assert(g->origin_count < GHOST_ORIGINS);
	g->origins[g->origin_count++] = inc;
	g->table[slot] = (uint16_t)g->origin_count;
}

void
ghost_vector(const struct ghost *g, const struct sim_store *s,
    const struct sim_state *t, uint64_t vv[GHOST_ORIGINS])
{
	unsigned i;
	int o;

	memset(vv, 0, g->origin_count * sizeof(vv[0]));
	for (i = 0; i < t->row_count; i++) {
		if ((o = ghost_number(g, t->rows[i].inc)) >= 0)
			vv[o] = t->rows[i].vv;
	}
	if ((o = ghost_number(g, s->inc)) >= 0 && vv[o] < t->clock)
		vv[o] = t->clock;
}

/* ---- what happens -------------------------------------------------------- */

void
ghost_wrote(struct ghost *g, const struct record *r, const struct record *was,
    uint64_t own_inc)
{
	struct ghost_write *w;

	if (g->write_count == GHOST_WRITES)
		return;
	w = &g->writes[g->write_count++];
	w->tick = r->stamp.tick;
	w->stamp = r->stamp;
	w->origin = (uint16_t)ghost_number(g, r->stamp.inc);
	w->key = (uint8_t)ghost_key_number(r->key);
	w->value = r->value;
	w->tells_prev = r->marks & RECORD_PREV;
	ghost_wrote_over(g, w, was, own_inc);
}

void
ghost_purged(struct ghost *g, unsigned node, const struct record *r,
    const struct sim_store *s)
{
	unsigned key = ghost_key_number(r->key), i;
	const struct sync_row *row;
	struct ghost_purge *p;
	int o;

	if (stamp_compare(g->purged[key], r->stamp) < 0)
		g->purged[key] = r->stamp;
	if (g->purge_count == GHOST_PURGES)
		return;
	p = &g->purges[g->purge_count++];
	p->is_void = false;
	p->key = key;
	p->node = node;
	p->clock = s->now.clock;
	p->origin_count = g->origin_count;
	p->stamp = r->stamp;
	ghost_vector(g, s, &s->tree, p->vv);
	for (i = 0; i < s->tree.row_count; i++) {
		row = &s->tree.rows[i];
		if ((o = ghost_number(g, row->inc)) >= 0 &&
		    p->vv[o] < row->announced)
			p->vv[o] = row->announced;
	}
	for (i = 0; i < g->origin_count; i++) {
		if (p->vv[i] < g->missed[node][i])
			p->vv[i] = g->missed[node][i];
	}
}

void
ghost_gave_up(struct ghost *g, unsigned node, struct stamp announced,
    bool in_time)
{
	int o = ghost_number(g, announced.inc);
	uint64_t *at;

	if (o < 0)
		return;
	at = in_time ? &g->given_up[node][o] : &g->missed[node][o];
	if (*at < announced.tick)
		*at = announced.tick;
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

static bool
is_stored(const struct sim_state *t, const struct ghost *g,
    const struct ghost_write *w)
{
	const struct record *r = ghost_find(g, t, w->key);

	return r != NULL && stamp_compare(r->stamp, w->stamp) == 0;
}

static bool
is_stored_in(const struct sim_store *s, const struct ghost *g,
    const struct ghost_write *w)
{
	return is_stored(&s->now, g, w) || is_stored(&s->synced, g, w) ||
	    is_stored(&s->tree, g, w);
}

/* Does b forbid whatever a forbids? */
static bool
says_more(const struct ghost_purge *b, const struct ghost_purge *a)
{
	unsigned o;

	if (b->is_void || b->key != a->key ||
	    b->origin_count < a->origin_count ||
	    stamp_compare(b->stamp, a->stamp) < 0)
		return false;
	for (o = 0; o < a->origin_count; o++) {
		if (b->vv[o] < a->vv[o])
			return false;
	}
	return true;
}

static bool
is_outdone(const struct ghost *g, unsigned at, const bool gone[])
{
	unsigned i;

	for (i = 0; i < g->purge_count; i++) {
		if (i != at && !gone[i] &&
		    says_more(&g->purges[i], &g->purges[at]))
			return true;
	}
	return g->purges[at].is_void;
}

void
ghost_forget(struct ghost *g, const struct sim_store *const *stores,
    unsigned count)
{
	bool gone[GHOST_PURGES] = { false };
	unsigned i, k, n = 0;

	for (i = 0; i < g->write_count; i++) {
		for (k = 0; k < count; k++) {
			if (is_stored_in(stores[k], g, &g->writes[i]))
				break;
		}
		if (k < count)
			g->writes[n++] = g->writes[i];
	}
	g->write_count = n;
	for (i = 0; i < g->purge_count; i++)
		gone[i] = is_outdone(g, i, gone);
	for (i = 0, n = 0; i < g->purge_count; i++) {
		if (!gone[i] && i != n)
			g->purges[n] = g->purges[i];
		n += !gone[i];
	}
	g->purge_count = n;
}

void
ghost_move(struct ghost *g, struct arena *into)
{
	unsigned i;

	for (i = 0; i < g->write_count; i++)
		g->writes[i].value = arena_copy(into, g->writes[i].value);
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
	return stamp_compare(g->purged[w->key], w->stamp) >= 0 ||
	    stamp_compare(g->forgotten[w->key], w->stamp) >= 0;
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
	ghost_vector(g, s, &s->now, vv);
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
