/* SPDX-License-Identifier: ISC */
/* Announcements that nobody keeps.  The end of a run that was announced and then
 * lost everywhere, to a power cut say, would be a gap for ever, and no tombstone
 * younger than it could go (store: may be all that keeps out an older value).
 * So one that is RETENTIONS old, and that no linked peer can fill, is taken
 * back: `announced` falls to what we have.  Nothing is claimed by that.  Who
 * comes with it after all announces it again. */

#include "sync/core.h"

#include <inttypes.h>
#include <stdio.h>

#define RETENTIONS 4
#define LOOK_MS (60 * 60 * 1000) /* peers have had time to link */

static bool
is_filled_by_link(const struct replica *r, const struct sync_row *row)
{
	const struct replica_link *l;

	for (l = r->links; l != NULL; l = l->next)
		if (l->state == LINK_UP &&
		    ticks_get(&l->vv, row->inc) > row->vv)
			return true;
	return false;
}

static bool
is_given_up(const struct replica *r, const struct sync_row *row)
{
	uint64_t age = RETENTIONS * r->config.retention_ms;

	if (row->inc == r->config.inc || row->announced <= row->vv)
		return false;
	if ((row->announced >> 16) + age > r->now.wall_ms &&
	    !MUTATED(FORGET_EARLY))
		return false;
	return !is_filled_by_link(r, row);
}

static int
forget(struct replica *r, const struct sync_row *known)
{
	struct replica_event *e;
	struct sync_row *row;
	int rc;

	if ((rc = commit_row(r, known->inc, &row)) < 0)
		return rc;
	row->announced = row->vv;
	e = core_event(r, REPLICA_GIVEN_UP, NULL);
	e->inc = known->inc;
	snprintf(e->text, sizeof(e->text),
	    "run %016" PRIx64 " had written for %" PRIu64
	    " ms more than any node has, long ago",
	    known->inc, (known->announced - known->vv) >> 16);
	return KV_OK;
}

int
forget_timers(struct replica *r, uint64_t *next_ms)
{
	uint64_t pause = r->config.retention_ms;
	size_t i;
	int rc = KV_OK;

	if (pause == 0)
		return KV_OK;
	if (pause > LOOK_MS)
		pause = LOOK_MS;
	if (MUTATED(FORGET_EARLY))
		pause = 1000;
	if (r->forget_ms == 0)
		r->forget_ms = r->now.mono_ms + pause;
	if (r->now.mono_ms >= r->forget_ms) {
		r->forget_ms = r->now.mono_ms + pause;
		if (r->store.ops->doubts(r->store.self))
			pause = 0; /* nothing goes by time */
		for (i = 0; i < r->vector.count && rc == KV_OK && pause > 0;
		     i++)
			if (is_given_up(r, &r->vector.rows[i].row))
				rc = forget(r, &r->vector.rows[i].row);
	}
	core_sooner(next_ms, r->forget_ms);
	return rc;
}
