/* SPDX-License-Identifier: ISC */
/* A connection's life: reading, holding back, closing. */

#include "serve/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/log.h"

#define CONN_READ_MIN 16384

/* A hang-up comes unasked, and would close: who wants all that was sent before
 * it is not watched at all while he does not read. */
static int
conn_watch(struct conn *c, uint32_t events)
{
	struct loop *loop = c->serve->loop;

	if (c->flags & CONN_WHOLE && events == 0) {
		loop_remove(loop, &c->source);
		return KV_OK;
	}
	if (c->source.watched)
		return loop_modify(loop, &c->source, events);
	c->source.events = events;
	return loop_add(loop, &c->source);
}

void
conn_update(struct conn *c)
{
	uint32_t events = 0;

	if (c->flags & CONN_DEAD)
		return;
	if (!(c->flags & CONN_NOREAD))
		events |= EPOLLIN;
	if (c->flags & CONN_WANT_OUT)
		events |= EPOLLOUT;
	if (conn_watch(c, events) < 0)
		conn_close(c);
}

void
conn_free_if_dead(struct conn *c)
{
	if (!(c->flags & CONN_DEAD) || c->flags & (CONN_BUSY | CONN_AGAIN) ||
	    c->marks > 0)
		return;
	buf_fini(&c->in);
	free(c);
}

void
conn_close(struct conn *c)
{
	struct serve *s = c->serve;

	if (c->flags & CONN_DEAD)
		return;
	c->flags |= CONN_DEAD;
	if (c->flags & CONN_LINGER)
		s->lingering--;
	loop_forget(s->loop, &c->source);
	close(c->source.fd);
	DL_DELETE(s->conns, c);
	s->count--;
	s->unsent -= c->counted;
	buf_fini(&c->out);
	s->handlers->closed(c);
	conn_free_if_dead(c);
}

void
conn_close_if_done(struct conn *c)
{
	uint32_t waits = CONN_HOLD_OWNER | CONN_HOLD_OUTPUT | CONN_AGAIN;

	if (c->flags & CONN_DEAD || output_pending(c) > 0)
		return;
	if (c->flags & CONN_CLOSING ||
	    (c->flags & CONN_EOF && !(c->flags & waits)))
		conn_close(c);
}

void
conn_finish(struct conn *c, bool linger)
{
	if (c->flags & CONN_DEAD)
		return;
	c->flags |= CONN_CLOSING;
	if (linger && !(c->flags & CONN_LINGER)) {
		c->flags |= CONN_LINGER;
		c->active_ns = loop_now(c->serve->loop);
		c->serve->lingering++;
		serve_arm_sweep(c->serve);
	}
	conn_update(c);
}

void
conn_hold(struct conn *c, enum conn_flag why)
{
	c->flags |= why;
}

void
conn_release(struct conn *c, enum conn_flag why)
{
	if (!(c->flags & why) || c->flags & CONN_DEAD)
		return;
	c->flags &= ~(uint32_t)why;
	conn_again(c);
}

void
conn_again(struct conn *c)
{
	struct serve *s = c->serve;

	if (c->flags & (CONN_AGAIN | CONN_DEAD))
		return;
	c->flags |= CONN_AGAIN;
	c->again = NULL;
	*s->again_end = c;
	s->again_end = &c->again;
	loop_again(s->loop);
}

bool
conn_enter(struct conn *c)
{
	bool outer = c->flags & CONN_BUSY;

	c->flags |= CONN_BUSY;
	return outer;
}

void
conn_leave(struct conn *c, bool outer)
{
	if (outer)
		return;
	c->flags &= ~(uint32_t)CONN_BUSY;
	conn_free_if_dead(c);
}

/* What the handler did not use is kept, in memory of the connection. */
static void
conn_keep(struct conn *c, struct kv_slice in, size_t used)
{
	size_t left = in.len - used;

	if (in.data == c->in.data) {
		buf_consume(&c->in, used);
		if (c->in.len == 0)
			buf_fini(&c->in);
	} else if (left > 0 && buf_append(&c->in, in.data + used, left) < 0) {
		conn_close(c);
		return;
	}
	if (c->in.len > c->serve->limits.input) {
		log_warn("close fd=%d reason=request_too_large bytes=%zu",
		    c->source.fd, c->in.len);
		conn_close(c);
	}
}

static void
conn_work(struct conn *c, struct kv_slice in)
{
	bool outer = conn_enter(c);
	size_t used;

	c->need = 0;
	used = c->serve->handlers->input(c, in);
	if (!(c->flags & CONN_DEAD))
		conn_keep(c, in, used);
	conn_update(c);
	conn_close_if_done(c);
	conn_leave(c, outer);
}

void
conn_run(struct conn *c)
{
	conn_work(c, buf_slice(&c->in));
}

static void
conn_read(struct conn *c)
{
	struct serve *s = c->serve;
	char *to = s->input;
	size_t room = SERVE_INPUT_SIZE;
	ssize_t n;

	if (c->in.len > 0) {
		room = c->need > CONN_READ_MIN ? c->need : CONN_READ_MIN;
		if (buf_reserve(&c->in, room) < 0) {
			conn_close(c);
			return;
		}
		to = c->in.data + c->in.len;
		room = c->in.cap - c->in.len;
	}
	n = recv(c->source.fd, to, room, 0);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			conn_close(c);
		return;
	}
	c->active_ns = loop_now(s->loop);
	if (n == 0)
		c->flags |= CONN_EOF;
	if (to == s->input) {
		conn_work(c, (struct kv_slice){ to, (size_t)n });
	} else {
		c->in.len += (size_t)n;
		conn_work(c, buf_slice(&c->in));
	}
}

static void
conn_ready(struct loop_source *source, uint32_t events)
{
	struct conn *c = loop_owner(source, struct conn, source);
	bool outer = conn_enter(c);

	if (events & EPOLLOUT)
		output_flush(c);
	if (events & EPOLLIN && !(c->flags & CONN_NOREAD))
		conn_read(c);
	else if (events & (EPOLLHUP | EPOLLERR))
		conn_close(c);
	conn_leave(c, outer);
}

struct conn *
conn_take(struct serve *s, int fd, uint32_t flags)
{
	struct conn *c = calloc(1, s->handlers->size);

	if (c == NULL)
		goto fail;
	c->serve = s;
	c->flags = flags;
	c->source.fd = fd;
	c->source.ready = conn_ready;
	c->source.events = EPOLLIN;
	c->active_ns = loop_now(s->loop);
	if (loop_add(s->loop, &c->source) < 0)
		goto fail;
	DL_APPEND(s->conns, c);
	s->count++;
	s->handlers->opened(c);
	if (s->limits.idle_ns > 0)
		serve_arm_sweep(s);
	return c;
fail:
	free(c);
	close(fd);
	return NULL;
}
