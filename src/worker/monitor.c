/* SPDX-License-Identifier: ISC */
/* Sessions that monitor, and the feed that serves them. */

#include "worker/monitor.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/bytes.h"
#include "base/log.h"
#include "engine/feed.h"
#include "engine/host.h"
#include "worker/multi.h"

#define MONITOR_SLICE 4096	       /* records of the log in one turn */
#define MONITOR_SLICE_BYTES (4u << 20) /* sent out in one turn */

struct monitors {
	struct feed feed;
	struct session_extra *list;
	size_t sent; /* bytes handed out in this turn */
};

int
monitor_init(struct worker *w)
{
	w->monitors = calloc(1, sizeof(*w->monitors));
	return w->monitors == NULL ? KV_ENOMEM : KV_OK;
}

void
monitor_fini(struct worker *w)
{
	free(w->monitors);
	w->monitors = NULL;
}

/* ---- handing out ---- */

static void
monitor_lose(struct session *s, const char *why)
{
	session_worker(s)->subscribers_lost++;
	log_warn("close id=%llu reason=\"%s\" pending=%zu",
	    (unsigned long long)s->id, why, output_pending(&s->conn));
	conn_close(&s->conn);
}

static void
monitor_send(struct worker *w, struct session *s, struct kv_slice lines)
{
	struct conn *c = &s->conn;
	bool outer = conn_enter(c);

	if (output_pending(c) + lines.len > w->subscriber_limit &&
	    !(c->flags & CONN_WANT_OUT))
		output_flush(c);
	if (!conn_is_dead(c) &&
	    output_pending(c) + lines.len > w->subscriber_limit)
		monitor_lose(s, "monitor too slow");
	if (!conn_is_dead(c))
		(void)output_append(c, lines.data, lines.len);
	conn_leave(c, outer);
	w->monitors->sent += lines.len;
}

/* seq 0: in no order with the log. */
static void
monitor_deliver(struct worker *w, uint64_t id, uint64_t seq,
    struct kv_slice lines)
{
	struct session_extra *x, *next;

	/* Not to oneself: it would come between one's replies. */
	DL_FOREACH_SAFE2(w->monitors->list, x, next, next_monitor)
	if (x->session->id != id && (seq == 0 || seq > x->monitor_after))
		monitor_send(w, x->session, lines);
}

void
monitor_here(struct worker *w, uint64_t id, struct kv_slice lines)
{
	monitor_deliver(w, id, 0, lines);
}

/* The feed lost its place: a worker that was stopped for long. */
static void
monitor_missed(struct worker *w)
{
	struct session_extra *x, *next;

	DL_FOREACH_SAFE2(w->monitors->list, x, next, next_monitor)
	monitor_lose(x->session, "commands were missed");
}

static bool
monitor_follow(struct worker *w)
{
	struct monitors *m = w->monitors;
	struct record r;
	unsigned n;
	int rc;

	for (n = 0; n < MONITOR_SLICE && m->sent < MONITOR_SLICE_BYTES; n++) {
		rc = feed_next(w->engine, &m->feed, &r);
		if (rc == KV_EAGAIN)
			return false;
		if (rc < 0) {
			monitor_missed(w);
			return false;
		}
		if (r.type == RECORD_MESSAGE && r.bid == MESSAGE_MONITOR &&
		    r.key.len == MONITOR_ID_LEN)
			monitor_deliver(w, bytes_get_be64(r.key.data), r.seq,
			    r.value);
	}
	return true;
}

static void
monitor_flush(struct worker *w)
{
	struct session_extra *x, *next;
	struct conn *c;
	bool outer;

	DL_FOREACH_SAFE2(w->monitors->list, x, next, next_monitor)
	{
		c = &x->session->conn;
		outer = conn_enter(c);
		if (output_pending(c) > 0 && !(c->flags & CONN_WANT_OUT))
			output_flush(c);
		conn_leave(c, outer);
	}
}

bool
monitor_pump(struct worker *w)
{
	struct monitors *m = w->monitors;
	bool more;

	if (m->list == NULL)
		return false;
	/* Again, in case somebody took us for dead. */
	host_set_monitors(w->engine, true);
	m->sent = 0;
	more = monitor_follow(w);
	monitor_flush(w);
	return more && m->list != NULL;
}

bool
monitor_want(struct worker *w)
{
	return w->monitors->list != NULL &&
	    feed_want(w->engine, &w->monitors->feed);
}

/* ---- sessions ---- */

void
monitor_end(struct session *s)
{
	struct worker *w = session_worker(s);

	if (!(s->flags & SESSION_MONITOR))
		return;
	s->flags &= (uint16_t)~SESSION_MONITOR;
	s->conn.flags &= ~(uint32_t)CONN_PATIENT;
	DL_DELETE2(w->monitors->list, s->extra, prev_monitor, next_monitor);
	if (w->monitors->list == NULL)
		host_set_monitors(w->engine, false);
}

static int
monitor_begin(struct session *s)
{
	struct worker *w = session_worker(s);
	struct monitors *m = w->monitors;
	struct session_extra *x = session_extra(s);
	struct feed tail;

	if (x == NULL)
		return KV_ENOMEM;
	feed_tail(w->engine, &tail);
	x->monitor_after = tail.seq;
	if (m->list == NULL) {
		m->feed = tail;
		m->feed.messages = true;
		host_set_monitors(w->engine, true);
	}
	DL_APPEND2(m->list, x, prev_monitor, next_monitor);
	s->flags |= SESSION_MONITOR;
	s->conn.flags |= CONN_PATIENT;
	return KV_OK;
}

int
cmd_monitor(struct call *c)
{
	int rc;

	if (multi_is_open(c->session))
		return call_error(c,
		    "ERR MONITOR isn't allowed for DENY BLOCKING client");
	if (!(c->session->flags & SESSION_MONITOR) &&
	    (rc = monitor_begin(c->session)) < 0)
		return rc;
	reply_ok(c->reply);
	return KV_OK;
}
