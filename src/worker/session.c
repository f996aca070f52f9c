/* SPDX-License-Identifier: ISC */
/* A session's life and its modes: which parser its bytes go through. */

#include "worker/session.h"

#include <stdlib.h>

#include "base/clock.h"
#include "engine/host.h"
#include "io/sock.h"
#include "worker/auth.h"
#include "worker/commands.h"
#include "worker/monitor.h"
#include "worker/multi.h"
#include "worker/peers.h"
#include "worker/prefetch.h"
#include "worker/presence.h"
#include "worker/pubsub.h"
#include "worker/round.h"
#include "worker/run.h"
#include "worker/subscribe.h"
#include "worker/verbs.h"

#define SESSION_BLANK_NS 20000000u /* how long a blank first line waits */

/* Does one step; false: no more to do with what is there. */
typedef bool session_step(struct run *r);

static void
session_blank_over(struct timer *timer)
{
	struct session_extra *x =
	    loop_owner(timer, struct session_extra, blank);

	x->session->flags |= SESSION_BLANK_OVER;
	conn_again(&x->session->conn);
}

static void
session_look_again(struct timer *timer)
{
	struct session_extra *x = loop_owner(timer, struct session_extra, look);

	conn_release(&x->session->conn, CONN_HOLD_OWNER);
}

struct session_extra *
session_extra(struct session *s)
{
	if (s->extra == NULL) {
		s->extra = calloc(1, sizeof(*s->extra));
		if (s->extra != NULL) {
			s->extra->session = s;
			s->extra->blank.expired = session_blank_over;
			s->extra->look.expired = session_look_again;
		}
	}
	return s->extra;
}

void
session_mode(struct session *s, enum session_mode mode)
{
	s->mode = (uint8_t)mode;
	memset(&s->parser, 0, sizeof(s->parser));
}

void
session_reset(struct session *s)
{
	multi_end(s);
	s->proto = 2;
	s->database = 0;
	s->flags &= SESSION_TOLD | SESSION_NEWS;
	if (auth_is_needed(session_worker(s)) && !(s->conn.flags & CONN_INNER))
		s->flags |= SESSION_GUEST;
	presence_changed(s);
	if (s->extra != NULL) {
		presence_name(s->extra, (struct kv_slice){ "", 0 });
		s->extra->bucket_len = 0;
	}
}

static void
session_opened(struct conn *c)
{
	struct session *s = session_of(c);

	s->id = host_client_id(session_worker(s)->engine);
	s->created_ms = clock_wall_ms();
	s->proto = 2;
	if (c->flags & CONN_INNER) {
		s->mode = MODE_INNER;
		if (!sock_peer_is_ours(c->source.fd))
			conn_finish(c, true);
		return;
	}
	if (auth_is_needed(session_worker(s)))
		s->flags = SESSION_GUEST;
	presence_changed(s);
}

static void
session_closed(struct conn *c)
{
	struct session *s = session_of(c);

	presence_end(s);
	subscribe_end(s);
	pubsub_end(s);
	monitor_end(s);
	auth_forget(s);
	multi_end(s);
	round_end(s);
	peers_end(s);
	inner_end(s);
	if (s->extra != NULL) {
		loop_timer_clear(c->serve->loop, &s->extra->blank);
		loop_timer_clear(c->serve->loop, &s->extra->look);
		free(s->extra);
		s->extra = NULL;
	}
}

static struct kv_slice
session_rest(const struct run *r)
{
	return (struct kv_slice){ r->in.data + r->at, r->in.len - r->at };
}

/* A guest has nothing long to say. */
static size_t
session_line_max(const struct run *r)
{
	return r->session->flags & SESSION_GUEST ? RESP_GUEST_BULK
						 : r->worker->line_max;
}

/* A blank line and nothing behind it: a Redis client may have sent it first,
 * a line client waits for an answer. */
static bool
session_wait_blank(struct session *s)
{
	struct session_extra *x;

	if (s->flags & SESSION_BLANK_OVER || conn_at_eof(&s->conn))
		return false;
	if (s->flags & SESSION_BLANK)
		return true;
	if ((x = session_extra(s)) == NULL)
		return false;
	s->flags |= SESSION_BLANK;
	loop_timer_set(s->conn.serve->loop, &x->blank,
	    loop_now(s->conn.serve->loop) + SESSION_BLANK_NS);
	return true;
}

static bool
session_sniff(struct run *r)
{
	struct session *s = r->session;
	enum sniff_answer answer;

	answer = sniff_protocol(&s->parser.sniff, session_rest(r),
	    session_line_max(r), commands_known);
	if (answer == SNIFF_MORE)
		return false;
	if (answer == SNIFF_CLOSE) {
		r->stop = true;
		conn_close(&s->conn);
		return false;
	}
	if (answer == SNIFF_BLANK && session_wait_blank(s))
		return false;
	if (s->flags & SESSION_BLANK)
		loop_timer_clear(s->conn.serve->loop, &s->extra->blank);
	s->flags &= (uint16_t) ~(SESSION_BLANK | SESSION_BLANK_OVER);
	session_mode(s, answer == SNIFF_RESP ? MODE_RESP : MODE_LINE);
	return true;
}

static int
session_refuse(struct call *c)
{
	char text[RESP_FAULT_MAX];

	return call_errorf(c, "ERR %s",
	    resp_fault_text(&c->session->parser.resp, text));
}

/* Answer what is wrong and close: there is no way to go on. */
static void
session_fault(struct run *r)
{
	static const struct command none = { .run = session_refuse };
	struct call c = {
		.worker = r->worker,
		.session = r->session,
		.engine = r->worker->engine,
		.reply = &r->worker->reply,
		.command = &none,
	};

	r->start = r->at;
	r->at = r->in.len;
	c.reply->proto = r->session->proto;
	run_call(r, &c, CALL_SESSION, session_refuse);
	if (r->at != r->in.len)
		return; /* what came before it has to be done again */
	r->stop = true;
	conn_finish(&r->session->conn, true);
}

/* A request is whole, and kept for later. */
static bool
session_waits(struct run *r)
{
	struct session *s = r->session;

	if (!inner_run_waits(s))
		return false;
	r->stop = true;
	r->at = r->start;
	memset(&s->parser, 0, sizeof(s->parser));
	return true;
}

static bool
session_resp(struct run *r)
{
	struct session *s = r->session;
	struct request *req = &r->worker->request;
	struct resp_limits limits = r->worker->limits;
	int rc;

	limits.guest = s->flags & SESSION_GUEST;
	if (r->ahead <= r->at && s->parser.resp.scanned == 0) {
		r->ahead = r->at;
		prefetch_requests(r);
	}
	rc = resp_parse(&s->parser.resp, session_rest(r), &limits, req);
	r->start = r->at;
	r->at += req->used;
	if (rc == KV_OK && session_waits(r))
		return false;
	if (rc == KV_OK) {
		commands_run(r, req);
		return true;
	}
	if (rc == KV_EPROTO) {
		session_fault(r);
		return !r->stop;
	}
	if (rc == KV_ENOMEM)
		conn_close(&s->conn);
	s->conn.need = s->parser.resp.need;
	return false;
}

static bool
session_line(struct run *r)
{
	struct session *s = r->session;
	struct request *req = &r->worker->request;
	int rc;

	rc = line_parse(&s->parser.line, session_rest(r), session_line_max(r),
	    req);
	r->start = r->at;
	r->at += req->used;
	switch (rc) {
	case KV_OK:
		if (session_waits(r))
			return false;
		verbs_run(r, req);
		return true;
	case KV_ETOOBIG:
		verbs_too_long(r);
		return true;
	case KV_EPROTO:
		session_mode(s, MODE_RESP);
		return true;
	default:
		return false;
	}
}

static bool
session_deaf(struct run *r)
{
	r->at = r->in.len;
	peers_resume(r->session);
	return false;
}

static bool
session_inner(struct run *r)
{
	int rc;

	if (r->in.len - r->at < 1 + INNER_MARK)
		return false;
	rc = inner_begin(r->session, r->in.data + r->at);
	if (rc == KV_OK) {
		r->at += 1 + INNER_MARK;
		return true;
	}
	r->stop = true;
	if (rc != KV_EAGAIN)
		conn_close(&r->session->conn);
	return false;
}

static session_step *const session_steps[] = {
	[MODE_SNIFF] = session_sniff,
	[MODE_RESP] = session_resp,
	[MODE_LINE] = session_line,
	[MODE_DEAF] = session_deaf,
	[MODE_INNER] = session_inner,
};

static size_t
session_input(struct conn *c, struct kv_slice in)
{
	struct session *s = session_of(c);
	struct run r = {
		.worker = session_worker(s),
		.session = s,
		.in = in,
	};
	bool is_over;

	r.worker->run = &r;
	r.worker->reply.proto = s->proto;
	do {
		while (
		    !r.stop && !conn_is_dead(c) && session_steps[s->mode](&r))
			run_breathe(&r);
	} while (!run_finish(&r));
	is_over = inner_finish(s, r.done);
	if (!conn_is_dead(c))
		run_emit(&r);
	/* kv-syncd has its own limits, and could not tell a part of an answer
	 * from all of it. */
	if (is_over)
		conn_finish(c, false);
	r.worker->run = NULL;
	return c->flags & CONN_CLOSING ? in.len : r.at;
}

const struct serve_handlers session_handlers = {
	.size = sizeof(struct session),
	.opened = session_opened,
	.input = session_input,
	.closed = session_closed,
};
