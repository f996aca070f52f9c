/* SPDX-License-Identifier: ISC */
/* What all connections of the process share. */

#include "serve/serve.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <utlist.h>

#include "serve/conn.h"

#define SERVE_LINGER_NS 30000000000u
#define SERVE_SWEEP_NS 1000000000u

static void serve_sweep(struct timer *timer);

int
serve_init(struct serve *s, struct loop *loop,
    const struct serve_handlers *handlers, const struct serve_limits *limits,
    void *owner)
{
	*s = (struct serve){
		.loop = loop,
		.handlers = handlers,
		.limits = *limits,
		.owner = owner,
		.sweep = { .expired = serve_sweep },
	};
	s->again_end = &s->again;
	buf_init(&s->output.bytes);
	s->input = malloc(SERVE_INPUT_SIZE);
	return s->input == NULL ? KV_ENOMEM : KV_OK;
}

void
serve_fini(struct serve *s)
{
	struct conn *c, *next;

	DL_FOREACH_SAFE(s->conns, c, next)
		conn_close(c);
	serve_durable(s, UINT64_MAX);
	serve_run_again(s);
	loop_timer_clear(s->loop, &s->sweep);
	marks_fini(&s->marks);
	buf_fini(&s->output.bytes);
	free(s->input);
}

void
serve_run_again(struct serve *s)
{
	struct conn *c = s->again, *next;

	s->again = NULL;
	s->again_end = &s->again;
	for (; c != NULL; c = next) {
		next = c->again;
		c->flags &= ~(uint32_t)CONN_AGAIN;
		if (c->flags & CONN_DEAD)
			conn_free_if_dead(c);
		else
			conn_run(c);
	}
}

void
serve_durable(struct serve *s, uint64_t durable)
{
	const struct mark *m;
	struct conn *c;
	bool outer;

	while ((m = marks_first(&s->marks)) != NULL && m->lsn <= durable) {
		c = m->conn;
		c->marks--;
		if (!(c->flags & CONN_DEAD))
			c->ready = (size_t)(m->offset - c->base);
		marks_pop(&s->marks);
		/* The next mark may be its own: send both with one call. */
		m = marks_first(&s->marks);
		if (m != NULL && m->conn == c && m->lsn <= durable)
			continue;
		if (c->flags & CONN_WANT_OUT)
			continue;
		outer = conn_enter(c);
		output_flush(c);
		conn_leave(c, outer);
	}
}

bool
serve_lowest(const struct serve *s, uint64_t *lsn)
{
	const struct mark *m = marks_first(&s->marks);

	if (m == NULL)
		return false;
	*lsn = m->lsn;
	return true;
}

void
serve_drain(struct serve *s)
{
	struct conn *c, *next;
	bool outer;

	DL_FOREACH_SAFE(s->conns, c, next) {
		outer = conn_enter(c);
		/* What the client sent before it could know: look once. */
		if (!(c->flags & CONN_NOREAD))
			c->source.ready(&c->source, EPOLLIN);
		c->flags |= CONN_EOF;
		conn_update(c);
		conn_close_if_done(c);
		conn_leave(c, outer);
	}
}

static void
serve_sweep(struct timer *timer)
{
	struct serve *s = loop_owner(timer, struct serve, sweep);
	uint64_t now = loop_now(s->loop), idle = s->limits.idle_ns, limit;
	struct conn *c, *next;

	DL_FOREACH_SAFE(s->conns, c, next) {
		limit = c->flags & CONN_PATIENT ? 0 : idle;
		if (c->flags & CONN_LINGER)
			limit = SERVE_LINGER_NS;
		if (limit > 0 && now - c->active_ns >= limit)
			conn_close(c);
	}
	serve_arm_sweep(s);
}

void
serve_arm_sweep(struct serve *s)
{
	bool wanted =
	    s->lingering > 0 || (s->limits.idle_ns > 0 && s->count > 0);

	if (wanted && !s->sweep.is_set)
		loop_timer_set(s->loop, &s->sweep,
		    loop_now(s->loop) + SERVE_SWEEP_NS);
}
