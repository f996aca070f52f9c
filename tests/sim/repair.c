/* SPDX-License-Identifier: ISC */
/* kv repair-clock, as the array store does it: after a far-future clock was
 * corrected.  Every peer refused those stamps, so they can be made anew. */

#include <string.h>

#include "state.h"
#include "sync/mutate.h"
#include "tick.h"

struct repair {
	struct sim_store *s;
	uint64_t limit;
	uint64_t *ticks; /* all above it, in order, each once */
	unsigned count;
	uint64_t first; /* what takes the place of ticks[0] */
};

/* ---- ticks ---- */

static void
note_tick(struct repair *p, uint64_t tick)
{
	unsigned i = p->count;

	if (tick <= p->limit)
		return;
	while (i > 0 && p->ticks[i - 1] > tick)
		i--;
	if (i > 0 && p->ticks[i - 1] == tick)
		return;
	memmove(p->ticks + i + 1, p->ticks + i,
	    (p->count - i) * sizeof(*p->ticks));
	p->ticks[i] = tick;
	p->count++;
}

static void
note_ticks(struct repair *p)
{
	const struct sim_state *t = &p->s->now;
	unsigned i;

	for (i = 0; i < t->bucket_count; i++) {
		note_tick(p, t->buckets[i].row.created.tick);
		note_tick(p, t->buckets[i].row.dropped.tick);
		note_tick(p, t->buckets[i].row.seq);
	}
	for (i = 0; i < t->record_count; i++) {
		note_tick(p, t->records[i].stamp.tick);
		note_tick(p, t->records[i].seq);
	}
}

static bool
lower(const struct repair *p, uint64_t *tick)
{
	unsigned i = 0;

	if (*tick <= p->limit)
		return false;
	while (p->ticks[i] != *tick)
		i++;
	*tick = p->first + i;
	return true;
}

static bool
lower_stamp(const struct repair *p, struct stamp *s)
{
	if (!lower(p, &s->tick))
		return false;
	s->inc = p->s->inc;
	return true;
}

/* ---- rows ---- */

static void
clip(uint64_t *tick, uint64_t limit)
{
	if (*tick > limit)
		*tick = limit;
}

static void
repair_rows(struct repair *p, uint64_t old)
{
	struct sim_state *t = &p->s->now;
	struct sync_row *row;
	unsigned i;

	row = state_row(t, old);
	row->vv = p->limit;
	row->uid = p->s->uid;
	if (row->announced < row->vv)
		row->announced = row->vv;
	for (i = 0; i < t->row_count; i++) {
		clip(&t->rows[i].vv, p->limit);
		clip(&t->rows[i].announced, p->limit);
		clip(&t->rows[i].purged, p->limit);
	}
}

static void
repair_buckets(struct repair *p)
{
	struct sim_state *t = &p->s->now;
	struct bucket *b;
	unsigned i;

	for (i = 0; i < t->bucket_count; i++) {
		b = &t->buckets[i].row;
		lower_stamp(p, &b->created);
		lower_stamp(p, &b->dropped);
		lower(p, &b->seq);
	}
}

static void
repair_records(struct repair *p)
{
	struct sim_state *t = &p->s->now;
	struct record *r, was;
	unsigned i;

	for (i = 0; i < t->record_count; i++) {
		r = &t->records[i];
		was = *r;
		lower(p, &r->seq);
		if (!lower_stamp(p, &r->stamp))
			continue;
		r->flags &= (uint8_t) ~(RECORD_FOREIGN | RECORD_RELAY);
		if (p->s->watch.wrote != NULL)
			p->s->watch.wrote(p->s->watch.user, r, &was);
	}
}

static uint64_t
highest_sane(const struct sim_store *s, uint64_t limit)
{
	const struct sim_state *t = &s->now;
	uint64_t best = t->highest <= limit ? t->highest : 0;
	unsigned i;

	for (i = 0; i < t->row_count; i++) {
		if (t->rows[i].vv <= limit && t->rows[i].vv > best)
			best = t->rows[i].vv;
	}
	for (i = 0; i < t->record_count; i++) {
		if (t->records[i].stamp.tick <= limit &&
		    t->records[i].stamp.tick > best)
			best = t->records[i].stamp.tick;
	}
	return best;
}

void
sim_repair_clock(struct sim_store *s, uint64_t inc, uint64_t wall_ms,
    uint64_t drift_ms)
{
	struct repair p = { .s = s, .limit = (wall_ms + drift_ms) << 16 };
	const struct sim_state *t = &s->now;
	uint64_t old = s->inc;

	s->wall_ms = wall_ms;
	if (s->now.clock <= p.limit)
		return;
	s->now.clock =
	    MUTATED(REPAIR_CLOCK_NOW) ? highest_sane(s, p.limit) : p.limit;
	s->inc = inc;
	s->start = 0;
	s->lineage_count = 0; /* log positions went backwards */
	p.ticks = (uint64_t *)(void *)arena_take(s->arena,
	    (2 * t->record_count + 3 * t->bucket_count) * sizeof(*p.ticks));
	note_ticks(&p);
	p.first = tick_next(s) + 1;
	s->now.clock = p.first + p.count;
	repair_rows(&p, old);
	repair_buckets(&p);
	repair_records(&p);
	s->now.head = s->now.clock;
	s->now.highest = 0;
	s->well_seq = s->now.clock;
	s->now.position++;
	sim_sync(s);
	sim_checkpoint(s, UINT32_MAX);
}
