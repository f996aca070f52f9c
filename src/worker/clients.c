/* SPDX-License-Identifier: ISC */
/* Describing and closing clients of this worker. */

#include "worker/clients.h"

#include <assert.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/sock.h"
#include "worker/commands.h"
#include "worker/multi.h"
#include "worker/pubsub.h"
#include "worker/run.h"

static_assert(FILTER_BYTES_MAX <= ASK_BODY_MAX, "a filter is a question");

#define CLIENTS_KEEP 65536 /* of the scratch buffer */

struct clients_texts {
	char peer[SOCK_TEXT_MAX], local[SOCK_TEXT_MAX], flags[12];
};

static bool
clients_is_subscriber(const struct session *s)
{
	return s->subscriber != NULL || s->pubsub != NULL;
}

/* Redis' letters. */
static void
clients_flags(const struct session *s, char to[12])
{
	const struct {
		bool is;
		char letter;
	} flags[] = {
		{ s->flags & SESSION_MONITOR, 'O' },
		{ clients_is_subscriber(s), 'P' },
		{ multi_is_open(s), 'x' },
		{ s->conn.flags & CONN_HOLD_OWNER, 'b' },
		{ s->conn.flags & CONN_CLOSING, 'c' },
	};
	size_t i, n = 0;

	for (i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (flags[i].is)
			to[n++] = flags[i].letter;
	if (n == 0)
		to[n++] = 'N';
	to[n] = '\0';
}

static void
clients_name(const struct session *s, struct clients_texts *t)
{
	int fd = s->conn.source.fd;

	t->peer[sock_peer_text(fd, t->peer, sizeof(t->peer) - 1)] = '\0';
	t->local[sock_local_text(fd, t->local, sizeof(t->local) - 1)] = '\0';
	clients_flags(s, t->flags);
}

static uint64_t
clients_age(const struct session *s)
{
	uint64_t now = clock_wall_ms();

	/* The wall clock may have been set back. */
	return now > s->created_ms ? (now - s->created_ms) / 1000 : 0;
}

static int
clients_begin(const struct session *s, const char *name, struct buf *to)
{
	struct clients_texts t;
	uint64_t idle =
	    (loop_now(s->conn.serve->loop) - s->conn.active_ns) / 1000000000u;

	clients_name(s, &t);
	return buf_printf(to,
	    "id=%llu addr=%s laddr=%s fd=%d name=%s age=%llu idle=%llu"
	    " flags=%s db=%u sub=%zu psub=%zu ssub=0 multi=%d watch=%zu",
	    (unsigned long long)s->id, t.peer, t.local, s->conn.source.fd, name,
	    (unsigned long long)clients_age(s), (unsigned long long)idle,
	    t.flags, (unsigned)s->database,
	    s->subscriber != NULL ? 1 : pubsub_count(s, CHANNEL_NAME),
	    pubsub_count(s, CHANNEL_PATTERN),
	    multi_is_open(s) ? (int)multi_count(s) : -1, multi_watched(s));
}

/* What came of requests that are not done. */
static size_t
clients_input(const struct session *s)
{
	const struct run *r = session_worker(s)->run;

	return r != NULL && r->session == s ? r->in.len - r->start
					    : s->conn.in.len;
}

static int
clients_end(const struct session *s, const struct session_extra *x,
    struct buf *to)
{
	const struct conn *c = &s->conn;
	size_t queued = multi_bytes(s), pending = output_pending(c);

	return buf_printf(to,
	    " qbuf=%zu qbuf-free=%zu argv-mem=0 multi-mem=%zu rbs=%zu rbp=%zu"
	    " obl=%zu oll=0 omem=0 tot-mem=%zu events=%s%s cmd=%s%s%s"
	    " user=default redir=-1 resp=%d lib-name=%s lib-ver=%s",
	    clients_input(s), c->in.cap - c->in.len, queued, c->out.cap,
	    c->out.cap, pending, sizeof(*s) + c->in.cap + c->out.cap + queued,
	    c->flags & CONN_NOREAD ? "" : "r",
	    c->flags & CONN_WANT_OUT ? "w" : "",
	    s->last == NULL ? "NULL" : s->last->info.name,
	    s->sub == NULL ? "" : "|", s->sub == NULL ? "" : s->sub, s->proto,
	    x->library, x->library_version);
}

int
clients_line(const struct session *s, bool of_list, struct buf *to)
{
	static const struct session_extra none = { .name = "" };
	const struct session_extra *x = s->extra == NULL ? &none : s->extra;
	int rc;

	if ((rc = clients_begin(s, x->name, to)) < 0 ||
	    (rc = clients_end(s, x, to)) < 0)
		return rc;
	if (of_list && x->named_us != 0 &&
	    (rc = buf_printf(to, " named=%llu",
		 (unsigned long long)x->named_us)) < 0)
		return rc;
	if (of_list &&
	    (rc = buf_printf(to, " worker=%ld port=%u", (long)getpid(),
		 (unsigned)session_worker(s)->port)) < 0)
		return rc;
	return buf_append(to, "\n", 1);
}

static bool
clients_match(const struct session *s, const struct filter *f)
{
	struct filter_client c = {
		.type =
		    clients_is_subscriber(s) ? FILTER_PUBSUB : FILTER_NORMAL,
		.id = s->id,
	};
	struct clients_texts t;

	/* kv-syncd, which is told who is here, is no client.  What costs
	 * nothing first. */
	if (s->flags & SESSION_WATCHES)
		return false;
	if ((f->id != 0 && f->id != s->id) || f->type == FILTER_NOBODY)
		return false;
	c.age_s = clients_age(s);
	if (f->peer[0] != '\0' || f->local[0] != '\0') {
		clients_name(s, &t);
		c.peer = slice_of(t.peer);
		c.local = slice_of(t.local);
	}
	return filter_matches(f, &c);
}

int
clients_list(struct worker *w, const struct filter *f, struct buf *to)
{
	struct conn *c;
	int rc;

	DL_FOREACH(w->serve.conns, c)
		if (clients_match(session_of(c), f) &&
		    (rc = clients_line(session_of(c), true, to)) < 0)
			return rc;
	return KV_OK;
}

uint32_t
clients_kill(struct worker *w, const struct filter *f, const struct session *me,
    bool *hit)
{
	struct conn *c, *next;
	uint32_t killed = 0;

	*hit = false;
	DL_FOREACH_SAFE(w->serve.conns, c, next) {
		if (!clients_match(session_of(c), f))
			continue;
		if (session_of(c) == me) {
			*hit = true;
		} else {
			conn_close(c);
			killed++;
		}
	}
	return killed;
}

void
clients_answer(struct worker *w, const struct ask_question *q)
{
	struct kv_slice none = { "", 0 };
	struct buf *b = &w->scratch;
	struct filter f;
	uint32_t killed;
	bool hit;

	if (filter_decode((struct kv_slice){ q->body, q->len }, &f) < 0) {
		log_warn("ask what=%u error=\"not understood\"", q->what);
		return;
	}
	switch (q->what) {
	case ASK_CLIENTS:
		b->len = 0;
		if (clients_list(w, &f, b) == KV_OK)
			ask_answer(w->engine, q, 0, buf_slice(b));
		b->len = 0;
		buf_shrink(b, CLIENTS_KEEP);
		break;
	case ASK_KILL:
		killed = clients_kill(w, &f, NULL, &hit);
		ask_answer(w->engine, q, killed, none);
		break;
	default:
		log_warn("ask what=%u error=\"not understood\"", q->what);
	}
}
