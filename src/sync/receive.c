/* SPDX-License-Identifier: ISC */
/* Data that comes in: checked op by op, kept until the MARK behind it, then
 * put into the batch together with what the MARK claims. */

#include "sync/core.h"

#define STAGE_MAX 65536 /* ops without a MARK */
#define OWED_MS (2 * 60 * 1000)
#define OWED_MOST_MS (20 * 60 * 1000)

static enum frame_stream
stream_of(enum frame_type type)
{
	return type == FRAME_DATA_OWN ? STREAM_OWN
	    : type == FRAME_DATA_FULL ? STREAM_FULL
				      : STREAM_RANGE;
}

/* ---- beginning and end ---- */

void
receive_end(struct replica *r, struct replica_link *l, enum frame_stream kind)
{
	struct receiver *from = &l->from[kind];

	if (from->is_large)
		r->large_in[kind == STREAM_RANGE]--;
	from->is_open = from->is_large = from->is_marked = false;
	from->is_ended = from->is_large_done = false;
	op_reader_fini(&from->reader);
	op_reader_init(&from->reader, l->inc, r->config.value_max);
	pending_clear(&from->stage);
	ticks_clear(&from->rows);
	from->parked.len = 0;
	buf_shrink(&from->parked, 0);
	from->granted = from->extra = from->ready_extra = 0;
	from->held = from->ready = 0;
	from->cursor = 0;
}

void
receive_begin(struct replica *r, struct replica_link *l, enum frame_stream kind)
{
	receive_end(r, l, kind);
	l->from[kind].is_open = true;
	receive_grant(r, &l->from[kind], r->config.tuning.credit);
}

void
receive_grant(const struct replica *r, struct receiver *from, uint64_t bytes)
{
	from->granted += bytes;
	from->owed_ms = r->now.mono_ms;
}

int
receive_subscribe(struct replica *r, struct replica_link *l)
{
	const struct vector_row *row = vector_find(&r->vector, l->inc);
	uint64_t cursor = row != NULL ? row->row.own : 0;

	if (!l->needs_sub || l->needs_resync)
		return KV_OK;
	l->needs_sub = false;
	if (cursor < l->start)
		cursor = l->start;
	receive_begin(r, l, STREAM_OWN);
	return announce_rows(r, l, FRAME_SUB, cursor);
}

int
receive_resync(struct replica *r, struct replica_link *l, const struct frame *f)
{
	enum frame_stream kind = (enum frame_stream)f->u.stream;

	if (kind == STREAM_RANGE || !l->from[kind].is_open)
		return link_refuse(r, l, BYE_PROTOCOL, "a RESYNC of nothing");
	receive_end(r, l, kind);
	l->needs_resync = true;
	if (kind == STREAM_OWN)
		l->needs_sub = true;
	else
		r->pull = NULL;
	return KV_OK;
}

/* ---- ops ---- */

static bool
is_news(const struct replica *r, const struct sync_item *item)
{
	if (item->record.type == RECORD_BUCKET || MUTATED(NO_DROP_RULE))
		return true;
	return item->record.stamp.tick > core_vv(r, item->record.stamp.inc);
}

/* A stamp that can be: not of the far future, not of our own. */
static int
check_stamp(struct replica *r, struct replica_link *l, struct stamp s)
{
	if (s.tick > core_drift_limit(r))
		return link_refuse(r, l, BYE_CLOCK, "stamps of the future");
	if (s.inc == r->config.inc && s.tick > r->head)
		return link_refuse(r, l, BYE_PROTOCOL, "a write I never made");
	return KV_OK;
}

static int
keep_item(struct replica *r, struct replica_link *l, enum frame_stream kind,
    const struct sync_item *item)
{
	struct receiver *from = &l->from[kind];
	int rc = KV_OK;

	if (from->stage.count >= STAGE_MAX)
		return link_refuse(r, l, BYE_PROTOCOL, "no MARK for too long");
	l->received_ops++;
	if (kind == STREAM_RANGE)
		rc = resync_record(r, item);
	if (rc == KV_EPROTO)
		return link_refuse(r, l, BYE_PROTOCOL, "a range out of order");
	return rc < 0 ? rc : pending_add(&from->stage, CHANGE_MERGE, item);
}

static int
take_record(struct replica *r, struct replica_link *l, enum frame_stream kind,
    const struct op *op)
{
	struct sync_item item = { .record = op->record };
	struct sync_row *row;
	int rc;

	if ((rc = check_stamp(r, l, op->record.stamp)) < 0)
		return rc;
	if (MUTATED(MAX_SEEN)) {
		if ((rc = commit_row(r, op->record.stamp.inc, &row)) < 0)
			return rc;
		if (row->vv < op->record.stamp.tick)
			row->vv = op->record.stamp.tick;
	}
	return keep_item(r, l, kind, &item);
}

static int
take_bucket(struct replica *r, struct replica_link *l, enum frame_stream kind,
    const struct op *op)
{
	struct sync_item item = { .bucket = op->bucket };
	int rc;

	if ((rc = check_stamp(r, l, op->bucket.created)) < 0 ||
	    (rc = check_stamp(r, l, op->bucket.dropped)) < 0)
		return rc;
	item.record.type = RECORD_BUCKET;
	item.record.key = op->name;
	item.record.bid = r->store.ops->bucket_id(r->store.self, op->name);
	item.bucket.bid = item.record.bid;
	return keep_item(r, l, kind, &item);
}

static int
take_row(struct replica *r, struct replica_link *l, enum frame_stream kind,
    const struct op *op)
{
	struct receiver *from = &l->from[kind];
	int rc;

	if (kind == STREAM_OWN || op->row.inc == 0 ||
	    from->rows.count > core_rows_max(r))
		return link_refuse(r, l, BYE_PROTOCOL, "a row that cannot be");
	if ((rc = core_check_claim(r, l, op->row.inc, op->row.tick)) < 0)
		return rc;
	if (!core_has_room(r, op->row.inc))
		return KV_OK;
	if (kind == STREAM_RANGE)
		return resync_row(r, from, op);
	if (op->flags != 0)
		return link_refuse(r, l, BYE_PROTOCOL, "a row that cannot be");
	return ticks_raise(&from->rows, op->row.inc, op->row.tick);
}

/* ---- MARKs ---- */

int
receive_claim(struct replica *r, uint64_t inc, uint64_t vv, uint64_t purged)
{
	const struct vector_row *known = vector_find(&r->vector, inc);
	struct sync_row *row;
	int rc;

	if (inc == r->config.inc)
		vv = 0; /* our own run is what it is */
	if (vv <= (known == NULL ? 0 : known->row.vv) &&
	    purged <= (known == NULL ? 0 : known->row.purged))
		return KV_OK;
	if (!core_has_room(r, inc))
		return KV_OK;
	if ((rc = commit_row(r, inc, &row)) < 0)
		return rc;
	if (row->vv < vv)
		row->vv = vv;
	if (row->purged < purged)
		row->purged = purged;
	return KV_OK;
}

static int
claim_own(struct replica *r, struct replica_link *l, const struct op *mark)
{
	struct sync_row *row;
	int rc;

	if ((rc = commit_row(r, l->inc, &row)) < 0)
		return rc;
	row->uid = l->uid;
	row->own = mark->cursor;
	if (mark->flags & OP_END && row->vv < mark->head)
		row->vv = mark->head;
	/* Nothing more is on its way: there is nothing to wait for. */
	r->batch.is_urgent |= mark->flags & OP_END;
	if (MUTATED(EARLY_CLAIM) && row->vv < mark->cursor)
		row->vv = mark->cursor;
	return KV_OK;
}

static int
claim_vector(struct replica *r, struct receiver *from)
{
	const struct sync_item *item;
	size_t i;
	int rc = KV_OK;

	for (i = 0; i < from->rows.count && rc == KV_OK; i++)
		rc = receive_claim(r, from->rows.rows[i].inc,
		    from->rows.rows[i].tick, 0);
	for (i = 0; MUTATED(CLAIM_PER_RECORD) && i < from->stage.count; i++) {
		item = &from->stage.changes[i].item;
		if (rc == KV_OK && item->record.type != RECORD_BUCKET)
			rc = receive_claim(r, item->record.stamp.inc,
			    item->record.stamp.tick, 0);
	}
	return rc;
}

static int
claim_full(struct replica *r, struct replica_link *l, const struct op *mark)
{
	struct receiver *from = &l->from[STREAM_FULL];
	struct sync_row *row;
	int rc;

	if ((rc = commit_row(r, l->inc, &row)) < 0)
		return rc;
	row->uid = l->uid;
	row->full = mark->cursor;
	if (row->full_head < mark->head)
		row->full_head = mark->head;
	if (mark->flags & OP_END || MUTATED(CLAIM_FIRST) ||
	    MUTATED(CLAIM_PER_RECORD))
		rc = claim_vector(r, from);
	from->is_ended = mark->flags & OP_END;
	return rc;
}

void
receive_drop_old(struct replica *r, struct replica_link *l, struct pending *s)
{
	size_t i, n = 0;

	for (i = 0; i < s->count; i++) {
		if (is_news(r, &s->changes[i].item))
			s->changes[n++] = s->changes[i];
		else
			l->dropped_ops++;
	}
	s->count = n;
}

void
receive_marked(struct replica *r, struct receiver *from, uint64_t cursor)
{
	from->is_marked = true;
	from->cursor = cursor;
	from->ready += from->held;
	from->held = 0;
	from->ready_extra += from->extra;
	from->extra = 0;
	from->is_large_done = from->is_large;
	commit_soon(r);
}

static int
take_mark(struct replica *r, struct replica_link *l, enum frame_stream kind,
    const struct op *op)
{
	struct receiver *from = &l->from[kind];
	int rc;

	/* Its head is a claim about its own run. */
	if ((rc = core_check_claim(r, l, l->inc, op->head)) < 0)
		return rc;
	if (kind == STREAM_RANGE)
		return resync_mark(r, l, op);
	if (op->cursor < from->cursor || op->cursor > op->head ||
	    from->is_ended)
		return link_refuse(r, l, BYE_PROTOCOL, "a MARK that cannot be");
	if (l->head < op->head)
		l->head = op->head;
	rc = kind == STREAM_OWN ? claim_own(r, l, op) : claim_full(r, l, op);
	if (rc < 0)
		return rc;
	receive_drop_old(r, l, &from->stage);
	if ((rc = pending_move(&r->batch.stage, &from->stage)) < 0)
		return rc;
	receive_marked(r, from, op->cursor);
	return KV_OK;
}

/* ---- bytes ---- */

static int
take_op(struct replica *r, struct replica_link *l, enum frame_stream kind,
    const struct op *op)
{
	switch (op->type) {
	case OP_PUT:
	case OP_TOMB:
		return take_record(r, l, kind, op);
	case OP_BUCKET:
		return take_bucket(r, l, kind, op);
	case OP_VVROW:
		return take_row(r, l, kind, op);
	case OP_MARK:
		return take_mark(r, l, kind, op);
	}
	return KV_EPROTO;
}

/* An op that takes more than half of the credit gets more, as soon as one of
 * the few large buffers is free: else its end could never come.  The same where
 * all credit is used up and still there is no MARK to give it back for: an op
 * that was whole before it could be lent for, or very many rows. */
static int
lend_buffer(struct replica *r, struct replica_link *l, enum frame_stream kind)
{
	struct receiver *from = &l->from[kind];
	struct frame f = { .type = FRAME_ACK };
	size_t size = op_reader_wants(&from->reader);
	bool stands_still =
	    from->granted == 0 && from->ready == 0 && from->parked.len == 0;

	if (stands_still && size < from->held)
		size = (size_t)from->held;
	if ((size <= r->config.tuning.credit / 2 && !stands_still) ||
	    size == 0 || from->is_large ||
	    !core_has_large(r->large_in, kind == STREAM_RANGE))
		return KV_OK;
	from->is_large = true;
	r->large_in[kind == STREAM_RANGE]++;
	from->extra += size;
	receive_grant(r, from, size);
	f.u.ack.stream = (uint8_t)kind;
	f.u.ack.cursor = from->acked;
	f.u.ack.credit = (uint32_t)size;
	return outbox_put(&l->outbox, &f);
}

/* A batch has a size that the log can take at once: commit early, or read on
 * later. */
static bool
is_crowded(struct replica *r, int *rc)
{
	if (r->batch.stage.bytes < r->config.tuning.batch_bytes)
		return false;
	*rc = commit_now(r);
	return *rc != KV_OK;
}

static int
receive_bytes(struct replica *r, struct replica_link *l, enum frame_stream kind,
    struct kv_slice data)
{
	struct receiver *from = &l->from[kind];
	size_t before;
	struct op op;
	int rc = KV_OK;

	do {
		if (is_crowded(r, &rc))
			return rc == KV_EAGAIN
			    ? buf_append(&from->parked, data.data, data.len)
			    : rc;
		if (!from->is_open)
			return data.len == 0 ? KV_OK
					     : link_refuse(r, l, BYE_PROTOCOL,
						   "data after its end");
		before = data.len;
		rc = op_read(&from->reader, &data, &op);
		from->held += before - data.len;
		if (rc == KV_OK)
			rc = take_op(r, l, kind, &op);
		else if (rc != KV_EMORE && rc != KV_ENOMEM)
			return link_refuse(r, l, BYE_PROTOCOL,
			    rc == KV_ETOOBIG ? "a value larger than value_max"
					     : "not an op");
	} while (rc == KV_OK);
	return rc == KV_EMORE ? lend_buffer(r, l, kind) : rc;
}

int
receive_data(struct replica *r, struct replica_link *l, const struct frame *f)
{
	enum frame_stream kind = stream_of(f->type);
	struct receiver *from = &l->from[kind];
	struct kv_slice data = f->u.data;

	if (!from->is_open)
		return link_refuse(r, l, BYE_PROTOCOL,
		    "data I never asked for");
	if (data.len > from->granted)
		return link_refuse(r, l, BYE_PROTOCOL, "data without credit");
	from->granted -= data.len;
	from->owed_ms = l->data_ms = r->now.mono_ms;
	l->received_bytes += data.len;
	if (from->parked.len > 0 || resync_pauses(r, l, kind))
		return buf_append(&from->parked, data.data, data.len);
	return receive_bytes(r, l, kind, data);
}

static int
read_parked(struct replica *r, struct replica_link *l, enum frame_stream kind)
{
	struct buf parked = l->from[kind].parked;
	int rc;

	if (parked.len == 0 || resync_pauses(r, l, kind))
		return KV_OK;
	buf_init(&l->from[kind].parked);
	l->from[kind].owed_ms = r->now.mono_ms;
	rc = receive_bytes(r, l, kind, buf_slice(&parked));
	buf_fini(&parked);
	return rc;
}

/* A peer that lives and does not answer PULL or RANGE, or ends no value, would
 * keep others from being read for ever.  He owes nothing while it is us who do
 * not read or give him no credit; and on a slow link the answer may stand behind
 * much of another stream, but not for so long. */
static bool
is_owed_too_long(const struct replica *r, const struct replica_link *l,
    enum frame_stream kind)
{
	const struct receiver *from = &l->from[kind];
	uint64_t heard_ms =
	    l->data_ms > from->owed_ms ? l->data_ms : from->owed_ms;

	if (kind == STREAM_OWN && op_reader_wants(&from->reader) == 0)
		return false;
	return from->is_open && from->granted > 0 && !from->is_marked &&
	    from->parked.len == 0 &&
	    (r->now.mono_ms >= heard_ms + OWED_MS ||
		r->now.mono_ms >= from->owed_ms + OWED_MOST_MS);
}

int
receive_timers(struct replica *r, struct replica_link *l)
{
	enum frame_stream kind;
	int rc = KV_OK;

	for (kind = STREAM_OWN; kind <= STREAM_RANGE && rc == KV_OK; kind++) {
		if (!l->from[kind].is_open)
			continue;
		rc = read_parked(r, l, kind);
		if (rc == KV_OK && l->from[kind].is_open)
			rc = lend_buffer(r, l, kind);
		if (rc == KV_OK && is_owed_too_long(r, l, kind))
			rc = link_refuse(r, l, BYE_PROTOCOL,
			    "no answer to what was asked");
	}
	if (rc == KV_OK && l->state == LINK_UP)
		rc = receive_subscribe(r, l);
	/* A peer's mistake ends his link, not ours. */
	return rc == KV_EPROTO || rc == KV_ECLOSED ? KV_OK : rc;
}
