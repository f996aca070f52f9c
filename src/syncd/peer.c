/* SPDX-License-Identifier: ISC */
/* Bytes of authenticated connections. */

#include "syncd/peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/err.h"
#include "base/log.h"

#define PEER_INPUT_MAX (2 * CHANNEL_FRAME_MAX)
#define PEER_FRAMES 32		   /* of one peer in one turn */
#define PEER_ROUNDS 8		   /* of filling and writing in one turn */
#define PEER_LINGER_NS 2000000000u /* until the other end has read the BYE */

static int
peer_set_timeout(int fd, unsigned ms)
{
	if (setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms)) < 0)
		return err_system("setsockopt", "peer");
	return KV_OK;
}

int
peer_tune(const struct syncd *s, int fd)
{
	int one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		return err_system("setsockopt", "peer");
	return peer_set_timeout(fd,
	    (unsigned)conf_u64(s->conf, CONF_SYNC_TIMEOUT));
}

void
peer_agreed(struct peer *p)
{
	struct replica_status st;

	if (p->link == NULL)
		return;
	replica_status(p->s->replica, p->link, &st);
	/* With the one of before the kernel gives up sooner, no more. */
	(void)!peer_set_timeout(p->source.fd, st.timeout_ms);
}

/* ---- the end ---- */

/* It is over; the first reason counts. */
static void
peer_blame(struct peer *p, enum member_reason reason, const char *detail)
{
	if (p->reason != MEMBER_FINE)
		return;
	p->reason = reason;
	snprintf(p->detail, sizeof(p->detail), "%s", detail);
}

static void
peer_die(struct peer *p, enum member_reason reason, const char *detail)
{
	peer_blame(p, reason, detail);
	p->state = PEER_DEAD;
	p->s->turn_wanted = true; /* to be buried */
}

void
peer_unlink(struct peer *p)
{
	if (p->link != NULL)
		replica_close(p->s->replica, p->link);
	p->link = NULL;
}

static void
peer_lingered(struct timer *timer)
{
	struct peer *p = loop_owner(timer, struct peer, linger);

	peer_die(p, MEMBER_LOST, "");
}

/* Closing at once would make the kernel send a reset when there is something
 * unread, and that may overtake the BYE. */
static void
peer_linger(struct peer *p)
{
	p->state = PEER_LINGERING;
	p->in.len = p->in_at = 0;
	if (p->has_ended || shutdown(p->source.fd, SHUT_WR) < 0)
		peer_die(p, MEMBER_LOST, "");
	else
		loop_timer_set(p->s->loop, &p->linger,
		    loop_now(p->s->loop) + PEER_LINGER_NS);
}

/* ---- sockets ---- */

static void
peer_listen(struct peer *p)
{
	uint32_t events = 0;

	if (p->state == PEER_DEAD)
		return;
	if (!p->has_ended && p->in.len < PEER_INPUT_MAX)
		events |= EPOLLIN;
	if (p->out.len > p->out_at)
		events |= EPOLLOUT;
	if (loop_modify(p->s->loop, &p->source, events) < 0)
		peer_die(p, MEMBER_TROUBLE, "epoll_ctl");
}

/* Write what the socket takes. */
static void
peer_flush(struct peer *p)
{
	ssize_t n;

	while (p->state != PEER_DEAD && p->out.len > p->out_at) {
		n = send(p->source.fd, p->out.data + p->out_at,
		    p->out.len - p->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			peer_die(p, MEMBER_LOST, strerror(errno));
			return;
		}
		p->out_at += (size_t)n;
	}
	if (p->out.len == p->out_at) {
		p->out.len = p->out_at = 0;
		if (p->state == PEER_CLOSING && p->has_said_all)
			peer_linger(p);
	}
	peer_listen(p);
}

/* Take what there is, as far as there is room. */
static void
peer_read(struct peer *p)
{
	ssize_t n;

	buf_consume(&p->in, p->in_at);
	p->in_at = 0;
	if (buf_reserve(&p->in, CHANNEL_FRAME_MAX) < 0) {
		peer_die(p, MEMBER_TROUBLE, err_text(KV_ENOMEM));
		return;
	}
	n = recv(p->source.fd, p->in.data + p->in.len, p->in.cap - p->in.len,
	    MSG_DONTWAIT);
	if (n > 0) {
		p->in.len += (size_t)n;
	} else if (n == 0) {
		p->has_ended = true;
	} else if (errno == ETIMEDOUT) {
		peer_die(p, MEMBER_SILENT, "takes no more bytes");
	} else if (errno != EAGAIN && errno != EINTR) {
		peer_die(p, MEMBER_LOST, strerror(errno));
	}
	if (p->state == PEER_LINGERING) {
		p->in.len = 0;
		if (p->has_ended)
			peer_die(p, MEMBER_LOST, "");
	}
}

static void
peer_ready(struct loop_source *source, uint32_t events)
{
	struct peer *p = loop_owner(source, struct peer, source);

	p->s->turn_wanted = true;
	if (events & ~(uint32_t)EPOLLOUT && !p->has_ended)
		peer_read(p);
	peer_flush(p);
}

/* ---- frames ---- */

static void
peer_wrong(struct peer *p, enum member_reason reason, int rc)
{
	peer_blame(p, reason, err_text(rc));
	if (p->state == PEER_OPEN)
		p->state = PEER_CLOSING;
}

/* One frame; false: no more now. */
static bool
peer_take_frame(struct peer *p)
{
	struct channel_frame f;
	int rc;

	rc = channel_open(&p->channel, p->in.data + p->in_at,
	    p->in.len - p->in_at, &f);
	if (rc == KV_EMORE)
		return false;
	if (rc < 0) { /* its bytes can be trusted no more */
		peer_die(p, MEMBER_PROTOCOL,
		    rc == KV_ECORRUPT ? "a frame was altered on the way"
				      : "not a frame");
		return false;
	}
	rc = replica_receive(p->s->replica, p->link, f.plain);
	p->in_at += f.used;
	if (rc == KV_ECLOSED)
		peer_wrong(p, MEMBER_LOST, rc);
	else if (rc < 0)
		peer_wrong(p, MEMBER_PROTOCOL, rc);
	return rc == KV_OK && !f.is_final;
}

void
peer_take(struct peer *p)
{
	unsigned n = 0;

	p->has_more = false;
	if (p->state == PEER_OPEN && p->is_kicked)
		replica_leave(p->s->replica, p->link, BYE_KICKED);
	else if (p->state == PEER_OPEN &&
	    channel_is_worn(&p->channel, syncd_now(p->s)))
		replica_leave(p->s->replica, p->link, BYE_WORN);
	while (p->state == PEER_OPEN &&
	    replica_wants_input(p->s->replica, p->link) &&
	    p->in.len > p->in_at) {
		if (n++ == PEER_FRAMES) {
			p->has_more = true;
			break;
		}
		if (!peer_take_frame(p))
			break;
	}
	buf_consume(&p->in, p->in_at);
	p->in_at = 0;
	if (p->has_ended && !p->has_more && p->state != PEER_DEAD)
		peer_die(p, MEMBER_LOST, "closed by the other end");
}

/* One frame out; false: no more now. */
static bool
peer_give_frame(struct peer *p)
{
	size_t at, plain;
	bool is_bye;
	int rc;

	if ((rc = channel_begin(&p->out, &at)) < 0) {
		peer_die(p, MEMBER_TROUBLE, err_text(rc));
		return false;
	}
	plain = p->out.len;
	rc = replica_send(p->s->replica, p->link, &p->out);
	if (rc < 0) {
		p->out.len = at;
		p->has_said_all = true;
		if (rc == KV_ECLOSED && p->state == PEER_OPEN)
			p->state = PEER_CLOSING;
		else if (rc != KV_EAGAIN && rc != KV_ECLOSED)
			peer_die(p, MEMBER_TROUBLE, err_text(rc));
		return false;
	}
	is_bye = (uint8_t)p->out.data[plain] == FRAME_BYE;
	p->has_said_all = is_bye;
	rc = channel_end(&p->channel, &p->out, at, is_bye, syncd_now(p->s));
	if (rc < 0)
		peer_die(p, MEMBER_TROUBLE, err_text(rc));
	return rc == KV_OK && !is_bye;
}

void
peer_give(struct peer *p)
{
	unsigned round;

	for (round = 0; round < PEER_ROUNDS; round++) {
		bool full = true;

		while ((p->state == PEER_OPEN || p->state == PEER_CLOSING) &&
		    p->out.len - p->out_at < SYNCD_BYTES_MAX && full)
			full = peer_give_frame(p);
		peer_flush(p);
		if (!full || p->out.len > p->out_at || p->state == PEER_DEAD)
			return;
	}
	p->has_more = true;
}

/* ---- life ---- */

int
peer_open(struct syncd *s, int fd, struct handshake_session *session,
    struct kv_slice rest, struct member *dialled, const char *address)
{
	struct kv_slice want = slice_of(dialled == NULL ? "" : dialled->want);
	struct peer *p = calloc(1, sizeof(*p));
	int rc = KV_ENOMEM;

	if (p == NULL) {
		sodium_memzero(session, sizeof(*session));
		close(fd);
		return rc;
	}
	p->s = s;
	p->dialled = dialled;
	p->source = (struct loop_source){ .ready = peer_ready,
		.fd = fd,
		.events = EPOLLIN };
	p->linger.expired = peer_lingered;
	snprintf(p->address, sizeof(p->address), "%s", address);
	channel_take(&p->channel, session, syncd_now(s));
	DL_APPEND(s->peers, p);
	s->peer_count++;
	s->turn_wanted = true;
	if ((rc = buf_append(&p->in, rest.data, rest.len)) < 0 ||
	    (rc = replica_open(s->replica, dialled != NULL, want, &p->link)) <
		0 ||
	    (rc = loop_add(s->loop, &p->source)) < 0) {
		p->dialled = NULL; /* the caller tells */
		peer_die(p, MEMBER_TROUBLE, err_text(rc));
	}
	p->number = replica_link_number(p->link);
	return rc;
}

void
peer_free(struct peer *p)
{
	struct syncd *s = p->s;

	DL_DELETE(s->peers, p);
	s->peer_count--;
	loop_timer_clear(s->loop, &p->linger);
	loop_remove(s->loop, &p->source);
	close(p->source.fd);
	channel_fini(&p->channel);
	if (p->in.cap > 0)
		sodium_memzero(p->in.data, p->in.cap);
	buf_fini(&p->in);
	buf_fini(&p->out);
	free(p);
}
