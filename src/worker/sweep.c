/* SPDX-License-Identifier: ISC */
/* Dropping expired hashes: a timer that runs only while there are any with a
 * deadline. */

#include "worker/sweep.h"

#include "base/log.h"
#include "worker/deadline.h"
#include "worker/worker.h"

#define SWEEP_MIN_NS 10000000u	  /* between two looks */
#define SWEEP_STAGGER_NS 2000000u /* workers need not all come at once */
#define SWEEP_MORE_NS 1000000u	  /* more are due */
#define SWEEP_RETRY_NS 200000000u /* the store cannot be written */
#define SWEEP_FAR_MS 3600000u
#define SWEEP_LATE_MS 60000u /* a deadline may be written so late */

static uint64_t
sweep_wait(const struct worker *w, uint64_t deadline_ms)
{
	uint64_t now = engine_now_ms(w->engine);
	uint64_t wait = deadline_ms > now ? deadline_ms - now : 0;

	if (wait > SWEEP_FAR_MS)
		wait = SWEEP_FAR_MS;
	/* The view's clock has whole milliseconds. */
	return (wait + 1) * 1000000u;
}

static void
sweep_at(struct worker *w, uint64_t in_ns)
{
	unsigned slot = engine_slot(w->engine);

	loop_timer_set(w->loop, &w->sweep.timer,
	    loop_now(w->loop) + in_ns + slot % 16 * SWEEP_STAGGER_NS);
}

/* Under the lock: what was written to a hash meanwhile is not lost with it. */
static int
sweep_hashes(struct worker *w, const struct deadline_due *due, uint64_t *next)
{
	struct engine *e = w->engine;
	uint64_t end = 0;
	size_t i;
	int rc;

	for (i = 0; i < due->count; i++) {
		rc = deadline_expire_fields(e, due->scope,
		    (struct kv_slice){ due->name[i].text, due->name[i].len });
		if (rc < 0)
			return rc;
	}
	engine_lock(e);
	rc = deadline_sweep(e, due, w->witness, next);
	if (rc == KV_OK)
		rc = engine_commit(e, &end);
	if (rc < 0)
		engine_rollback(e);
	engine_unlock(e);
	return rc;
}

/* Where to look from the next time: what lies before are tombstones, which stay
 * for as long as `retention` and would be walked over each time. */
static void
sweep_seen(struct worker *w, const struct deadline_due *due)
{
	uint64_t now = engine_now_ms(w->engine);
	uint64_t *from_ms = &w->sweep.from_ms[due->scope];

	*from_ms = due->from_ms;
	if (due->entries == 0 && now > due->from_ms + SWEEP_LATE_MS)
		*from_ms = now - SWEEP_LATE_MS;
	if (now < *from_ms)
		*from_ms = 0; /* the clock was set back */
}

/* When to look again; 0: there are no deadlines in this space. */
static uint64_t
sweep_scope(struct worker *w, enum scope scope)
{
	uint64_t next = 0, wait;
	struct deadline_due due = { .scope = scope,
		.from_ms = w->sweep.from_ms[scope] };
	int rc;

	rc = deadline_collect(w->engine, &due, &next);
	if (rc == KV_OK)
		sweep_seen(w, &due);
	if (rc == KV_OK && due.entries > 0)
		rc = sweep_hashes(w, &due, &next);
	if (rc < 0)
		return SWEEP_RETRY_NS;
	if (next == 0)
		return 0;
	if (due.entries == DEADLINE_DUE)
		return SWEEP_MORE_NS;
	wait = sweep_wait(w, next);
	return wait < SWEEP_MIN_NS ? SWEEP_MIN_NS : wait;
}

/* Within the turn's view: the loop calls timers between refresh and release. */
static void
sweep_run(struct timer *timer)
{
	struct worker *w = loop_owner(timer, struct worker, sweep.timer);
	uint64_t global = sweep_scope(w, SCOPE_GLOBAL);
	uint64_t local = sweep_scope(w, SCOPE_LOCAL);

	/* None is left: sweep_soon begins again. */
	if (global == 0 && local == 0)
		return;
	if (global == 0 || (local != 0 && local < global))
		global = local;
	sweep_at(w, global);
}

/* ---- of records that we wrote ---- */

static void
sweep_own(struct timer *timer)
{
	struct worker *w = loop_owner(timer, struct worker, sweep.own);

	w->sweep.own_ms = 0;
	if (engine_expire_own(w->engine) < 0)
		log_warn("sweep failed=yes");
}

void
sweep_turn(struct worker *w)
{
	uint64_t next = engine_next_deadline(w->engine);

	if (next == 0 || (w->sweep.own.is_set && w->sweep.own_ms <= next))
		return;
	w->sweep.own_ms = next;
	loop_timer_set(w->loop, &w->sweep.own,
	    loop_now(w->loop) + sweep_wait(w, next));
}

void
sweep_start(struct worker *w)
{
	w->sweep.timer.expired = sweep_run;
	w->sweep.own.expired = sweep_own;
	sweep_at(w, SWEEP_MIN_NS);
}

void
sweep_soon(struct worker *w, uint64_t deadline_ms)
{
	uint64_t due = loop_now(w->loop) + sweep_wait(w, deadline_ms);

	size_t i;

	for (i = 0; i < 2; i++)
		if (deadline_ms < w->sweep.from_ms[i])
			w->sweep.from_ms[i] = deadline_ms;
	if (!w->sweep.timer.is_set || due < w->sweep.timer.due_ns)
		loop_timer_set(w->loop, &w->sweep.timer, due);
}

void
sweep_stop(struct worker *w)
{
	loop_timer_clear(w->loop, &w->sweep.timer);
	loop_timer_clear(w->loop, &w->sweep.own);
}
