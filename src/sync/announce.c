/* SPDX-License-Identifier: ISC */
/* Vectors: ours told to peers, theirs taken in.  Each row is told once on a
 * link; what SUB and PULL carry is the news since the last telling. */

#include "sync/core.h"

/* ---- ours ---- */

static int
collect_rows(struct replica *r, struct replica_link *l)
{
	struct buf *out = &r->scratch;
	const struct vector_row *row;
	int rc = KV_OK;
	size_t i;

	out->len = 0;
	if (r->head > l->told_head)
		rc = item_put_row(out,
		    (struct item_row){ r->config.inc, r->head });
	if (r->vector.version == l->told_version)
		return rc;
	for (i = 0; i < r->vector.count && rc == KV_OK; i++) {
		row = &r->vector.rows[i];
		if (row->changed > l->told_version &&
		    row->row.inc != r->config.inc && row->row.vv > 0)
			rc = item_put_row(out,
			    (struct item_row){ row->row.inc, row->row.vv });
	}
	return rc;
}

int
announce_rows(struct replica *r, struct replica_link *l, enum frame_type type,
    uint64_t cursor)
{
	struct frame f = { .type = type };
	struct kv_slice left;
	size_t most = FRAME_ROWS_MAX * FRAME_ROW;
	int rc;

	if ((rc = collect_rows(r, l)) < 0)
		return rc;
	left = buf_slice(&r->scratch);
	f.u.rows.cursor = cursor;
	do {
		f.u.rows.rows = left;
		f.u.rows.flags = 0;
		if (left.len > most) {
			f.u.rows.rows.len = most;
			f.u.rows.flags = FRAME_MORE;
		}
		left.data += f.u.rows.rows.len;
		left.len -= f.u.rows.rows.len;
		if ((rc = outbox_put(&l->outbox, &f)) < 0)
			return rc;
	} while (left.len > 0);
	l->told_version = r->vector.version;
	l->told_head = r->head;
	l->told_ms = r->now.mono_ms;
	return KV_OK;
}

int
announce_due(struct replica *r, struct replica_link *l, uint64_t *next_ms)
{
	uint64_t due = l->told_ms + CORE_VV_MS;

	if (l->told_version == r->vector.version && l->told_head >= r->head)
		return KV_OK;
	if (r->now.mono_ms < due) {
		core_sooner(next_ms, due);
		return KV_OK;
	}
	return announce_rows(r, l, FRAME_VV, r->head);
}

/* ---- theirs ---- */

/* That there is more than we have keeps tombstones here: committed. */
static int
learn_gap(struct replica *r, struct item_row row)
{
	const struct vector_row *known = vector_find(&r->vector, row.inc);
	struct sync_row *at;
	int rc;

	if (row.inc == r->config.inc || row.tick > core_drift_limit(r))
		return KV_OK;
	if (known != NULL &&
	    (known->row.announced >= row.tick || known->row.vv >= row.tick))
		return KV_OK;
	if (!core_has_room(r, row.inc))
		return KV_OK;
	if ((rc = commit_row(r, row.inc, &at)) < 0)
		return rc;
	if (at->announced < row.tick)
		at->announced = row.tick;
	return KV_OK;
}

static bool
is_its_own(const struct replica_link *l, uint64_t inc)
{
	size_t i = 0;

	while (i < l->lineage_count && l->lineage[i].inc != inc)
		i++;
	return inc == l->inc || i < l->lineage_count;
}

/* Whose clock was fast has ticks of the future from its own runs, and if it is
 * ours that is slow, all have: as long as nothing is to be taken in, that is
 * heard, so that what we have gets there.  Nobody else can have them.  A row of
 * ours above our head is no mistake: a copy of our disk closes our run at the
 * clock's tick. */
static int
check_row(struct replica *r, struct replica_link *l, struct item_row row)
{
	if (row.inc == 0)
		return link_refuse(r, l, BYE_PROTOCOL, "a row that cannot be");
	if (row.tick > core_drift_limit(r) && row.inc != r->config.inc &&
	    (l->has_warned || is_its_own(l, row.inc)))
		return KV_OK;
	return core_check_claim(r, l, row.inc, row.tick);
}

int
announce_learn(struct replica *r, struct replica_link *l, struct kv_slice rows)
{
	struct item_row row;
	int rc = KV_OK;

	while (rc == KV_OK && item_take_row(&rows, &row)) {
		if ((rc = check_row(r, l, row)) < 0)
			return rc;
		if (row.tick > core_vv(r, row.inc))
			l->rows_due_ms = 0;
		rc = ticks_raise(&l->vv, row.inc, row.tick);
		if (rc == KV_OK)
			rc = learn_gap(r, row);
		if (l->vv.count > core_rows_max(r))
			return link_refuse(r, l, BYE_LIMIT, "too many rows");
	}
	return rc;
}

int
announce_received(struct replica *r, struct replica_link *l,
    const struct frame *f)
{
	if (f->u.rows.cursor > l->head)
		l->head = f->u.rows.cursor;
	return announce_learn(r, l, f->u.rows.rows);
}
