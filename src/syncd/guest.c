/* SPDX-License-Identifier: ISC */
/* Handshakes of those who dialled us. */

#include "syncd/guest.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "io/sock.h"
#include "sync/handshake.h"
#include "syncd/gate.h"
#include "syncd/peer.h"

#define GUEST_READ 4096 /* a handshake, and frames that follow at once */
#define GUEST_TOLD_MAX 64
#define GUEST_LINES 10 /* of the log in a second */

struct guest {
	struct loop_source source;
	struct guests *all;
	struct handshake handshake;
	unsigned seat;
	char address[SOCK_TEXT_MAX];
};

/* What was last said of a source, so that it is said once. */
struct guest_told {
	struct limits_address from;
	uint64_t ms;
	unsigned what;
};

struct guests {
	struct syncd *s;
	struct timer deadline;
	struct guest guest[LIMITS_SEATS];
	struct guest_told told[GUEST_TOLD_MAX];
	uint64_t lines_ms; /* said since then */
	unsigned lines;
};

/* Codes of what can be said, beyond those of limits and handshakes. */
enum { TOLD_NOTHING, TOLD_LIMITS = 100, TOLD_SHAKES = 200, TOLD_LEFT = 300 };

static struct limits_address
guest_source(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_storage room;
	} from = { .any = { .sa_family = AF_UNSPEC } };
	socklen_t len = sizeof(from);

	if (getpeername(fd, &from.any, &len) < 0)
		from.any.sa_family = AF_UNSPEC;
	return gate_address(&from.any);
}

struct limits_address
gate_address(const struct sockaddr *from)
{
	struct limits_address a = { { [10] = 0xff, [11] = 0xff } };
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;

	if (from->sa_family == AF_INET) {
		memcpy(&in4, from, sizeof(in4));
		memcpy(a.bytes + 12, &in4.sin_addr, 4);
	} else if (from->sa_family == AF_INET6) {
		memcpy(&in6, from, sizeof(in6));
		memcpy(a.bytes, &in6.sin6_addr, 16);
	}
	return a;
}

/* ---- saying things once ---- */

static struct guest_told *
guests_told(struct guests *g, const struct limits_address *from)
{
	struct guest_told *oldest = g->told;
	size_t i;

	for (i = 0; i < GUEST_TOLD_MAX; i++) {
		struct guest_told *t = &g->told[i];

		if (memcmp(&t->from, from, sizeof(*from)) == 0)
			return t;
		if (t->ms < oldest->ms)
			oldest = t;
	}
	oldest->from = *from;
	oldest->what = TOLD_NOTHING;
	return oldest;
}

/* Whoever has many addresses does not fill the log with them. */
static bool
guests_may_tell(struct guests *g, uint64_t now_ms)
{
	if (now_ms - g->lines_ms >= 1000) {
		g->lines_ms = now_ms;
		g->lines = 0;
	}
	return g->lines++ < GUEST_LINES;
}

static void
guest_tell(struct guest *c, int fd, unsigned what, const char *text)
{
	struct limits_address from = guest_source(fd);
	struct guest_told *t = guests_told(c->all, &from);

	t->ms = syncd_now(c->all->s);
	/* It has been told what the penalty is for. */
	if (what == TOLD_LIMITS + LIMITS_PENALTY && t->what != TOLD_NOTHING)
		return;
	if (t->what != what && guests_may_tell(c->all, t->ms))
		log_warn("peer refused from=%s reason=\"%s\"", c->address,
		    text);
	t->what = what;
}

/* ---- seats ---- */

static void
guests_arm(struct guests *g)
{
	uint64_t first = UINT64_MAX, due;
	unsigned i;

	for (i = 0; i < LIMITS_SEATS; i++) {
		if (g->guest[i].all == NULL)
			continue;
		due = limits_deadline(g->s->limits, i);
		if (due < first)
			first = due;
	}
	if (first == UINT64_MAX)
		loop_timer_clear(g->s->loop, &g->deadline);
	else
		loop_timer_set(g->s->loop, &g->deadline, first * 1000000);
}

/* The socket stays open when it becomes a peer's. */
static void
guest_rise(struct guest *c)
{
	loop_remove(c->all->s->loop, &c->source);
	handshake_fini(&c->handshake);
	c->all = NULL;
}

static void
guest_leave(struct guest *c)
{
	struct guests *g = c->all;

	limits_leave(g->s->limits, c->seat, syncd_now(g->s));
	guest_rise(c);
	close(c->source.fd);
	guests_arm(g);
}

static void
guests_late(struct timer *timer)
{
	struct guests *g = loop_owner(timer, struct guests, deadline);
	int seat;

	while ((seat = limits_late(g->s->limits, syncd_now(g->s))) >= 0) {
		struct guest *c = &g->guest[seat];

		guest_tell(c, c->source.fd, TOLD_LIMITS + LIMITS_LATE,
		    limits_text(LIMITS_LATE));
		guest_leave(c);
	}
	guests_arm(g);
}

/* ---- bytes ---- */

static void
guest_done(struct guest *c, struct handshake_session *session,
    struct kv_slice rest)
{
	struct guests *g = c->all;
	struct syncd *s = g->s;
	int fd = c->source.fd;
	struct limits_address from = guest_source(fd);

	guests_told(g, &from)->what = TOLD_NOTHING; /* all is news again */
	limits_authenticated(s->limits, c->seat, syncd_now(s));
	if (s->peer_count >= SYNCD_PEERS_MAX) {
		guest_tell(c, fd, TOLD_LIMITS + LIMITS_FULL, "too many peers");
		sodium_memzero(session, sizeof(*session));
		guest_rise(c);
		close(fd);
	} else {
		guest_rise(c);
		if (peer_open(s, fd, session, rest, NULL, c->address) < 0)
			log_error("peer lost from=%s", c->address);
	}
	guests_arm(g);
}

/* We were so slow that it has hung up: it is owed nothing, and has guessed
 * nothing. */
static bool
guest_has_gone(const struct guest *c)
{
	char byte;

	return recv(c->source.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* M1 is whole: is it worth the work?  False: it has left. */
static bool
guest_asked(struct guest *c, struct handshake_step *step)
{
	struct guests *g = c->all;
	enum limits_answer answer;

	if (guest_has_gone(c)) {
		guest_leave(c);
		return false;
	}
	answer = limits_m1(g->s->limits, c->seat, syncd_now(g->s));
	if (answer != LIMITS_ALLOW) {
		guest_tell(c, c->source.fd, TOLD_LIMITS + answer,
		    limits_text(answer));
		guest_leave(c);
		return false;
	}
	guests_arm(g);
	return handshake_answer(&c->handshake, step) == KV_OK;
}

static void
guest_failed(struct guest *c)
{
	char text[HANDSHAKE_EXPLAIN_TEXT];

	handshake_explain(&c->handshake, text);
	guest_tell(c, c->source.fd, TOLD_SHAKES + c->handshake.reason, text);
	guest_leave(c);
}

/* What was asked is 96 bytes on an empty socket: it goes at once or never. */
static bool
guest_send(struct guest *c, const struct handshake_step *step)
{
	if (step->reply_len == 0)
		return true;
	if (send(c->source.fd, step->reply, step->reply_len,
		MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)step->reply_len)
		return true;
	guest_leave(c);
	return false;
}

static void
guest_feed(struct guest *c, struct kv_slice in)
{
	struct handshake_step step;
	int rc;

	while (in.len > 0) {
		rc = handshake_feed(&c->handshake, in, &step);
		if (rc == KV_EMORE)
			return;
		if (rc < 0) {
			guest_failed(c);
			return;
		}
		in.data += step.used;
		in.len -= step.used;
		if (step.asked && !guest_asked(c, &step)) {
			if (c->all != NULL)
				guest_failed(c);
			return;
		}
		if (!guest_send(c, &step))
			return;
		if (step.done) {
			guest_done(c, &step.session, in);
			return;
		}
	}
}

/* Whoever leaves after our proof has seen that his cookie is another. */
static void
guest_left(struct guest *c)
{
	if (c->handshake.state == HANDSHAKE_WAIT_M3)
		guest_tell(c, c->source.fd, TOLD_LEFT,
		    "cookie rejected: it left after our proof, so its cookie "
		    "or cluster is another");
	guest_leave(c);
}

static void
guest_ready(struct loop_source *source, uint32_t events)
{
	struct guest *c = loop_owner(source, struct guest, source);
	char bytes[GUEST_READ];
	ssize_t n;

	(void)events;
	n = recv(source->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n > 0)
		guest_feed(c, (struct kv_slice){ bytes, (size_t)n });
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		guest_left(c);
}

/* ---- coming in ---- */

static bool
guest_sit(struct guests *g, struct guest *c, int fd)
{
	struct handshake_terms terms = { .cluster = syncd_cluster(g->s),
		.vmin = SYNCD_VERSION,
		.vmax = SYNCD_VERSION };

	c->source = (struct loop_source){ .ready = guest_ready,
		.fd = fd,
		.events = EPOLLIN };
	if (peer_tune(g->s, fd) < 0 || loop_add(g->s->loop, &c->source) < 0)
		return false;
	handshake_accept(&c->handshake, g->s->ring, &terms);
	return true;
}

void
guests_enter(struct guests *g, int fd)
{
	struct limits_address from = guest_source(fd);
	enum limits_answer answer;
	struct guest *c, standing = { .all = g };
	unsigned seat;

	sock_peer_text(fd, standing.address, sizeof(standing.address));
	answer = limits_enter(g->s->limits, &from, syncd_now(g->s), &seat);
	if (answer != LIMITS_ALLOW) {
		guest_tell(&standing, fd, TOLD_LIMITS + answer,
		    limits_text(answer));
		close(fd);
		return;
	}
	c = &g->guest[seat];
	memset(c, 0, sizeof(*c));
	memcpy(c->address, standing.address, sizeof(c->address));
	c->seat = seat;
	c->all = g;
	if (!guest_sit(g, c, fd)) {
		guest_leave(c);
		return;
	}
	guests_arm(g);
}

int
guests_new(struct syncd *s, struct guests **out)
{
	struct guests *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return KV_ENOMEM;
	g->s = s;
	g->deadline.expired = guests_late;
	*out = g;
	return KV_OK;
}

void
guests_free(struct guests *g)
{
	size_t i;

	if (g == NULL)
		return;
	for (i = 0; i < LIMITS_SEATS; i++) {
		if (g->guest[i].all != NULL)
			guest_leave(&g->guest[i]);
	}
	loop_timer_clear(g->s->loop, &g->deadline);
	free(g);
}
