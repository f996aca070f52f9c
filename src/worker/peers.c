/* SPDX-License-Identifier: ISC */
/* Questions to kv-syncd. */

#include "worker/peers.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/num.h"
#include "io/sock.h"
#include "proto/reply.h"
#include "proto/resp_reply.h"
#include "worker/run.h"

#define PEERS_READ 65536
#define PEERS_BULK (1u << 20)
#define PEERS_UNREAD (128u << 10) /* that a client may always leave unread */
#define PEERS_TEXT_MAX 300
#define PEERS_NAME_MAX 16	   /* "sync", below the folder */
#define PEERS_GRACE_NS 2000000000u /* kv-syncd keeps the time, if it lives */
#define PEERS_AGAIN_NS 50000000u   /* until one that is away is asked again */

struct peers {
	struct loop_source source;
	struct session *session;
	struct buf out; /* the question, sent up to `sent` */
	size_t sent;
	struct buf in;
	struct resp_reply reply;
	uint64_t limit_ns; /* UINT64_MAX: none */
	struct buf words;  /* of a wait: all but the time, for the next try */
	bool streams, is_line, is_wait;
	bool is_done, is_error, is_begun, is_eof;
	char last; /* byte of the answer */
	uint64_t seq;
	int64_t number;
	char text[PEERS_TEXT_MAX];
};

static struct peers *
peers_of(const struct session *s)
{
	return s->extra == NULL ? NULL : s->extra->peers;
}

bool
peers_has_asked(const struct session *s)
{
	return peers_of(s) != NULL;
}

static void
peers_hang_up(struct peers *p)
{
	if (p->source.fd < 0)
		return;
	loop_remove(session_worker(p->session)->loop, &p->source);
	close(p->source.fd);
	p->source.fd = -1;
}

void
peers_end(struct session *s)
{
	struct peers *p = peers_of(s);

	if (p == NULL)
		return;
	s->extra->peers = NULL;
	loop_timer_clear(session_worker(s)->loop, &s->extra->look);
	peers_hang_up(p);
	resp_reply_fini(&p->reply);
	buf_fini(&p->in);
	buf_fini(&p->out);
	buf_fini(&p->words);
	free(p);
}

/* ---- the end of an answer ---- */

/* A subscription has nobody waiting: its last word is said here. */
static void
peers_last_word(struct session *s, const struct peers *p)
{
	struct conn *c = &s->conn;
	char line[PEERS_TEXT_MAX + 16];
	int n;

	if (p->is_line) {
		n = snprintf(line, sizeof(line), "%sERROR %s\r\n",
		    p->last == '\n' || !p->is_begun ? "" : "\r\n", p->text);
		(void)output_append(c, line, (size_t)n);
	}
	log_info("subscription ended id=%llu reason=\"%s\"",
	    (unsigned long long)s->id, p->text);
	conn_finish(c, true);
	if (!conn_is_dead(c))
		output_flush(c);
}

static void
peers_finish(struct peers *p, bool is_error, const char *text, size_t len)
{
	struct session *s = p->session;

	if (p->is_done)
		return;
	p->is_done = true;
	p->is_error = is_error;
	if (len >= sizeof(p->text))
		len = sizeof(p->text) - 1;
	memcpy(p->text, text, len);
	p->text[len] = '\0';
	peers_hang_up(p);
	if (p->streams)
		peers_last_word(s, p);
	else
		conn_release(&s->conn, CONN_HOLD_OWNER);
}

/* kv-syncd is not there, or went away, for one who only waits: let the command
 * look again, in a while or when the time is up. */
static void
peers_lose(struct peers *p)
{
	struct loop *loop = session_worker(p->session)->loop;
	uint64_t ns = loop_now(loop) + PEERS_AGAIN_NS;

	peers_hang_up(p);
	p->is_eof = true;
	loop_timer_set(loop, &p->session->extra->look,
	    ns < p->limit_ns ? ns : p->limit_ns);
}

static void
peers_broken(struct peers *p, const char *why)
{
	if (p->is_wait && !session_worker(p->session)->stopping)
		peers_lose(p);
	else
		peers_finish(p, true, why, strlen(why));
}

/* ---- reading ---- */

/* Bytes of an answer, straight to the client.  False: it is gone, and p. */
static bool
peers_pass(struct peers *p, struct kv_slice bytes)
{
	struct conn *c = &p->session->conn;

	if (bytes.len > 0) {
		p->is_begun = true;
		p->last = bytes.data[bytes.len - 1];
		if (output_append(c, bytes.data, bytes.len))
			output_flush(c);
	}
	return !conn_is_dead(c);
}

/* One part of the answer.  False: p is gone or done. */
static bool
peers_part(struct peers *p, const struct resp_value *v)
{
	switch (v->type) {
	case RESP_BULK:
		return peers_pass(p, v->text);
	case RESP_INTEGER:
		p->number = v->integer;
		peers_finish(p, false, "", 0);
		return false;
	case RESP_SIMPLE:
	case RESP_ERROR:
		peers_finish(p, v->type == RESP_ERROR, v->text.data,
		    v->text.len);
		return false;
	case RESP_ARRAY:
	case RESP_NULL:
	case RESP_BOOL:
	case RESP_DOUBLE:
	case RESP_BIG_NUMBER:
	case RESP_BULK_ERROR:
	case RESP_VERBATIM:
	case RESP_MAP:
	case RESP_SET:
	case RESP_ATTRIBUTE:
	case RESP_PUSH:
		break;
	}
	peers_broken(p, "noconnection kv-syncd answers nonsense");
	return false;
}

/* A client that does not read holds its own answer back, and so whoever sends
 * it.  Where many do not, each may leave but a little unread. */
static bool
peers_may_read(const struct peers *p)
{
	struct conn *c = &p->session->conn;

	if (output_pending(c) > PEERS_UNREAD &&
	    c->serve->unsent > c->serve->limits.output / 2)
		conn_hold(c, CONN_HOLD_OUTPUT);
	return !(c->flags & CONN_HOLD_OUTPUT);
}

static void
peers_parse(struct peers *p)
{
	static const struct resp_reply_limits limits = { PEERS_BULK, 16 };
	int rc;

	while (peers_may_read(p)) {
		rc = resp_reply_parse(&p->reply, buf_slice(&p->in), &limits);
		if (rc == KV_EMORE && !p->is_eof)
			return;
		if (rc < 0) {
			peers_broken(p,
			    rc == KV_EMORE
				? "noconnection kv-syncd has ended"
				: "noconnection kv-syncd answers nonsense");
			return;
		}
		if (!peers_part(p, &p->reply.values[0]))
			return;
		buf_consume(&p->in, p->reply.used);
	}
}

static void
peers_watch(struct peers *p)
{
	uint32_t events = p->sent < p->out.len ? EPOLLOUT : 0;

	if (p->is_eof)
		return;
	if (peers_may_read(p))
		events |= EPOLLIN;
	if (loop_modify(session_worker(p->session)->loop, &p->source, events) <
	    0)
		peers_broken(p, "noconnection kv-syncd cannot be heard");
}

/* False: p is gone or done. */
static bool
peers_read(struct peers *p)
{
	const struct session *s = p->session;
	ssize_t n;

	if (buf_reserve(&p->in, PEERS_READ) < 0) {
		peers_broken(p, "noconnection out of memory");
		return false;
	}
	n = recv(p->source.fd, p->in.data + p->in.len, PEERS_READ, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		p->is_eof = true; /* what came before it still counts */
		loop_remove(session_worker(s)->loop, &p->source);
		n = 0;
	}
	p->in.len += (size_t)n;
	peers_parse(p);
	return peers_of(s) == p && !p->is_done;
}

static bool
peers_write(struct peers *p)
{
	ssize_t n = send(p->source.fd, p->out.data + p->sent,
	    p->out.len - p->sent, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		peers_broken(p, "noconnection kv-syncd has ended");
		return false;
	}
	p->sent += n > 0 ? (size_t)n : 0;
	if (p->sent == p->out.len) {
		buf_fini(&p->out);
		p->sent = 0;
	}
	return true;
}

static void
peers_ready(struct loop_source *source, uint32_t events)
{
	struct peers *p = loop_owner(source, struct peers, source);
	struct conn *c = &p->session->conn;
	bool outer = conn_enter(c), go_on = true;

	if (events & EPOLLOUT && p->sent < p->out.len)
		go_on = peers_write(p);
	if (go_on && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		go_on = peers_read(p);
	if (go_on)
		peers_watch(p);
	conn_leave(c, outer);
}

void
peers_resume(struct session *s)
{
	struct peers *p = peers_of(s);

	if (p == NULL || p->is_done || p->source.fd < 0)
		return;
	peers_parse(p);
	if (peers_of(s) == p && !p->is_done)
		peers_watch(p);
}

/* ---- asking ---- */

static int
peers_connect(const struct worker *w, int *fd)
{
	char path[PATH_MAX];
	int rc;

	snprintf(path, sizeof(path), "%.*s/sync", PATH_MAX - PEERS_NAME_MAX,
	    engine_folder(w->engine));
	rc = sock_connect_unix(path, 0, fd);
	if (rc == KV_OK && !sock_peer_is_ours(*fd)) {
		close(*fd);
		rc = KV_EACCESS;
	}
	return rc == KV_OK || rc == KV_ETIMEOUT ? rc : KV_ENOTFOUND;
}

/* The question itself; what only waits says how long it still does. */
static int
peers_write_question(struct peers *p, const struct peers_question *q)
{
	struct reply to = { &p->out, 2, KV_OK };
	size_t i;

	reply_array(&to, q->count + q->is_wait);
	for (i = 0; i < q->count; i++)
		reply_bulk(&to, q->words[i]);
	if (to.rc == KV_OK && q->is_wait)
		to.rc = buf_append(&p->words, p->out.data, p->out.len);
	return to.rc;
}

static struct peers *
peers_new(struct session *s, const struct peers_question *q)
{
	struct worker *w = session_worker(s);
	struct peers *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->session = s;
	p->streams = q->streams;
	p->is_line = q->is_line;
	p->is_wait = q->is_wait;
	p->seq = q->seq;
	p->source.fd = -1;
	p->source.ready = peers_ready;
	p->limit_ns = q->limit_ms == 0
	    ? UINT64_MAX
	    : loop_now(w->loop) + q->limit_ms * 1000000;
	buf_init(&p->in);
	buf_init(&p->out);
	buf_init(&p->words);
	resp_reply_init(&p->reply);
	s->extra->peers = p;
	if (peers_write_question(p, q) == KV_OK)
		return p;
	peers_end(s);
	return NULL;
}

/* The time that is left, behind the words; 0: for ever. */
static int
peers_write_rest(struct peers *p)
{
	struct reply to = { &p->out, 2, KV_OK };
	char left[NUM_TEXT_MAX];
	uint64_t ms = 0;

	if (p->limit_ns != UINT64_MAX)
		ms =
		    (p->limit_ns - loop_now(session_worker(p->session)->loop)) /
			1000000 +
		    1;
	p->out.len = p->sent = 0;
	reply_raw(&to, p->words.data, p->words.len);
	reply_bulk(&to,
	    (struct kv_slice){ left,
		num_format_u64(left, ms > UINT32_MAX ? UINT32_MAX : ms) });
	return to.rc;
}

/* Put it to kv-syncd. */
static int
peers_start(struct peers *p)
{
	struct worker *w = session_worker(p->session);
	int fd, rc;

	if ((p->is_wait && (rc = peers_write_rest(p)) < 0) ||
	    (rc = peers_connect(w, &fd)) < 0)
		return rc;
	p->source.fd = fd;
	p->source.events = EPOLLIN | EPOLLOUT;
	if ((rc = loop_add(w->loop, &p->source)) < 0) {
		close(fd);
		p->source.fd = -1;
		return rc;
	}
	resp_reply_fini(&p->reply);
	resp_reply_init(&p->reply);
	p->in.len = 0;
	p->is_eof = false;
	if (p->limit_ns != UINT64_MAX)
		loop_timer_set(w->loop, &p->session->extra->look,
		    p->limit_ns + (p->is_wait ? PEERS_GRACE_NS : 0));
	return KV_OK;
}

int
peers_ask(struct call *c, const struct peers_question *q)
{
	struct session *s = c->session;
	struct peers *p;
	int rc;

	if (session_extra(s) == NULL || (p = peers_new(s, q)) == NULL)
		return KV_ENOMEM;
	rc = peers_start(p);
	if (rc < 0 && p->is_wait) {
		peers_lose(p);
	} else if (rc < 0) {
		peers_end(s);
		return rc == KV_ETIMEOUT ? KV_EBUSY : rc;
	}
	if (!q->streams)
		call_hold(c);
	return KV_OK;
}

/* Is its time over without an answer? */
static bool
peers_is_late(const struct peers *p, uint64_t now)
{
	if (!p->is_wait || p->limit_ns == UINT64_MAX)
		return now >= p->limit_ns;
	return p->is_eof ? now >= p->limit_ns
			 : now >= p->limit_ns + PEERS_GRACE_NS;
}

/* A wait without a kv-syncd looks for one. */
static void
peers_go_on(struct peers *p)
{
	const struct worker *w = session_worker(p->session);
	const char *why = p->is_wait ? "unavailable kv-syncd does not answer"
				     : "timeout kv-syncd does not answer";

	if (peers_is_late(p, loop_now(w->loop)) ||
	    (p->is_eof && p->is_wait && w->stopping))
		peers_finish(p, true, why, strlen(why));
	else if (p->is_eof && p->is_wait && peers_start(p) < 0)
		peers_lose(p);
}

bool
peers_answered(struct call *c, struct peers_answer *out)
{
	struct peers *p = c->session->extra->peers;

	peers_resume(c->session);
	if (!p->is_done)
		peers_go_on(p);
	if (!p->is_done) {
		call_hold(c);
		return false;
	}
	*out = (struct peers_answer){
		.is_error = p->is_error,
		.is_begun = p->is_begun,
		.number = p->number,
		.text = p->text,
		.seq = p->seq,
	};
	return true;
}
