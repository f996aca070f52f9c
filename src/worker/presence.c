/* SPDX-License-Identifier: ISC */
/* Telling kv-syncd of clients. */

#include "worker/presence.h"

#include <ctype.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/sock.h"
#include "worker/session.h"

#define PRESENCE_NS 100000000u
#define PRESENCE_NAME_MAX 64 /* as others are told: sync/items.h */
#define PRESENCE_PENDING (16u << 20)

static void presence_tell(struct timer *timer);

void
presence_init(struct worker *w)
{
	w->presence.timer.expired = presence_tell;
	buf_init(&w->presence.gone);
}

void
presence_fini(struct worker *w)
{
	loop_timer_clear(w->loop, &w->presence.timer);
	buf_fini(&w->presence.gone);
}

static void
presence_arm(struct worker *w)
{
	if (w->presence.is_armed)
		return;
	w->presence.is_armed = true;
	loop_timer_set(w->loop, &w->presence.timer,
	    loop_now(w->loop) + PRESENCE_NS);
}

void
presence_changed(struct session *s)
{
	struct worker *w = session_worker(s);

	if (w->presence.watchers == 0 || s->conn.flags & CONN_INNER)
		return;
	s->flags |= SESSION_NEWS;
	presence_arm(w);
}

void
presence_name(struct session_extra *x, struct kv_slice name)
{
	if (!slice_equal(name, slice_of(x->name)))
		x->named_us = name.len > 0 ? clock_wall_us() : 0;
	memcpy(x->name, name.data, name.len);
	x->name[name.len] = '\0';
	presence_changed(x->session);
}

void
presence_end(struct session *s)
{
	struct worker *w = session_worker(s);

	if (s->flags & SESSION_WATCHES && --w->presence.watchers == 0)
		w->presence.gone.len = 0;
	if (w->presence.watchers == 0 || !(s->flags & SESSION_TOLD))
		return;
	/* Without memory it would be shown for ever: let all be told anew. */
	if (buf_append(&w->presence.gone, &s->id, sizeof(s->id)) < 0)
		log_warn("presence error=\"out of memory\"");
	presence_arm(w);
}

static int
presence_line(const struct session *s, struct buf *to)
{
	const struct session_extra *x = s->extra;
	char name[SOCK_TEXT_MAX];
	size_t n, i;
	int rc;

	if (x != NULL && x->name[0] != '\0') {
		n = strlen(x->name);
		memcpy(name, x->name, n < sizeof(name) ? n : sizeof(name));
	} else {
		n = sock_peer_text(s->conn.source.fd, name, sizeof(name));
	}
	if (n > PRESENCE_NAME_MAX)
		n = PRESENCE_NAME_MAX;
	for (i = 0; i < n; i++)
		if (!isprint((unsigned char)name[i]))
			name[i] = '?';
	rc = buf_printf(to, "+%llu %llu ", (unsigned long long)s->id,
	    (unsigned long long)(x != NULL && x->named_us != 0
		    ? x->named_us
		    : s->created_ms * 1000));
	if (rc == KV_OK)
		rc = buf_append(to, name, n);
	return rc == KV_OK ? buf_append(to, "\n", 1) : rc;
}

/* Those who are gone, and of the others those with news, or all. */
static int
presence_text(struct worker *w, bool all, struct buf *to)
{
	const struct buf *gone = &w->presence.gone;
	struct conn *c;
	uint64_t id;
	size_t i;
	int rc = KV_OK;

	for (i = 0; !all && i < gone->len && rc == KV_OK; i += sizeof(id)) {
		memcpy(&id, gone->data + i, sizeof(id));
		rc = buf_printf(to, "-%llu\n", (unsigned long long)id);
	}
	DL_FOREACH(w->serve.conns, c) {
		struct session *s = session_of(c);

		if (c->flags & CONN_INNER || rc < 0 ||
		    (!all && !(s->flags & SESSION_NEWS)))
			continue;
		rc = presence_line(s, to);
		s->flags |= SESSION_TOLD;
		/* Of all, a watcher of before may not have heard yet. */
		if (!all)
			s->flags &= (uint16_t)~SESSION_NEWS;
	}
	return rc;
}

/* A watcher that does not read is closed and will come again. */
static void
presence_send(struct session *s, const struct buf *text)
{
	struct conn *c = &s->conn;
	bool outer = conn_enter(c);

	if (output_pending(c) + text->len > PRESENCE_PENDING)
		conn_close(c);
	else if (output_append(c, text->data, text->len))
		output_flush(c);
	conn_leave(c, outer);
}

static void
presence_tell(struct timer *timer)
{
	struct worker *w = loop_owner(timer, struct worker, presence.timer);
	struct conn *c, *next;
	struct buf text;
	int rc;

	w->presence.is_armed = false;
	if (w->presence.watchers == 0)
		return;
	buf_init(&text);
	rc = presence_text(w, false, &text);
	w->presence.gone.len = 0;
	DL_FOREACH_SAFE(w->serve.conns, c, next) {
		if (!(session_of(c)->flags & SESSION_WATCHES))
			continue;
		if (rc < 0)
			conn_close(c);
		else
			presence_send(session_of(c), &text);
	}
	buf_fini(&text);
}

bool
presence_watch(struct session *s)
{
	struct worker *w = session_worker(s);
	struct buf text;
	bool ok;

	buf_init(&text);
	ok = presence_text(w, true, &text) == KV_OK;
	if (ok) {
		s->flags |= SESSION_WATCHES;
		s->conn.flags |= CONN_PATIENT;
		w->presence.watchers++;
		presence_send(s, &text);
	}
	buf_fini(&text);
	return ok;
}
