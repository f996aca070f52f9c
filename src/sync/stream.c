/* SPDX-License-Identifier: ISC */
/* Sending: the log is the queue, a sender holds a frame's worth of ops and its
 * place.  Credit bounds what is on the way. */

#include "sync/core.h"

#define KEEP (2 * FRAME_DATA_MAX)
#define PASSED_MAX 16384 /* records looked at between two MARKs */
#define CREDIT_MAX (UINT32_MAX / 2)

static int (*const fills[CORE_STREAMS])(struct replica *,
    struct replica_link *) = {
	[STREAM_OWN] = push_fill,
	[STREAM_FULL] = full_fill,
	[STREAM_RANGE] = range_fill,
};

static const enum frame_type frames[CORE_STREAMS] = {
	[STREAM_OWN] = FRAME_DATA_OWN,
	[STREAM_FULL] = FRAME_DATA_FULL,
	[STREAM_RANGE] = FRAME_DATA_RANGE,
};

static size_t
pending(const struct sender *s)
{
	return s->out.len - s->sent;
}

/* ---- beginning and end ---- */

void
stream_end(struct replica *r, struct sender *s)
{
	if (s->is_large)
		r->large_out[s->pool]--;
	s->is_open = s->is_large = false;
	s->out.len = s->sent = 0;
	buf_shrink(&s->out, KEEP);
}

void
stream_begin(struct replica *r, struct replica_link *l, enum frame_stream kind,
    uint64_t cursor)
{
	struct sender *s = &l->to[kind];
	struct buf out;

	stream_end(r, s);
	out = s->out;
	memset(s, 0, sizeof(*s));
	s->out = out;
	s->is_open = true;
	s->pool = kind == STREAM_RANGE;
	s->at.seq = s->marked = s->acked = cursor;
	s->credit = r->config.tuning.credit;
	op_writer_init(&s->writer, r->config.inc);
	s->writer.tells_prev = l->features & FEATURE_PREV;
}

bool
stream_peer_missed(const struct replica *r, const struct replica_link *l)
{
	const struct vector_row *row;
	size_t i;

	if (MUTATED(NO_PURGED_TEST))
		return false;
	for (i = 0; i < r->vector.count; i++) {
		row = &r->vector.rows[i];
		if (row->row.purged > 0 &&
		    row->row.purged > ticks_get(&l->vv, row->row.inc))
			return true;
	}
	return false;
}

int
stream_resync(struct replica *r, struct replica_link *l, enum frame_stream kind)
{
	struct frame f = { .type = FRAME_RESYNC, .u.stream = (uint8_t)kind };

	stream_end(r, &l->to[kind]);
	return outbox_put(&l->outbox, &f);
}

/* ---- ops ---- */

struct op
stream_op(const struct sync_item *item)
{
	struct op op = { .type = (enum op_type)item->record.type };

	if (op.type == OP_BUCKET) {
		op.bucket = item->bucket;
		op.name = item->record.key;
	} else {
		op.record = item->record;
		op.record.flags &= RECORD_DEADLINE | RECORD_EXPIRED;
		op.record.marks &= RECORD_PREV;
	}
	return op;
}

bool
stream_has_room(const struct replica *r, const struct sender *s,
    const struct op *op)
{
	return s->is_large || core_has_large(r->large_out, s->pool) ||
	    op_size(&s->writer, op) <= CORE_LARGE;
}

int
stream_put(struct replica *r, struct replica_link *l, struct sender *s,
    const struct op *op)
{
	size_t size = op_size(&s->writer, op);
	int rc;

	if (s->sent > 0) {
		buf_consume(&s->out, s->sent);
		s->sent = 0;
	}
	if ((rc = op_write(&s->writer, op, &s->out)) < 0)
		return rc;
	if (size > CORE_LARGE && !s->is_large) {
		s->is_large = true;
		r->large_out[s->pool]++;
	}
	s->ops++;
	s->bytes += size;
	l->sent_ops++;
	return KV_OK;
}

bool
stream_mark_is_due(const struct replica *r, const struct sender *s)
{
	return s->ops >= r->config.tuning.mark_ops ||
	    s->bytes >= r->config.tuning.mark_bytes || s->passed >= PASSED_MAX;
}

int
stream_mark(struct replica *r, struct replica_link *l, struct sender *s,
    struct op *mark)
{
	int rc;

	mark->type = OP_MARK;
	if ((rc = stream_put(r, l, s, mark)) < 0)
		return rc;
	l->sent_ops--;
	s->ops = s->bytes = s->passed = 0;
	if (s->marked < mark->cursor)
		s->marked = mark->cursor;
	if (s->covered_at == 0) {
		s->covered = mark->cursor;
		s->covered_at = r->head;
	}
	return KV_OK;
}

/* How far the peer has what we have.  The place may be past head: behind it
 * stand our own claims, which are nobody's, and a cursor past head would be
 * taken for one that cannot be. */
static uint64_t
stream_cursor(const struct replica *r, const struct sender *s)
{
	return s->at.seq < r->head ? s->at.seq : r->head;
}

int
stream_next(struct replica *r, struct replica_link *l, struct sender *s,
    stream_filter *wants)
{
	struct sync_cursor before = s->at;
	struct op op = { .cursor = stream_cursor(r, s), .head = r->head };
	struct sync_item item;
	int rc;

	if (stream_mark_is_due(r, s))
		return stream_mark(r, l, s, &op);
	do {
		before = s->at;
		rc = r->store.ops->next(r->store.self, &s->at, &item);
		if (rc < 0)
			return rc;
		if (s->at.has_gaps)
			s->whole = r->head;
		if (++s->passed >= PASSED_MAX)
			break;
	} while (!wants(r, l, &item));
	if (!wants(r, l, &item))
		return KV_OK;
	op = stream_op(&item);
	if (stream_has_room(r, s, &op))
		return stream_put(r, l, s, &op);
	s->at = before;
	return KV_EAGAIN;
}

int
stream_rows(struct replica *r, struct replica_link *l, struct sender *s,
    const struct ticks *rows, struct ticks *told)
{
	bool is_range = s == &l->to[STREAM_RANGE];
	struct op op = { .type = OP_VVROW };
	struct op mark = { .cursor = is_range ? s->marked : stream_cursor(r, s),
		.head = is_range ? l->answer.head : r->head };
	size_t i;
	int rc = KV_OK;

	for (i = 0; i < rows->count && rc == KV_OK; i++) {
		if (rows->rows[i].tick <= ticks_get(told, rows->rows[i].inc))
			continue;
		op.row.inc = rows->rows[i].inc;
		op.row.tick = rows->rows[i].tick;
		op.flags = told == &l->answer.told_purged ? OP_PURGED : 0;
		rc = stream_put(r, l, s, &op);
		if (rc == KV_OK && told != &l->vv)
			rc = ticks_set(told, op.row.inc, op.row.tick);
		if (rc == KV_OK && stream_mark_is_due(r, s))
			rc = stream_mark(r, l, s, &mark);
	}
	return rc;
}

/* ---- frames ---- */

/* Write ops for a frame, but look at no more than so many records. */
static int
fill(struct replica *r, struct replica_link *l, enum frame_stream kind)
{
	struct sender *s = &l->to[kind];
	bool is_weary = false;
	int rc = KV_OK;

	while (rc == KV_OK && s->is_open && !is_weary && !s->has_ended &&
	    pending(s) < r->config.tuning.frame_bytes) {
		is_weary = s->passed >= PASSED_MAX;
		rc = fills[kind](r, l);
	}
	return rc == KV_EAGAIN ? KV_OK : rc;
}

static void
sent(struct replica *r, struct replica_link *l, struct sender *s, size_t n)
{
	s->sent += n;
	s->credit -= n;
	l->sent_bytes += n;
	if (s->is_large && pending(s) < CORE_LARGE) {
		s->is_large = false;
		r->large_out[s->pool]--;
	}
	if (pending(s) > 0)
		return;
	s->out.len = s->sent = 0;
	buf_shrink(&s->out, KEEP);
	if (s->has_ended)
		stream_end(r, s);
}

/* KV_EAGAIN: nothing to cut off now. */
static int
send_one(struct replica *r, struct replica_link *l, enum frame_stream kind,
    struct buf *out)
{
	struct sender *s = &l->to[kind];
	struct frame f = { .type = frames[kind] };
	int rc;

	if ((rc = fill(r, l, kind)) < 0)
		return rc;
	if (!s->is_open || pending(s) == 0)
		return KV_EAGAIN;
	f.u.data = (struct kv_slice){ s->out.data + s->sent, pending(s) };
	if (f.u.data.len > r->config.tuning.frame_bytes)
		f.u.data.len = r->config.tuning.frame_bytes;
	if (f.u.data.len > s->credit)
		f.u.data.len = s->credit;
	if (f.u.data.len == 0)
		return KV_EAGAIN;
	if ((rc = frame_encode(&f, out)) < 0)
		return rc;
	sent(r, l, s, f.u.data.len);
	return KV_OK;
}

int
stream_send(struct replica *r, struct replica_link *l, struct buf *out)
{
	unsigned i;
	int rc;

	for (i = 0; i < STREAM_RANGE; i++) {
		l->turn = l->turn % STREAM_RANGE + 1;
		rc = send_one(r, l, (enum frame_stream)l->turn, out);
		if (rc != KV_EAGAIN)
			return rc;
	}
	/* A stream that stopped leaves word of it. */
	return outbox_take(&l->outbox, out);
}

/* ---- what the peer says of them ---- */

/* It is on the peer's disk up to cursor: what of our log is there in any
 * version?  What was left out of the stream had been replaced by something
 * that stands behind it. */
static void
stream_durable(struct replica_link *l, struct sender *s, uint64_t cursor)
{
	uint64_t all = 0;

	if (cursor >= s->whole)
		all = cursor;
	else if (s->covered_at > 0 && cursor >= s->covered_at)
		all = s->covered;
	if (cursor >= s->covered_at)
		s->covered_at = 0;
	if (l->acked_seq < all)
		l->acked_seq = all;
}

int
stream_ack(struct replica *r, struct replica_link *l, const struct frame *f)
{
	const struct frame_ack *a = &f->u.ack;
	struct sender *s = &l->to[a->stream];

	if (a->cursor > s->marked)
		return link_refuse(r, l, BYE_PROTOCOL,
		    "ACK of what I never sent");
	if (a->stream == STREAM_OWN && a->flags & FRAME_DURABLE)
		stream_durable(l, s, a->cursor);
	if (!s->is_open)
		return KV_OK; /* of what came before its end */
	if (s->acked < a->cursor)
		s->acked = a->cursor;
	if (a->credit > CREDIT_MAX - s->credit)
		return link_refuse(r, l, BYE_PROTOCOL, "too much credit");
	s->credit += a->credit;
	/* It has what our last END claimed. */
	if (a->stream == STREAM_OWN && s->claimed > 0 &&
	    a->cursor >= s->claimed)
		return ticks_raise(&l->vv, r->config.inc, s->claimed);
	return KV_OK;
}
