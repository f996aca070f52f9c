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
};

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
		if (t->rows[i].vv > p->limit)
			t->rows[i].vv = p->limit;
	}
}

static void
repair_stamp(struct repair *p, struct stamp *stamp)
{
	if (stamp->tick > p->limit)
		*stamp = (struct stamp){ tick_next(p->s), p->s->inc };
}

static void
repair_buckets(struct repair *p)
{
	struct sim_state *t = &p->s->now;
	struct bucket *b;
	unsigned i;

	for (i = 0; i < t->bucket_count; i++) {
		b = &t->buckets[i].row;
		repair_stamp(p, &b->created);
		repair_stamp(p, &b->dropped);
		if (b->seq > p->limit)
			b->seq = tick_next(p->s);
	}
}

/* In the order they had, which is that of their new places. */
static void
repair_records(struct repair *p)
{
	struct sim_state *t = &p->s->now;
	struct record *r, *best;
	uint64_t done = p->limit, seq;
	bool is_done[SIM_RECORDS] = { false };
	unsigned i;

	for (;;) {
		best = NULL;
		for (i = 0; i < t->record_count; i++) {
			r = &t->records[i];
			if (!is_done[i] && r->seq > done &&
			    (best == NULL || r->seq < best->seq))
				best = r;
		}
		if (best == NULL)
			return;
		is_done[best - t->records] = true;
		seq = tick_next(p->s);
		best->seq = seq;
		if (best->stamp.tick <= p->limit)
			continue;
		best->stamp = (struct stamp){ seq, p->s->inc };
		best->flags &= (uint8_t) ~(RECORD_FOREIGN | RECORD_RELAY);
		if (p->s->watch.wrote != NULL)
			p->s->watch.wrote(p->s->watch.user, best);
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
	struct repair p = { s, (wall_ms + drift_ms) << 16 };
	uint64_t old = s->inc;

	s->wall_ms = wall_ms;
	if (s->now.clock <= p.limit)
		return;
	s->now.clock =
	    MUTATED(REPAIR_CLOCK_NOW) ? highest_sane(s, p.limit) : p.limit;
	s->inc = inc;
	s->start = 0;
	s->lineage_count = 0; /* log positions went backwards */
	tick_next(s);
	repair_rows(&p, old);
	repair_buckets(&p);
	repair_records(&p);
	s->now.head = s->now.clock;
	s->now.highest = 0;
	s->now.position++;
	sim_sync(s);
	sim_checkpoint(s, UINT32_MAX);
}
