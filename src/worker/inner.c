/* SPDX-License-Identifier: ISC */
/* Requests that kv-syncd brings from other hosts. */

#include "worker/inner.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

#include "io/sock.h"
#include "worker/session.h"

/* One request of another host, from its first byte to its last. */
struct inner_call {
	struct session *session;
	bool waits;	/* for its turn */
	bool is_called; /* which has come */
	bool has_begun;
	struct inner_call *prev, *next;
};

static void
inner_path(const struct worker *w, char to[PATH_MAX])
{
	snprintf(to, PATH_MAX, "%.*s/worker.%u", PATH_MAX - INNER_NAME_MAX,
	    engine_folder(w->engine), engine_slot(w->engine));
}

int
inner_open(struct worker *w)
{
	char path[PATH_MAX];
	int fd, rc;

	inner_path(w, path);
	/* Whose it was is dead: the slot is ours. */
	(void)unlink(path);
	if ((rc = sock_listen_unix(path, SOCK_BACKLOG, &fd)) < 0)
		return rc;
	rc = listener_start(&w->inner.listener, &w->serve, fd, CONN_INNER);
	w->inner.is_open = rc == KV_OK;
	return rc;
}

void
inner_close(struct worker *w)
{
	char path[PATH_MAX];

	if (!w->inner.is_open)
		return;
	w->inner.is_open = false;
	inner_path(w, path);
	(void)unlink(path);
	listener_stop(&w->inner.listener);
}

/* ---- their turn ---- */

/* For answers, beside those that are not read yet? */
static bool
inner_has_room(const struct worker *w)
{
	const struct inner_call *call;
	size_t n = 0;

	DL_FOREACH(w->inner.calls, call)
		n += call->session->conn.out.cap;
	return n <= w->serve.limits.output / 2;
}

static int
inner_enter(struct session *s)
{
	struct inner_call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		return KV_ENOMEM;
	call->session = s;
	s->extra->call = call;
	DL_APPEND(session_worker(s)->inner.calls, call);
	return KV_OK;
}

/* NULL: it is none of another host's. */
static struct inner_call *
inner_call_of(const struct session *s)
{
	return s->extra == NULL ? NULL : s->extra->call;
}

static bool
inner_waits(struct session *s)
{
	struct inner_call *call = inner_call_of(s);
	struct worker *w = session_worker(s);

	if (call == NULL || call->has_begun)
		return false;
	if (!call->waits && !call->is_called && !inner_has_room(w)) {
		call->waits = true;
		w->inner.waiting++;
	}
	if (call->waits)
		conn_hold(&s->conn, CONN_HOLD_OWNER);
	else
		call->is_called = false;
	return call->waits;
}

bool
inner_run_waits(struct session *s)
{
	struct inner_call *call = inner_call_of(s);
	bool waits = inner_waits(s);

	if (!waits && call != NULL)
		call->has_begun = true;
	return waits;
}

void
inner_turn(struct worker *w)
{
	struct inner_call *each, *call = NULL;

	if (w->inner.waiting == 0 || !inner_has_room(w))
		return;
	/* The youngest has most of its time left, and does not wait for all of
	 * those that somebody asked for and does not read. */
	DL_FOREACH(w->inner.calls, each)
		if (each->waits)
			call = each;
	if (call == NULL)
		return;
	call->waits = false;
	call->is_called = true;
	w->inner.waiting--;
	conn_release(&call->session->conn, CONN_HOLD_OWNER);
}

void
inner_end(struct session *s)
{
	struct worker *w = session_worker(s);
	struct inner_call *call = inner_call_of(s);

	if (call == NULL)
		return;
	s->extra->call = NULL;
	w->inner.waiting -= call->waits;
	DL_DELETE(w->inner.calls, call);
	free(call);
}

/* ---- requests ---- */

int
inner_begin(struct session *s, const char *head)
{
	char how = head[0];
	int rc;

	if (session_extra(s) == NULL)
		return KV_ENOMEM;
	memcpy(s->extra->inner_mark, head + 1, INNER_MARK);
	if (how == 'P') {
		session_mode(s, MODE_DEAF);
		return presence_watch(s) ? KV_OK : KV_ENOMEM;
	}
	if (how != 'L' && how != '2' && how != '3')
		return KV_EPROTO;
	if (s->extra->call == NULL && (rc = inner_enter(s)) < 0)
		return rc;
	if (inner_waits(s))
		return KV_EAGAIN;
	if (how != 'L')
		s->proto = how == '2' ? 2 : 3;
	session_mode(s, how == 'L' ? MODE_LINE : MODE_RESP);
	return KV_OK;
}

static bool
inner_is_over(const struct session *s, size_t done)
{
	const struct conn *c = &s->conn;

	if (!(c->flags & CONN_INNER) || c->flags & CONN_DEAD ||
	    (s->mode != MODE_RESP && s->mode != MODE_LINE))
		return false;
	return c->flags & CONN_CLOSING ||
	    (done > 0 && s->pubsub == NULL && !(c->flags & CONN_HOLD_OWNER));
}

bool
inner_finish(struct session *s, size_t done)
{
	if (!inner_is_over(s, done))
		return false;
	reply_raw(&session_worker(s)->reply, s->extra->inner_mark, INNER_MARK);
	return true;
}
