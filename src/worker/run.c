/* SPDX-License-Identifier: ISC */
/* Batches: staging, committing, undoing, running again. */

#include "worker/run.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "worker/ahead.h"
#include "worker/commands.h"
#include "worker/measure.h"
#include "worker/tell.h"

#define RUN_STAGED_MAX (1u << 20)
#define RUN_OUTPUT_MAX (512u << 10)
#define RUN_TRIES 3

static struct output *
run_output(struct run *r)
{
	return &r->worker->serve.output;
}

static void
run_unlock(struct run *r)
{
	if (!r->has_lock)
		return;
	engine_unlock(r->worker->engine);
	r->has_lock = false;
	r->locked = 0;
}

/* There is no way on: the store, or memory, fails us. */
static void
run_give_up(struct run *r, int rc)
{
	log_error("close id=%llu reason=\"%s\"",
	    (unsigned long long)r->session->id, err_text(rc));
	r->stop = true;
	conn_close(&r->session->conn);
}

/* See the newest state; what output refers to may go with the old view. */
static void
run_refresh(struct run *r)
{
	int rc;

	if ((rc = output_settle(run_output(r))) < 0 ||
	    (rc = engine_refresh(r->worker->engine)) < 0)
		run_give_up(r, rc);
}

/* The log is full: the connection is not read until there is room. */
static void
run_pause(struct run *r)
{
	struct worker *w = r->worker;

	r->stop = true;
	w->paused++;
	if (!w->full)
		w->full_for = r->session->id;
	w->full = true;
	conn_hold(&r->session->conn, CONN_HOLD_OWNER);
	/* Lines of requests before the batch: the next run is another's. */
	tell_flush(w);
}

static void
run_rewind(struct run *r, int rc)
{
	size_t end = r->done;

	engine_rollback(r->worker->engine);
	run_unlock(r);
	r->worker->made_bucket = false;
	r->at = r->batch_at;
	output_rewind(run_output(r), r->batch_place);
	tell_rewind(r->worker, r->batch_told);
	r->open = false;
	r->stop = false;
	memset(&r->session->parser, 0, sizeof(r->session->parser));
	if (rc == KV_ESTALE) {
		if (++r->tries > RUN_TRIES)
			r->force_to = end;
		run_refresh(r);
	} else if (rc == KV_EAGAIN) {
		run_pause(r);
	} else {
		r->deny_from = r->batch_at;
		r->deny_to = end;
		r->deny_why = rc;
	}
}

/* Append what is staged.  False: it was rewound. */
static bool
run_commit(struct run *r)
{
	struct worker *w = r->worker;
	uint64_t end = 0, before = engine_written(w->engine);
	int rc;

	if ((rc = tell_commit(w, &end)) < 0) {
		run_rewind(r, rc);
		return false;
	}
	if (engine_written(w->engine) != before)
		r->session->written = engine_written(w->engine);
	if (end > r->need)
		r->need = end;
	r->open = false;
	r->tries = 0;
	w->made_bucket = false;
	return true;
}

/* Commit what is staged, then see the newest state and keep it the newest. */
static bool
run_lock(struct run *r, struct call *c, unsigned needs)
{
	unsigned count = 1;
	int rc;

	if (!run_commit(r))
		return false;
	if (needs & CALL_ATOMIC)
		count = ahead_warm(r, c);
	if ((rc = output_settle(run_output(r))) < 0) {
		run_give_up(r, rc);
		return false;
	}
	engine_lock(r->worker->engine);
	r->has_lock = true;
	r->locked = count;
	return true;
}

/* A batch begins with this request, if none has begun. */
static void
run_open(struct run *r)
{
	if (r->open)
		return;
	r->open = true;
	r->batch_at = r->start;
	r->batch_place = output_here(run_output(r));
	r->batch_told = tell_place(r->worker);
}

static void
run_failed(struct run *r, struct call *c, int rc, size_t staged)
{
	bool half_done = engine_staged(r->worker->engine) != staged;

	if (half_done || rc == KV_EAGAIN || rc == KV_ESTALE) {
		run_open(r);
		r->done = r->at;
		run_rewind(r, rc);
		if (half_done && rc != KV_EAGAIN && rc != KV_ESTALE) {
			/* Only this one is to blame. */
			r->deny_from = r->start;
			r->deny_to = r->start + 1;
		}
		return;
	}
	call_failed(c, rc);
}

static bool
run_is_denied(const struct run *r, unsigned needs)
{
	return needs & CALL_WRITES && r->start >= r->deny_from &&
	    r->start < r->deny_to;
}

/* CLIENT REPLY OFF and SKIP. */
static void
run_mute(struct run *r, struct output_place place, unsigned needs)
{
	struct session *s = r->session;

	if (s->flags & (SESSION_MUTE | SESSION_SKIP) && !(needs & CALL_PUSHES))
		output_rewind(run_output(r), place);
	s->flags &= (uint16_t)~SESSION_SKIP;
	if (s->flags & SESSION_SKIP_NEXT)
		s->flags ^= SESSION_SKIP_NEXT | SESSION_SKIP;
}

/* One look at the clock a request: from the end of the one before. */
static void
run_clock(struct run *r, struct call *c)
{
	uint64_t now = clock_mono_ns();

	measure_done(c, now - r->clock_ns);
	r->clock_ns = now;
}

void
run_call(struct run *r, struct call *c, unsigned needs, call_handler *handler)
{
	struct output_place place;
	size_t staged;
	bool denied;
	int rc;

	if (needs & CALL_WRITES && r->worker->full) {
		run_open(r);
		run_rewind(r, KV_EAGAIN);
		return;
	}
	if (needs & (CALL_SETTLED | CALL_SESSION) && !run_commit(r))
		return;
	if (!r->has_lock && (needs & CALL_ATOMIC || r->start < r->force_to) &&
	    !run_lock(r, c, needs))
		return;
	place = output_here(run_output(r));
	if (needs & CALL_WRITES)
		run_open(r);
	staged = engine_staged(r->worker->engine);
	r->worker->blame.what = NULL;
	if (r->clock_ns == 0)
		r->clock_ns = clock_mono_ns();
	call_because(c);
	denied = run_is_denied(r, needs);
	rc = denied ? r->deny_why : handler(c);
	engine_because(r->worker->engine, 0);
	if (rc < 0) {
		output_rewind(run_output(r), place);
		run_failed(r, c, rc, staged);
		if (r->at <= r->start || conn_is_dead(&r->session->conn))
			return; /* rewound */
	}
	if (needs & CALL_TOLD && !denied && r->at > r->start)
		tell_command(c);
	r->done = r->at;
	run_clock(r, c);
	/* What changed the session is not done twice: the batch ends here. */
	if (needs & CALL_SESSION && !run_commit(r))
		return;
	if (r->session->flags)
		run_mute(r, place, needs);
	if (r->has_lock && --r->locked == 0 && run_commit(r))
		run_unlock(r);
}

void
run_breathe(struct run *r)
{
	if ((engine_staged(r->worker->engine) > RUN_STAGED_MAX ||
		tell_place(r->worker) > TELL_BATCH_MAX) &&
	    !run_commit(r))
		return;
	if (output_size(run_output(r)) <= RUN_OUTPUT_MAX)
		return;
	if (!run_commit(r))
		return;
	run_unlock(r);
	run_emit(r);
	if (r->session->conn.flags & (CONN_HOLD_OUTPUT | CONN_DEAD))
		r->stop = true;
}

bool
run_finish(struct run *r)
{
	if (conn_is_dead(&r->session->conn)) {
		engine_rollback(r->worker->engine);
		run_unlock(r);
		if (r->open)
			tell_rewind(r->worker, r->batch_told);
		tell_flush(r->worker);
		return true;
	}
	if (!run_commit(r))
		return r->stop;
	run_unlock(r);
	return true;
}

void
run_emit(struct run *r)
{
	struct worker *w = r->worker;
	struct conn *c = &r->session->conn;
	uint64_t revealed = engine_revealed(w->engine);

	if (revealed > r->need)
		r->need = revealed;
	if (w->reply.rc < 0) {
		w->reply.rc = KV_OK;
		run_give_up(r, KV_ENOMEM);
	}
	r->clock_ns = 0;
	output_emit(c, r->need > engine_durable(w->engine) ? r->need : 0);
	r->need = 0;
}
