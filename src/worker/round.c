/* SPDX-License-Identifier: ISC */
/* Rounds of questions to the host's other workers, and the commands that wait
 * for them.  Who wants to know the same shares a round, if that has not begun:
 * an answer is never older than the question. */

#include "worker/round.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "worker/clients.h"

#define ROUND_LIMIT_NS 1000000000u /* for answers */
#define ROUND_HURRY_NS 100000000u  /* ... when somebody gave none of late */
#define ROUND_LATE_NS 5000000000u
#define ROUND_LOOK_NS 25000000u /* has anybody died? */
#define ROUND_KILLS_MAX 8	/* under way at once */

enum round_state { ROUND_QUEUED, ROUND_ASKED, ROUND_DONE };

struct round {
	struct round *prev, *next;
	enum round_state state;
	enum ask_what what;
	struct ask ask;
	uint64_t limit_ns;
	size_t refs;
	uint64_t sum;
	struct buf text;
	int rc; /* of the text */
	size_t len;
	char body[ASK_BODY_MAX];
};

/* What the request at hand has asked, in order. */
struct round_uses {
	size_t count, at;
	struct round_use uses[ROUND_USES_MAX];
};

/* ---- rounds ---- */

static bool
round_is(const struct round *r, enum ask_what what, struct kv_slice body)
{
	return r->what == what &&
	    slice_equal((struct kv_slice){ r->body, r->len }, body);
}

static void
round_drop(struct worker *w, struct round *r)
{
	if (--r->refs > 0)
		return;
	if (r->state == ROUND_ASKED)
		ask_end(w->engine, &r->ask);
	DL_DELETE(w->rounds, r);
	buf_fini(&r->text);
	free(r);
}

static struct round *
round_new(struct worker *w, enum ask_what what, struct kv_slice body)
{
	struct round *r;

	DL_FOREACH(w->rounds, r)
		if (r->state == ROUND_QUEUED && what == ASK_CLIENTS &&
		    round_is(r, what, body)) {
			r->refs++;
			return r;
		}
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	r->what = what;
	r->refs = 1;
	r->len = body.len;
	memcpy(r->body, body.data, body.len);
	r->limit_ns = loop_now(w->loop) + ROUND_LIMIT_NS;
	DL_APPEND(w->rounds, r);
	return r;
}

static bool
round_is_used(const struct session *s, const struct round *r)
{
	const struct round_uses *u = s->extra == NULL ? NULL : s->extra->rounds;
	size_t i;

	for (i = 0; u != NULL && i < u->count; i++)
		if (u->uses[i].round == r)
			return true;
	return false;
}

/* A worker that is stopped must not cost every command a second, nor a line in
 * the log. */
static void
round_blame(struct worker *w, const struct round *r)
{
	uint64_t now = loop_now(w->loop);
	bool known = now < w->round_hurry_ns, silent = false;
	uint32_t at = 0, pid;

	while ((pid = ask_silent(w->engine, &r->ask, &at)) != 0) {
		silent = true;
		if (!known)
			log_warn("ask pid=%u error=\"no answer\"", pid);
	}
	if (!silent)
		w->round_hurry_ns = 0;
	else if (!known)
		w->round_hurry_ns = now + ROUND_LATE_NS;
}

static void
round_finish(struct worker *w, struct round *r)
{
	struct conn *c;

	if (r->state == ROUND_ASKED) {
		r->sum = ask_sum(w->engine, &r->ask);
		if (r->what == ASK_CLIENTS)
			r->rc = ask_texts(w->engine, &r->ask,
			    w->serve.limits.output, &r->text);
		round_blame(w, r);
		ask_end(w->engine, &r->ask);
	}
	r->state = ROUND_DONE;
	DL_FOREACH(w->serve.conns, c)
		if (round_is_used(session_of(c), r))
			conn_release(c, CONN_HOLD_OWNER);
}

/* May it begin?  Each costs all workers something. */
static bool
round_may_begin(const struct worker *w, const struct round *r)
{
	const struct round *o;
	size_t kills = 0;

	DL_FOREACH(w->rounds, o) {
		if (o->state != ROUND_ASKED)
			continue;
		if (r->what == ASK_CLIENTS && o->what == ASK_CLIENTS)
			return false;
		kills += o->what == ASK_KILL;
	}
	return r->what != ASK_KILL || kills < ROUND_KILLS_MAX;
}

static void
round_ask(struct worker *w, struct round *r)
{
	uint64_t now = loop_now(w->loop);

	if (!round_may_begin(w, r)) {
		r->limit_ns = now + ROUND_LIMIT_NS;
		return;
	}
	if (ask_begin(w->engine, r->what, (struct kv_slice){ r->body, r->len },
		&r->ask) == KV_OK) {
		r->state = ROUND_ASKED;
		r->limit_ns = now +
		    (now < w->round_hurry_ns ? ROUND_HURRY_NS : ROUND_LIMIT_NS);
	} else if (now >= r->limit_ns) {
		log_warn("ask error=\"too many questions on this host\"");
		round_finish(w, r);
	}
}

/* Bring all on; again: look for those who died, too. */
static void
round_step(struct worker *w, bool again)
{
	uint64_t now = loop_now(w->loop);
	struct round *r;
	bool waiting = false;

	DL_FOREACH(w->rounds, r) {
		if (r->state == ROUND_QUEUED)
			round_ask(w, r);
		if (r->state == ROUND_ASKED &&
		    (ask_is_done(w->engine, &r->ask) ||
			(again && ask_again(w->engine, &r->ask)) ||
			now >= r->limit_ns))
			round_finish(w, r);
		waiting |= r->state != ROUND_DONE;
	}
	if (!waiting)
		loop_timer_clear(w->loop, &w->round_look);
	else if (again || !w->round_waits)
		loop_timer_set(w->loop, &w->round_look, now + ROUND_LOOK_NS);
	w->round_waits = waiting;
}

static void
round_look(struct timer *timer)
{
	round_step(loop_owner(timer, struct worker, round_look), true);
}

void
round_woken(struct worker *w)
{
	struct ask_question q;

	while (ask_next(w->engine, &q))
		clients_answer(w, &q);
	if (w->round_waits)
		round_step(w, false);
}

void
round_init(struct worker *w)
{
	w->round_look.expired = round_look;
}

void
round_fini(struct worker *w)
{
	loop_timer_clear(w->loop, &w->round_look);
}

/* ---- a request's ---- */

/* A transaction happens at one time: it asks for the clients only once. */
static struct round *
round_shared(const struct round_uses *u, enum ask_what what,
    struct kv_slice body)
{
	size_t i;

	for (i = 0; what == ASK_CLIENTS && i < u->count; i++)
		if (round_is(u->uses[i].round, what, body))
			return u->uses[i].round;
	return NULL;
}

int
round_use(struct call *c, enum ask_what what, struct kv_slice body,
    struct round_use **out)
{
	struct session_extra *x = session_extra(c->session);
	struct round_uses *u;
	struct round *r;

	if (x == NULL ||
	    (x->rounds == NULL &&
		(x->rounds = calloc(1, sizeof(*x->rounds))) == NULL))
		return KV_ENOMEM;
	u = x->rounds;
	if (u->at == ROUND_USES_MAX)
		return KV_EBUSY;
	*out = &u->uses[u->at];
	if (u->at++ < u->count)
		return KV_OK;
	if ((r = round_shared(u, what, body)) != NULL)
		r->refs++;
	else if ((r = round_new(c->worker, what, body)) == NULL)
		return KV_ENOMEM;
	**out = (struct round_use){ .round = r, .first = true };
	u->count++;
	round_step(c->worker, false);
	return KV_OK;
}

bool
round_holds(struct call *c, const struct round_use *u)
{
	if (u->round->state == ROUND_DONE)
		return false;
	call_hold(c);
	return true;
}

uint64_t
round_sum(const struct round_use *u)
{
	return u->round->sum;
}

int
round_text(const struct round_use *u, struct kv_slice *out)
{
	*out = buf_slice(&u->round->text);
	return u->round->rc;
}

void
round_begin(struct session *s)
{
	if (s->extra != NULL && s->extra->rounds != NULL)
		s->extra->rounds->at = 0;
}

void
round_end(struct session *s)
{
	struct round_uses *u = s->extra == NULL ? NULL : s->extra->rounds;

	if (u == NULL)
		return;
	s->extra->rounds = NULL;
	while (u->count > 0)
		round_drop(session_worker(s), u->uses[--u->count].round);
	free(u);
}
