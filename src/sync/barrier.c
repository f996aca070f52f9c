/* SPDX-License-Identifier: ISC */
/* Barriers of peers: each is told our whole vector once we have its write. */

#include "sync/mutate.h"
#include "sync/service.h"

int
barrier_receive(struct service_peer *p, const struct frame *f)
{
	if (p->barrier_count == SERVICES_BARRIERS)
		return KV_EPROTO;
	p->barriers[p->barrier_count++] = (struct barrier_ask){
		f->u.barrier.id,
		f->u.barrier.tick,
	};
	return KV_OK;
}

struct vector_copy {
	struct services *services;
	struct service_peer *peer;
	uint64_t has; /* how far we have what the peer wrote */
	struct buf *to;
};

static int
barrier_row(void *user, const struct sync_row *row)
{
	struct vector_copy *c = user;

	if (row->inc == c->services->config.inc)
		return KV_OK;
	if (row->inc == c->peer->inc)
		c->has = row->own > row->vv ? row->own : row->vv;
	return item_put_row(c->to, (struct item_row){ row->inc, row->vv });
}

/* Our whole vector, as it is in this view, for the first BARRIER whose write we
 * have. */
static int
barrier_vector(struct service_peer *p)
{
	struct services *s = p->services;
	struct sync_store *store = &s->config.store;
	struct vector_copy c = { s, p, 0, &p->vector };
	struct item_row own = { s->config.inc, 0 };
	size_t i;
	int rc;

	p->vector.len = p->vector_at = 0;
	rc = store->ops->rows(store->self, false, barrier_row, &c);
	if (rc < 0)
		return rc;
	for (i = 0; i < p->barrier_count; i++)
		if (p->barriers[i].tick <= c.has || MUTATED(NO_BARRIER_ACK))
			break;
	if (i == p->barrier_count)
		return KV_EAGAIN;
	own.tick = store->ops->head(store->self);
	if ((rc = item_put_row(&p->vector, own)) < 0)
		return rc;
	p->vector_id = p->barriers[i].id;
	p->has_vector = true;
	p->barriers[i] = p->barriers[--p->barrier_count];
	return KV_OK;
}

static int
barrier_send_vector(struct service_peer *p, struct buf *out)
{
	const size_t most = (size_t)FRAME_ROWS_MAX * FRAME_ROW;
	size_t n = p->vector.len - p->vector_at;
	struct frame f = { .type = FRAME_BARRIER_OK };
	int rc;

	n = n < most ? n : most;
	f.u.barrier_ok.id = p->vector_id;
	f.u.barrier_ok.flags =
	    p->vector_at + n < p->vector.len ? FRAME_MORE : 0;
	f.u.barrier_ok.rows =
	    (struct kv_slice){ p->vector.data + p->vector_at, n };
	if ((rc = frame_encode(&f, out)) < 0)
		return rc;
	p->vector_at += n;
	p->has_vector = p->vector_at < p->vector.len;
	if (!p->has_vector) {
		p->vector.len = 0;
		buf_shrink(&p->vector, 4096);
	}
	return KV_OK;
}

int
barrier_send(struct service_peer *p, struct buf *out)
{
	int rc;

	if (!p->has_vector && p->barrier_count > 0 &&
	    (rc = barrier_vector(p)) < 0 && rc != KV_EAGAIN)
		return rc;
	if (p->has_vector)
		return barrier_send_vector(p, out);
	return KV_EAGAIN;
}
