/* SPDX-License-Identifier: ISC */
/* Dropping expired hashes: a timer that runs only while there are any with a
 * deadline. */

#include "worker/sweep.h"

#include "base/rng.h"
#include "worker/deadline.h"
#include "worker/worker.h"

#define SWEEP_BATCH 256
#define SWEEP_MIN_NS 100000000u	   /* between two looks */
#define SWEEP_JITTER_NS 400000000u /* workers need not all come at once */
#define SWEEP_FAR_MS 3600000u

static void
sweep_at(struct worker *w, uint64_t in_ns)
{
	loop_timer_set(w->loop, &w->sweep.timer,
	    loop_now(w->loop) + in_ns + rng_u64() % SWEEP_JITTER_NS);
}

/* Within the turn's view: the loop calls timers between refresh and release. */
static void
sweep_run(struct timer *timer)
{
	struct worker *w = loop_owner(timer, struct worker, sweep.timer);
	uint64_t now = engine_now_ms(w->engine), next = 0, end = 0, wait;
	int rc;

	rc = deadline_sweep(w->engine, SWEEP_BATCH, &next);
	if (rc == KV_OK && engine_staged(w->engine) > 0)
		rc = engine_commit(w->engine, &end);
	if (rc < 0)
		engine_rollback(w->engine);
	if (rc == KV_OK && next == 0)
		return; /* none is left: sweep_soon begins again */
	wait = next > now ? next - now : 0;
	if (wait > SWEEP_FAR_MS)
		wait = SWEEP_FAR_MS;
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
