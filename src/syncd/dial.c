/* SPDX-License-Identifier: ISC */
/* Reaching other nodes. */

#include "syncd/dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <utlist.h>

#include "base/err.h"
#include "base/log.h"
#include "sync/handshake.h"
#include "syncd/gate.h"
#include "syncd/lookup.h"
#include "syncd/peer.h"
#include "syncd/rundir.h"

#define DIAL_CONNECT_NS 5000000000u
#define DIAL_SHAKE_NS 5000000000u
#define DIAL_READ 4096

struct dial {
	struct dial *prev, *next; /* utlist */
	struct syncd *s;
	struct member *candidate;
	struct lookup *lookup; /* NULL: it has answered */
	struct lookup_answer to;
	size_t at; /* of to.address */
	struct loop_source source;
	struct timer limit;
	struct handshake handshake;
	bool is_connected;
	/* The worst that was met: what is said when no address is left. */
	enum member_reason reason;
	char detail[MEMBER_DETAIL_TEXT];
};

void
dial_failed(struct syncd *s, struct member *c, enum member_reason reason,
    const char *detail)
{
	if (member_failed(s->members, c, reason, detail, syncd_now(s)))
		log_warn("node unreachable node=%s address=%s reason=\"%s%s%s\"",
		    c->name[0] != '\0' ? c->name : c->host,
		    c->address[0] != '\0' ? c->address : "-",
		    reason_text(reason), detail[0] != '\0' ? ": " : "", detail);
	syncd_changed(s);
	syncd_look(s);
}

void
dial_met_self(struct syncd *s, struct member *c)
{
	char address[RUNDIR_ADDRESS_TEXT];
	uint16_t port;

	if (c->want[0] == '\0') {
		(void)member_is_self(c, syncd_now(s));
		syncd_changed(s);
		return;
	}
	port = rundir_find(s->rundir, slice_of(c->want), address);
	if (port == 0) {
		dial_failed(s, c, MEMBER_NOT_THERE, "");
		return;
	}
	member_redirected(c, port, syncd_now(s));
	syncd_look(s);
}

/* ---- the end ---- */

static void
dial_hang_up(struct dial *d)
{
	if (d->source.fd < 0)
		return;
	loop_remove(d->s->loop, &d->source);
	close(d->source.fd);
	d->source.fd = -1;
}

static void
dial_free(struct dial *d)
{
	DL_DELETE(d->s->dials, d);
	lookup_cancel(d->lookup);
	loop_timer_clear(d->s->loop, &d->limit);
	dial_hang_up(d);
	handshake_fini(&d->handshake);
	free(d);
}

void
dial_stop_all(struct syncd *s)
{
	struct dial *d, *next;

	DL_FOREACH_SAFE(s->dials, d, next)
		dial_free(d);
}

static void
dial_give_up(struct dial *d)
{
	enum member_reason reason = d->reason;
	struct member *c = d->candidate;
	struct syncd *s = d->s;
	char detail[MEMBER_DETAIL_TEXT];

	memcpy(detail, d->detail, sizeof(detail));
	dial_free(d);
	dial_failed(s, c, reason, detail);
}

/* ---- one address ---- */

static void dial_next(struct dial *d);

/* This address is no good.  A later reason in the list says more about it than
 * an earlier one: somebody was there. */
static void
dial_miss(struct dial *d, enum member_reason reason, const char *detail)
{
	if (reason >= d->reason) {
		d->reason = reason;
		snprintf(d->detail, sizeof(d->detail), "%s", detail);
	}
	dial_hang_up(d);
	handshake_fini(&d->handshake);
	d->at++;
	dial_next(d);
}

static void
dial_miss_errno(struct dial *d, int errnum)
{
	switch (errnum) {
	case ECONNREFUSED:
		dial_miss(d, MEMBER_REFUSED, "");
		break;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EADDRNOTAVAIL:
	case EACCES:
	case EPERM:
		dial_miss(d, MEMBER_NO_ROUTE, strerror(errnum));
		break;
	case ETIMEDOUT:
		dial_miss(d, MEMBER_TIMEOUT, "");
		break;
	default:
		dial_miss(d, MEMBER_LOST, strerror(errnum));
	}
}

static void
dial_late(struct timer *timer)
{
	struct dial *d = loop_owner(timer, struct dial, limit);

	dial_miss(d, MEMBER_TIMEOUT,
	    d->is_connected ? "connected, but no answer" : "");
}

/* ---- the handshake ---- */

static bool
dial_send(struct dial *d, const uint8_t *bytes, size_t len)
{
	/* On a socket that carried nothing before: at once or never. */
	if (send(d->source.fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) ==
	    (ssize_t)len)
		return true;
	dial_miss_errno(d, errno);
	return false;
}

static void
dial_refused(struct dial *d)
{
	static const enum member_reason reasons[] = {
		[HANDSHAKE_FINE] = MEMBER_LOST,
		[HANDSHAKE_MAGIC] = MEMBER_NOT_KV,
		[HANDSHAKE_SUITE] = MEMBER_VERSION,
		[HANDSHAKE_GENERATION] = MEMBER_COOKIE,
		[HANDSHAKE_VERSION] = MEMBER_VERSION,
		[HANDSHAKE_POINT] = MEMBER_COOKIE,
		[HANDSHAKE_TAG] = MEMBER_COOKIE,
		[HANDSHAKE_OVER] = MEMBER_LOST,
	};
	char text[HANDSHAKE_EXPLAIN_TEXT];

	handshake_explain(&d->handshake, text);
	dial_miss(d, reasons[d->handshake.reason], text);
}

static void
dial_done(struct dial *d, struct handshake_session *session,
    struct kv_slice rest)
{
	struct member *c = d->candidate;
	struct syncd *s = d->s;
	int fd = d->source.fd, rc;

	loop_remove(s->loop, &d->source);
	d->source.fd = -1; /* the peer's */
	rc = peer_open(s, fd, session, rest, c, c->address);
	dial_free(d);
	if (rc < 0)
		dial_failed(s, c, MEMBER_TROUBLE, err_text(rc));
}

static void
dial_feed(struct dial *d, struct kv_slice in)
{
	struct handshake_step step;
	int rc;

	rc = handshake_feed(&d->handshake, in, &step);
	if (rc == KV_EMORE)
		return;
	if (rc < 0) {
		dial_refused(d);
		return;
	}
	if (step.reply_len > 0 && !dial_send(d, step.reply, step.reply_len)) {
		sodium_memzero(&step.session, sizeof(step.session));
		return;
	}
	if (step.done)
		dial_done(d, &step.session,
		    (struct kv_slice){ in.data + step.used,
			in.len - step.used });
}

static void
dial_read(struct dial *d)
{
	char bytes[DIAL_READ];
	ssize_t n;

	n = recv(d->source.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n > 0)
		dial_feed(d, (struct kv_slice){ bytes, (size_t)n });
	else if (n == 0 || errno == ECONNRESET)
		dial_miss(d, MEMBER_TURNED_AWAY,
		    "it may not know our cookie's generation, or take no more "
		    "attempts now");
	else if (errno != EAGAIN && errno != EINTR)
		dial_miss_errno(d, errno);
}

/* ---- connecting ---- */

static void
dial_connected(struct dial *d)
{
	struct handshake_terms terms = { .cluster = syncd_cluster(d->s),
		.vmin = SYNCD_VERSION,
		.vmax = SYNCD_VERSION };
	int errnum = 0;
	socklen_t len = sizeof(errnum);
	uint8_t m1[HANDSHAKE_M1];

	if (getsockopt(d->source.fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
		errnum = errno;
	if (errnum != 0) {
		dial_miss_errno(d, errnum);
		return;
	}
	d->is_connected = true;
	if (loop_modify(d->s->loop, &d->source, EPOLLIN) < 0) {
		dial_miss(d, MEMBER_TROUBLE, "epoll_ctl");
		return;
	}
	loop_timer_set(d->s->loop, &d->limit,
	    loop_now(d->s->loop) + DIAL_SHAKE_NS);
	handshake_dial(&d->handshake, d->s->ring, &terms, m1);
	(void)dial_send(d, m1, sizeof(m1));
}

static void
dial_ready(struct loop_source *source, uint32_t events)
{
	struct dial *d = loop_owner(source, struct dial, source);

	(void)events;
	if (d->is_connected)
		dial_read(d);
	else
		dial_connected(d);
}

static int
dial_connect(struct dial *d, const union lookup_address *to)
{
	int fd = socket(to->any.sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno;
	d->source = (struct loop_source){ .ready = dial_ready,
		.fd = fd,
		.events = EPOLLOUT };
	if (peer_tune(d->s, fd) < 0)
		return ENOTSOCK;
	if (connect(fd, &to->any, lookup_size(to)) < 0 && errno != EINPROGRESS)
		return errno;
	return loop_add(d->s->loop, &d->source) < 0 ? ENOMEM : 0;
}

/* The next address, or the end. */
static void
dial_next(struct dial *d)
{
	const union lookup_address *to = &d->to.address[d->at];
	struct limits_address from;
	char text[LOOKUP_TEXT];
	uint64_t now = syncd_now(d->s);
	int errnum;

	if (d->at == d->to.count) {
		dial_give_up(d);
		return;
	}
	lookup_text(to, text);
	member_dials(d->candidate, text);
	/* When it dials us, it is no stranger. */
	from = gate_address(&to->any);
	limits_know(d->s->limits, &from, now, now + LIMITS_KNOWN_MS);
	d->is_connected = false;
	loop_timer_set(d->s->loop, &d->limit,
	    loop_now(d->s->loop) + DIAL_CONNECT_NS);
	if ((errnum = dial_connect(d, to)) != 0)
		dial_miss_errno(d, errnum);
}

/* ---- where to ---- */

static void
dial_found(void *arg, const struct lookup_answer *answer)
{
	struct dial *d = arg;

	if (answer->count == 0) {
		d->reason = MEMBER_NO_HOST;
		snprintf(d->detail, sizeof(d->detail), "%s: %.90s",
		    d->candidate->host, answer->why);
	}
	d->to = *answer;
	dial_next(d);
}

/* Of this host: the run-time folder knows where it listens.  Who is not in it
 * may be another user's, and then listens on a port that nodes says or on the
 * well-known one, if that is not ourselves. */
static const char *
dial_local(const struct syncd *s, const struct member *c, uint16_t *port,
    char address[RUNDIR_ADDRESS_TEXT])
{
	uint16_t found = rundir_find(s->rundir, slice_of(c->want), address);

	if (found != 0) {
		*port = found;
		return address;
	}
	if (c->port == 0 && c->redirect == 0 && gate_holds_known_port(s->gate))
		return NULL;
	return "127.0.0.1";
}

void
dial_start(struct syncd *s, struct member *c)
{
	uint16_t port = (uint16_t)conf_u64(s->conf, CONF_SYNC_PORT);
	char address[RUNDIR_ADDRESS_TEXT];
	const char *host = c->host;
	bool services = c->source == MEMBER_OF_NODES && c->port == 0;
	struct dial *d;
	int rc;

	member_dials(c, "");
	if (c->redirect != 0 || c->port != 0)
		port = c->redirect != 0 ? c->redirect : c->port;
	if (c->is_local)
		host = dial_local(s, c, &port, address);
	if (host == NULL) {
		dial_failed(s, c, MEMBER_NOT_THERE, "");
		return;
	}
	if ((d = calloc(1, sizeof(*d))) == NULL) {
		dial_failed(s, c, MEMBER_TROUBLE, err_text(KV_ENOMEM));
		return;
	}
	d->s = s;
	d->candidate = c;
	d->source.fd = -1;
	d->limit.expired = dial_late;
	DL_APPEND(s->dials, d);
	rc = lookup_start(s->loop,
	    &(struct lookup_question){ host, port, services && !c->is_local,
		dial_found, d },
	    &d->lookup);
	if (rc < 0) {
		d->reason = MEMBER_TROUBLE;
		snprintf(d->detail, sizeof(d->detail), "%s", err_text(rc));
		dial_give_up(d);
	}
}
