/* SPDX-License-Identifier: ISC */
/* Answers in key order, from the tree.  Up to each MARK they are one piece:
 * first the tree's vector, then records, then what had been purged by the end
 * of it.  The snapshots in which a piece was read lie between the two, so that
 * neither says too much. */

#include "sync/core.h"

void
range_free(struct answer *a)
{
	buf_fini(&a->key);
	buf_fini(&a->hi);
	ticks_fini(&a->told);
	ticks_fini(&a->told_purged);
}

static int
begin_answer(struct replica *r, struct replica_link *l,
    const struct frame_range *g)
{
	struct answer *a = &l->answer;
	int rc;

	if (l->to[STREAM_RANGE].is_open)
		return link_refuse(r, l, BYE_PROTOCOL, "a second RANGE");
	a->key.len = a->hi.len = 0;
	if ((rc = buf_append(&a->key, g->lo_key.data, g->lo_key.len)) < 0 ||
	    (rc = buf_append(&a->hi, g->hi_key.data, g->hi_key.len)) < 0)
		return rc;
	a->bid = g->lo_bid;
	a->hi_bid = g->hi_bid;
	a->is_after = a->is_begun = a->has_mask = false;
	memset(&a->bucket, 0, sizeof(a->bucket));
	a->head = 0;
	ticks_clear(&a->told);
	ticks_clear(&a->told_purged);
	a->is_repair = g->purpose == RANGE_REPAIR;
	if (g->lo_bid == 0 && g->lo_key.len == 0)
		l->range_ops = 0;
	stream_begin(r, l, STREAM_RANGE, g->id);
	return KV_OK;
}

int
range_request(struct replica *r, struct replica_link *l, const struct frame *f)
{
	return begin_answer(r, l, &f->u.range);
}

int
range_leaves(struct replica *r, struct replica_link *l, uint64_t id,
    const struct leaf_mask *mask)
{
	struct frame_range all = { .id = id, .purpose = RANGE_REPAIR };
	int rc = begin_answer(r, l, &all);

	if (rc == KV_OK) {
		l->answer.has_mask = true;
		l->answer.mask = *mask;
	}
	return rc;
}

/* ---- the tree's rows ---- */

struct tree_rows {
	bool wants_purged;
	struct ticks ticks;
};

static int
take_row(void *user, const struct sync_row *row)
{
	struct tree_rows *t = user;
	uint64_t tick = t->wants_purged ? row->purged : row->vv;

	return tick == 0 ? KV_OK : ticks_raise(&t->ticks, row->inc, tick);
}

static int
put_rows(struct replica *r, struct replica_link *l, bool purged)
{
	struct answer *a = &l->answer;
	struct tree_rows t = { .wants_purged = purged };
	int rc;

	rc = r->store.ops->rows(r->store.self, true, take_row, &t);
	if (rc == KV_OK && !purged && a->head > 0)
		rc = ticks_raise(&t.ticks, r->config.inc, a->head);
	if (rc == KV_OK)
		rc = stream_rows(r, l, &l->to[STREAM_RANGE], &t.ticks,
		    purged ? &a->told_purged : &a->told);
	ticks_fini(&t.ticks);
	return rc;
}

/* ---- a piece ---- */

static int
begin_piece(struct replica *r, struct replica_link *l)
{
	struct answer *a = &l->answer;

	a->is_begun = true;
	a->head = r->store.ops->tree_head(r->store.self);
	return put_rows(r, l, false);
}

static bool
same_bucket(const struct bucket *a, const struct bucket *b)
{
	return stamp_compare(a->created, b->created) == 0 &&
	    stamp_compare(a->dropped, b->dropped) == 0 &&
	    a->options == b->options;
}

/* A drop may have come since the bucket's row was told, and its records may be
 * swept already: who claims them gone needs the drop, in the same piece. */
static int
tell_bucket(struct replica *r, struct replica_link *l)
{
	struct answer *a = &l->answer;
	struct kv_slice none = { "", 0 };
	struct sync_item item;
	struct op op;
	int rc;

	if (!a->is_after && a->key.len == 0)
		return KV_OK; /* its row is still to come */
	rc = r->store.ops->range(r->store.self, a->bid, none, false, &item);
	if (rc < 0)
		return rc == KV_ENOTFOUND ? KV_OK : rc;
	if (item.record.type != RECORD_BUCKET || item.record.bid != a->bid ||
	    same_bucket(&item.bucket, &a->bucket))
		return KV_OK;
	a->bucket = item.bucket;
	op = stream_op(&item);
	return stream_put(r, l, &l->to[STREAM_RANGE], &op);
}

static int
end_piece(struct replica *r, struct replica_link *l, uint8_t flags)
{
	struct sender *s = &l->to[STREAM_RANGE];
	struct answer *a = &l->answer;
	struct op mark = { .flags = flags,
		.cursor = s->marked,
		.head = a->head };
	int rc;

	if ((rc = tell_bucket(r, l)) < 0)
		return rc;
	/* No MARK between these rows and the one they belong to. */
	s->ops = s->bytes = 0;
	if ((rc = put_rows(r, l, true)) < 0)
		return rc;
	a->is_begun = false;
	s->has_ended = flags & OP_END;
	return stream_mark(r, l, s, &mark);
}

static bool
is_past_end(const struct answer *a, const struct sync_item *item)
{
	struct kv_slice hi = buf_slice(&a->hi), key = item->record.key;

	if (a->hi_bid == 0 && hi.len == 0)
		return false;
	if (item->record.type == RECORD_BUCKET)
		key.len = 0;
	if (item->record.bid != a->hi_bid)
		return item->record.bid > a->hi_bid;
	return slice_compare(key, hi) >= 0;
}

static int
move_past(struct answer *a, const struct sync_item *item)
{
	if (a->bid != item->record.bid)
		memset(&a->bucket, 0, sizeof(a->bucket));
	a->bid = item->record.bid;
	a->is_after = true;
	a->key.len = 0;
	if (item->record.type == RECORD_BUCKET) {
		a->bucket = item->bucket;
		return KV_OK;
	}
	return buf_append(&a->key, item->record.key.data, item->record.key.len);
}

/* A bucket's row and its record of the empty key have one place: they are told
 * together.  KV_EAGAIN: no room for the two. */
static int
put_item(struct replica *r, struct replica_link *l,
    const struct sync_item *item)
{
	struct sender *s = &l->to[STREAM_RANGE];
	struct kv_slice none = { "", 0 };
	struct sync_item empty;
	struct op op = stream_op(item), more;
	bool has_empty;
	int rc = KV_ENOTFOUND;

	if (item->record.type == RECORD_BUCKET)
		rc = r->store.ops->get(r->store.self, item->record.bid, none,
		    &empty.record);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	has_empty = rc == KV_OK;
	if (has_empty)
		more = stream_op(&empty);
	if (!stream_has_room(r, s, has_empty ? &more : &op))
		return KV_EAGAIN;
	rc = KV_OK;
	if (item->record.bid != l->answer.bid)
		rc = tell_bucket(r, l);
	if (rc == KV_OK)
		rc = stream_put(r, l, s, &op);
	if (rc == KV_OK && has_empty)
		rc = stream_put(r, l, s, &more);
	l->range_ops += 1 + has_empty;
	return rc;
}

int
range_fill(struct replica *r, struct replica_link *l)
{
	struct sender *s = &l->to[STREAM_RANGE];
	struct answer *a = &l->answer;
	struct sync_item item;
	int rc;

	if (!a->is_begun)
		return begin_piece(r, l);
	if (stream_mark_is_due(r, s))
		return end_piece(r, l, 0);
	rc = r->store.ops->range(r->store.self, a->bid, buf_slice(&a->key),
	    a->is_after, &item);
	if (rc == KV_ENOTFOUND || (rc == KV_OK && is_past_end(a, &item)))
		return end_piece(r, l, OP_END);
	if (rc < 0)
		return rc;
	s->passed++;
	/* Rows of buckets go along: what they hide is in no sum. */
	if (!a->has_mask || item.record.type == RECORD_BUCKET ||
	    leaf_mask_has(&a->mask, item.record.bid, item.record.key))
		rc = put_item(r, l, &item);
	return rc < 0 ? rc : move_past(a, &item);
}
