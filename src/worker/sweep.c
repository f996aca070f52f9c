/* SPDX-License-Identifier: ISC */
/* Dropping expired hashes: a timer that runs only while there are any with a
 * deadline. */

#include "worker/sweep.h"

#include "base/rng.h"
#include "worker/deadline.h"
#include "worker/worker.h"

#define SWEEP_MIN_NS 100000000u	   /* between two looks */
#define SWEEP_JITTER_NS 400000000u /* workers need not all come at once */
#define SWEEP_MORE_NS 1000000u	   /* more are due */
#define SWEEP_FAR_MS 3600000u

static void
sweep_at(struct worker *w, uint64_t in_ns)
{
	loop_timer_set(w->loop, &w->sweep.timer,
	    loop_now(w->loop) + in_ns + rng_u64() % SWEEP_JITTER_NS);
}

/* Under the lock: what was written to a hash meanwhile is not lost with it. */
static int
sweep_hashes(struct engine *e, const struct deadline_due *due, uint64_t *next)
{
	uint64_t end = 0;
	size_t i;
	int rc;

	for (i = 0; i < due->count; i++) {
		rc = deadline_expire_fields(e,
		    (struct kv_slice){ due->name[i].text, due->name[i].len });
		if (rc < 0)
			return rc;
	}
	engine_lock(e);
	rc = deadline_sweep(e, (unsigned)due->entries, next);
	if (rc == KV_OK)
		rc = engine_commit(e, &end);
	if (rc < 0)
		engine_rollback(e);
	engine_unlock(e);
	return rc;
}

/* Within the turn's view: the loop calls timers between refresh and release. */
static void
sweep_run(struct timer *timer)
{
	struct worker *w = loop_owner(timer, struct worker, sweep.timer);
	uint64_t now = engine_now_ms(w->engine), next = 0, wait;
	struct deadline_due due;
	int rc;

	rc = deadline_collect(w->engine, &due, &next);
	if (rc == KV_OK && due.entries > 0)
		rc = sweep_hashes(w->engine, &due, &next);
	if (rc == KV_OK && next == 0)
		return; /* none is left: sweep_soon begins again */
	wait = next > now ? next - now : 0;
	if (wait > SWEEP_FAR_MS)
		wait = SWEEP_FAR_MS;
	if (due.entries == DEADLINE_DUE && rc == KV_OK)
		loop_timer_set(w->loop, timer,
		    loop_now(w->loop) + SWEEP_MORE_NS);
	else
		sweep_at(w, wait * 1000000u + SWEEP_MIN_NS);
}

void
sweep_start(struct worker *w)
{
	w->sweep.timer.expired = sweep_run;
	sweep_at(w, SWEEP_MIN_NS);
}

void
sweep_soon(struct worker *w)
{
	sweep_at(w, SWEEP_MIN_NS);
}

void
sweep_stop(struct worker *w)
{
	loop_timer_clear(w->loop, &w->sweep.timer);
}
