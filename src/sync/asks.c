/* SPDX-License-Identifier: ISC */
/* Calls, the side that asks: at most once, and never without an end. */

#include <stdlib.h>
#include <utlist.h>

#include "sync/service.h"

static struct ask *
ask_find(const struct services *s, uint64_t id)
{
	struct ask *a;

	HASH_FIND(hh, s->asks, &id, sizeof(id), a);
	return a;
}

static void
ask_drop_args(struct services *s, struct ask *a)
{
	s->ask_bytes -= a->args.len;
	buf_fini(&a->args);
}

static void
ask_free(struct services *s, struct ask *a)
{
	if (a->peer != NULL) {
		DL_DELETE(a->peer->asks, a);
		a->peer->ask_count--;
	}
	HASH_DEL(s->asks, a);
	ask_drop_args(s, a);
	free(a);
}

/* Tell the program, who may do what it likes with other asks meanwhile. */
static void
ask_end(struct services *s, struct ask *a, enum services_end end,
    struct kv_slice why)
{
	uint64_t id = a->id;

	ask_free(s, a);
	s->config.ops->answered(s->config.user, id, end, why);
}

int
services_ask(struct services *s, const struct services_request *r,
    uint64_t now_ms, uint64_t *ask)
{
	struct service_peer *p = service_peer_named(s, r->node);
	struct ask *a;
	int rc;

	if (p == NULL)
		return KV_ENOTFOUND;
	if (p->ask_count >= SERVICES_CALLS)
		return KV_EBUSY;
	if ((a = calloc(1, sizeof(*a))) == NULL)
		return KV_ENOMEM;
	buf_init(&a->args);
	rc = item_put_args(&a->args, r->argv, r->argc);
	if (rc == KV_OK && a->args.len > SERVICES_ARGS - s->ask_bytes)
		rc = KV_EBUSY;
	if (rc < 0) {
		buf_fini(&a->args);
		free(a);
		return rc;
	}
	s->ask_bytes += a->args.len;
	a->id = service_id(s);
	a->peer = p;
	a->deadline_ms = r->deadline_ms;
	a->due_ms = r->deadline_ms == 0 ? UINT64_MAX : now_ms + r->deadline_ms;
	DL_APPEND(p->asks, a);
	p->ask_count++;
	HASH_ADD(hh, s->asks, id, sizeof(a->id), a);
	*ask = a->id;
	return KV_OK;
}

void
services_taken(struct services *s, uint64_t ask, size_t n)
{
	struct ask *a = ask_find(s, ask);

	if (a == NULL)
		return;
	n = n < a->out ? n : a->out;
	a->out -= n;
	a->grant += (uint32_t)n;
}

/* What was not sent yet never will be; else the peer has to know. */
void
services_drop(struct services *s, uint64_t ask)
{
	struct ask *a = ask_find(s, ask);

	if (a == NULL)
		return;
	if (a->sent == 0)
		ask_free(s, a);
	else
		a->is_dropped = true;
}

int
asks_receive(struct service_peer *p, const struct frame *f)
{
	static const enum services_end ends[] = {
		[REPLY_OK] = CALL_DONE,
		[REPLY_FAILED] = CALL_FAILED,
		[REPLY_NOT_FOUND] = CALL_NOT_FOUND,
		[REPLY_DENIED] = CALL_DENIED,
		[REPLY_TIMEOUT] = CALL_TIMEOUT,
	};
	const struct frame_reply *r = &f->u.reply;
	struct services *s = p->services;
	struct ask *a = ask_find(s, r->id);

	if (a == NULL || a->peer != p)
		return KV_OK; /* it crossed our FLOW, or the deadline */
	if (r->class == REPLY_OK && r->bytes.len > 0) {
		if (r->bytes.len > SERVICES_WINDOW - a->out - a->grant)
			return KV_EPROTO;
		a->out += r->bytes.len;
		if (a->is_dropped)
			services_taken(s, r->id, r->bytes.len);
		else
			s->config.ops->answer(s->config.user, r->id, r->bytes);
		a = ask_find(s, r->id);
	}
	if (r->flags & FRAME_MORE || a == NULL)
		return KV_OK;
	if (a->is_dropped)
		ask_free(s, a);
	else
		ask_end(s, a, ends[r->class],
		    r->class == REPLY_OK ? (struct kv_slice){ "", 0 }
					 : r->bytes);
	return KV_OK;
}

static int
ask_send_call(struct ask *a, struct buf *out)
{
	const size_t most = FRAME_MAX - 64;
	size_t n = a->args.len - a->sent;
	uint64_t now = a->peer->services->now_ms;
	struct frame f = { .type = FRAME_CALL };
	int rc;

	n = n < most ? n : most;
	f.u.call.id = a->id;
	f.u.call.flags = a->sent + n < a->args.len ? FRAME_MORE : 0;
	/* What is left of it by now; the peer's clock need not be ours. */
	f.u.call.deadline_ms = a->deadline_ms == 0 ? 0
	    : a->due_ms > now			   ? (uint32_t)(a->due_ms - now)
						   : 1;
	f.u.call.bytes = (struct kv_slice){ a->args.data + a->sent, n };
	if ((rc = frame_encode(&f, out)) < 0)
		return rc;
	a->sent += n;
	if (a->sent == a->args.len) {
		a->is_sent = true;
		ask_drop_args(a->peer->services, a);
	}
	return KV_OK;
}

static int
ask_send_flow(struct ask *a, uint32_t credit, struct buf *out)
{
	struct frame f = {
		.type = FRAME_FLOW,
		.u.flow = { a->id, credit },
	};

	return frame_encode(&f, out);
}

/* The frames of one call follow each other: finish what has begun. */
int
asks_send(struct service_peer *p, struct buf *out)
{
	struct ask *a;
	int rc;

	DL_FOREACH(p->asks, a) {
		if (!a->is_sent)
			return ask_send_call(a, out);
		if (a->is_dropped) {
			rc = ask_send_flow(a, 0, out);
			if (rc == KV_OK)
				ask_free(p->services, a);
			return rc;
		}
		if (a->grant >= SERVICES_WINDOW / 4) {
			rc = ask_send_flow(a, a->grant, out);
			if (rc == KV_OK)
				a->grant = 0;
			return rc;
		}
	}
	return KV_EAGAIN;
}

/* One whose time is up, NULL; when the next one's will be. */
static struct ask *
ask_late(const struct services *s, uint64_t *next_ms)
{
	struct ask *a, *next;

	HASH_ITER(hh, s->asks, a, next) {
		if (a->is_dropped)
			continue;
		if (a->due_ms <= s->now_ms)
			return a;
		service_sooner(next_ms, a->due_ms);
	}
	return NULL;
}

void
asks_turn(struct services *s, uint64_t *next_ms)
{
	struct ask *a;
	uint64_t id;

	while ((a = ask_late(s, next_ms)) != NULL) {
		id = a->id;
		services_drop(s, id);
		s->config.ops->answered(s->config.user, id, CALL_TIMEOUT,
		    slice_of("no answer within the time limit"));
	}
}

void
asks_down(struct service_peer *p)
{
	struct services *s = p->services;
	struct ask *a;

	while ((a = p->asks) != NULL) {
		if (a->is_dropped)
			ask_free(s, a);
		else
			ask_end(s, a, CALL_NO_LINK,
			    slice_of("the link is down"));
	}
}

void
asks_fini(struct services *s)
{
	struct ask *a, *next;

	HASH_ITER(hh, s->asks, a, next)
		ask_free(s, a);
}
