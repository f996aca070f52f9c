/* SPDX-License-Identifier: ISC */
/* Clients that wait because somebody said so. */

#include "worker/pause.h"

#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/num.h"
#include "engine/host.h"
#include "worker/run.h"

#define PAUSE_LOOK_NS 10000000u /* for UNPAUSE, while somebody waits */

static bool
pause_is_on(const struct worker *w, bool writes)
{
	bool all;
	uint64_t until = host_pause(w->engine, &all);

	return until != 0 && (all || writes) && clock_wall_ms() < until;
}

static void
pause_look(struct timer *timer)
{
	struct worker *w = loop_owner(timer, struct worker, pause);
	struct conn *c;

	if (pause_is_on(w, true)) {
		loop_timer_set(w->loop, timer,
		    loop_now(w->loop) + PAUSE_LOOK_NS);
		return;
	}
	w->waiting = false;
	DL_FOREACH(w->serve.conns, c)
		if (session_of(c)->flags & SESSION_PAUSED) {
			session_of(c)->flags &= (uint16_t)~SESSION_PAUSED;
			conn_release(c, CONN_HOLD_OWNER);
		}
}

void
pause_init(struct worker *w)
{
	w->pause.expired = pause_look;
}

void
pause_fini(struct worker *w)
{
	loop_timer_clear(w->loop, &w->pause);
}

bool
pause_holds(struct run *r, bool writes)
{
	struct worker *w = r->worker;
	struct session *s = r->session;

	if (!pause_is_on(w, writes))
		return false;
	r->at = r->start;
	r->stop = true;
	memset(&s->parser, 0, sizeof(s->parser));
	s->flags |= SESSION_PAUSED;
	conn_hold(&s->conn, CONN_HOLD_OWNER);
	if (!w->waiting)
		loop_timer_set(w->loop, &w->pause,
		    loop_now(w->loop) + PAUSE_LOOK_NS);
	w->waiting = true;
	return true;
}

int
pause_begin(struct call *c)
{
	uint64_t now = clock_wall_ms(), until;
	bool all = true, before;
	int64_t ms;

	if (c->argc > 4)
		return call_error(c, "ERR syntax error");
	if (c->argc == 4 && slice_is_word(c->args[3], "write"))
		all = false;
	else if (c->argc == 4 && !slice_is_word(c->args[3], "all"))
		return call_error(c,
		    "ERR CLIENT PAUSE mode must be WRITE or ALL");
	if (num_parse_i64(c->args[2], &ms) < 0 || ms > INT64_MAX / 4)
		return call_error(c,
		    "ERR timeout is not an integer or out of range");
	if (ms < 0)
		return call_error(c, "ERR timeout is negative");
	/* The longer and the stricter of what was said. */
	until = host_pause(c->engine, &before);
	if (until > now)
		all |= before;
	if (until < now + (uint64_t)ms)
		until = now + (uint64_t)ms;
	host_set_pause(c->engine, until, all);
	reply_ok(c->reply);
	return KV_OK;
}

int
pause_end(struct call *c)
{
	host_set_pause(c->engine, 0, false);
	reply_ok(c->reply);
	return KV_OK;
}
