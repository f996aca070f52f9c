/* SPDX-License-Identifier: ISC */
/* What stands in front of MARKs goes to the store: data, cursors and rows in
 * one batch, of all peers together; then ACKs. */

#include "sync/core.h"

#include <stdio.h>

#define FULL_BYTES (256u << 10) /* do not wait for more */
#define RETRY_MS 20
#define NO_ROOM_MS 500
#define DURABLE_MS 10 /* between two looks */
#define SCRATCH_KEEP 65536

void
commit_soon(struct replica *r)
{
	if (!r->batch.is_waiting)
		r->batch.since_ms = r->now.mono_ms;
	r->batch.is_waiting = true;
}

int
commit_row(struct replica *r, uint64_t inc, struct sync_row **out)
{
	const struct vector_row *known;
	struct vector_row *row = vector_find(&r->batch.rows, inc);
	int rc;

	if (row == NULL) {
		if ((rc = vector_make(&r->batch.rows, inc, &row)) < 0)
			return rc;
		if ((known = vector_find(&r->vector, inc)) != NULL)
			row->row = known->row;
		else
			r->batch.new_rows++;
	}
	/* It is to change: it and those that came after it go once more. */
	if ((size_t)(row - r->batch.rows.rows) < r->batch.done_rows)
		r->batch.done_rows = (size_t)(row - r->batch.rows.rows);
	commit_soon(r);
	*out = &row->row;
	return KV_OK;
}

/* ---- ACKs ---- */

static int
put_ack(struct replica_link *l, enum frame_stream kind, uint64_t cursor,
    bool durable, uint64_t credit)
{
	struct frame f = { .type = FRAME_ACK };

	f.u.ack.stream = (uint8_t)kind;
	f.u.ack.flags = durable ? FRAME_DURABLE : 0;
	f.u.ack.cursor = cursor;
	f.u.ack.credit = (uint32_t)credit;
	return outbox_put(&l->outbox, &f);
}

static int
ack(struct replica *r, struct replica_link *l, enum frame_stream kind,
    uint64_t position)
{
	struct receiver *from = &l->from[kind];
	bool durable = r->store.ops->durable(r->store.self) >= position;
	uint64_t credit = from->ready - from->ready_extra;

	from->is_marked = false;
	from->acked = from->cursor;
	from->ready = from->ready_extra = 0;
	receive_grant(r, from, credit);
	if (from->is_large_done) {
		from->is_large = from->is_large_done = false;
		r->wants_turn = true;
		r->large_in[kind == STREAM_RANGE]--;
	}
	if (!durable && from->waiting_at == 0) {
		from->waiting = from->acked;
		from->waiting_at = position;
	} else if (!durable) {
		from->latest = from->acked;
		from->latest_at = position;
	}
	return put_ack(l, kind, from->acked, durable, credit);
}

/* What hangs on the end of a stream being in the store. */
static int
finish(struct replica *r, struct replica_link *l, enum frame_stream kind)
{
	struct receiver *from = &l->from[kind];

	if (kind == STREAM_FULL && from->is_ended) {
		r->pull = NULL;
		receive_end(r, l, kind);
	}
	return kind == STREAM_RANGE ? resync_committed(r, l) : KV_OK;
}

static int
ack_all(struct replica *r, uint64_t position)
{
	struct replica_link *l;
	enum frame_stream kind;
	int rc = KV_OK;

	for (l = r->links; l != NULL; l = l->next)
		for (kind = STREAM_OWN; kind <= STREAM_RANGE; kind++) {
			if (rc < 0 || !l->from[kind].is_marked)
				continue;
			rc = ack(r, l, kind, position);
			if (rc == KV_OK)
				rc = finish(r, l, kind);
		}
	return rc;
}

static int
ack_durable(struct replica_link *l, enum frame_stream kind, uint64_t durable)
{
	struct receiver *from = &l->from[kind];
	uint64_t cursor = from->waiting;

	if (durable >= from->latest_at && from->latest_at > 0) {
		cursor = from->latest;
		from->waiting_at = 0;
	} else {
		from->waiting = from->latest;
		from->waiting_at = from->latest_at;
	}
	from->latest_at = 0;
	return put_ack(l, kind, cursor, true, 0);
}

static int
durable_timers(struct replica *r, uint64_t *next_ms)
{
	uint64_t durable = r->store.ops->durable(r->store.self);
	struct replica_link *l;
	enum frame_stream kind;
	int rc = KV_OK;

	for (l = r->links; l != NULL; l = l->next)
		for (kind = STREAM_OWN; kind <= STREAM_RANGE; kind++) {
			if (l->state != LINK_UP ||
			    l->from[kind].waiting_at == 0)
				continue;
			if (rc == KV_OK && durable >= l->from[kind].waiting_at)
				rc = ack_durable(l, kind, durable);
			if (l->from[kind].waiting_at > 0)
				core_sooner(next_ms,
				    r->now.mono_ms + DURABLE_MS);
		}
	return rc;
}

/* ---- the commit ---- */

static int
install(struct replica *r)
{
	size_t i;
	int rc = KV_OK;

	for (i = 0; i < r->batch.rows.count && rc == KV_OK; i++)
		rc = vector_install(&r->vector, &r->batch.rows.rows[i].row);
	r->head = r->store.ops->head(r->store.self);
	core_count_runs(r);
	return rc;
}

static int
collect(struct replica *r, struct sync_batch *b)
{
	size_t i, n = r->batch.rows.count;
	struct sync_row *rows;
	int rc;

	r->scratch.len = 0;
	if ((rc = buf_reserve(&r->scratch, n * sizeof(*rows) + 1)) < 0)
		return rc;
	rows = (void *)r->scratch.data; /* of malloc: aligned for all */
	for (i = 0; i < n; i++)
		rows[i] = r->batch.rows.rows[i].row;
	*b = (struct sync_batch){ .changes = r->batch.stage.changes,
		.count = r->batch.stage.count,
		.rows = rows,
		.row_count = n };
	if (r->batch.has_note) {
		b->note_name = slice_of("resync");
		b->note_value = buf_slice(&r->batch.note);
	}
	return KV_OK;
}

/* The store has no room: the batch stays, credit holds the peers back. */
static int
refused(struct replica *r, int why)
{
	struct batch *b = &r->batch;
	struct replica_event *e;

	b->retry_ms =
	    r->now.mono_ms + (why == KV_ENOSPC ? NO_ROOM_MS : RETRY_MS);
	if (why == KV_ENOSPC && !b->is_refused) {
		e = core_event(r, REPLICA_NO_ROOM, NULL);
		snprintf(e->text, sizeof(e->text), "%s",
		    "the store has no room for changes of peers");
	}
	b->is_refused = b->is_refused || why == KV_ENOSPC;
	return KV_EAGAIN;
}

/* Changes from `done` on, so many, or all rows from one on: data first, so that
 * no claim is made before what it is of is there. */
static struct sync_batch
piece_of(const struct sync_batch *all, size_t done, size_t row, size_t n)
{
	struct sync_batch b = { 0 };

	if (done < all->count) {
		b.changes = all->changes + done;
		b.count = n < all->count - done ? n : all->count - done;
	} else if (row < all->row_count) {
		b.rows = all->rows + row;
		b.row_count =
		    n < all->row_count - row ? n : all->row_count - row;
	} else {
		b.note_name = all->note_name;
		b.note_value = all->note_value;
	}
	return b;
}

/* What does not fit into a segment of the log goes in pieces.  A note that does
 * not fit is left out: then a RESYNC that is cut begins anew. */
static int
commit_pieces(struct replica *r, const struct sync_batch *all,
    uint64_t *position)
{
	size_t n = all->count + all->row_count;
	struct sync_batch b;
	int rc;

	for (;;) {
		b = piece_of(all, r->batch.done, r->batch.done_rows, n);
		if (b.count + b.row_count + b.note_name.len == 0)
			return KV_OK;
		rc = r->store.ops->commit(r->store.self, &b, position);
		if (rc == KV_ETOOBIG && b.count + b.row_count > 1)
			n = (b.count + b.row_count) / 2;
		else if (rc < 0 && (rc != KV_ETOOBIG || b.note_name.len == 0))
			return rc;
		else if (b.note_name.len > 0)
			return KV_OK;
		r->batch.done += rc == KV_OK ? b.count : 0;
		r->batch.done_rows += rc == KV_OK ? b.row_count : 0;
	}
}

static int
commit_batch(struct replica *r, struct sync_batch *b, uint64_t *position)
{
	int rc = KV_ETOOBIG;

	if (b->count == 0 && b->row_count == 0 && !r->batch.has_note)
		return KV_OK;
	if (r->batch.done + r->batch.done_rows == 0)
		rc = r->store.ops->commit(r->store.self, b, position);
	return rc == KV_ETOOBIG ? commit_pieces(r, b, position) : rc;
}

/* It is in the store. */
static void
clear(struct replica *r)
{
	vector_clear(&r->batch.rows);
	r->batch.new_rows = r->batch.done_rows = 0;
	r->batch.note.len = 0;
	r->batch.has_note = r->batch.is_refused = false;
	r->batch.retry_ms = 0;
	buf_shrink(&r->scratch, SCRATCH_KEEP);
}

int
commit_now(struct replica *r)
{
	struct sync_batch b;
	uint64_t position = 0;
	int rc;

	if (r->batch.retry_ms > r->now.mono_ms)
		return KV_EAGAIN;
	if ((rc = collect(r, &b)) < 0)
		return rc;
	if (MUTATED(NOT_ATOMIC) && b.row_count > 0)
		b.count = 0;
	rc = commit_batch(r, &b, &position);
	if (rc == KV_EAGAIN || rc == KV_ENOSPC)
		return refused(r, rc);
	if (rc < 0 || (rc = install(r)) < 0)
		return rc;
	clear(r);
	if (MUTATED(NOT_ATOMIC) && r->batch.stage.count > b.count)
		return KV_OK;
	pending_clear(&r->batch.stage);
	r->batch.done = 0;
	r->batch.is_waiting = r->batch.is_urgent = false;
	return ack_all(r, position);
}

int
commit_timers(struct replica *r, uint64_t *next_ms)
{
	struct batch *b = &r->batch;
	uint64_t due = b->since_ms + CORE_COMMIT_MS;
	int rc;

	if (b->is_waiting) {
		if (b->is_urgent || b->stage.bytes >= FULL_BYTES)
			due = 0;
		if (due < b->retry_ms)
			due = b->retry_ms;
		if (r->now.mono_ms >= due) {
			rc = commit_now(r);
			if (rc < 0 && rc != KV_EAGAIN)
				return rc;
		}
		if (b->is_waiting)
			core_sooner(next_ms,
			    b->retry_ms > r->now.mono_ms ? b->retry_ms
				: due > r->now.mono_ms	 ? due
							 : r->now.mono_ms);
	}
	return durable_timers(r, next_ms);
}
