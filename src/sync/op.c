/* SPDX-License-Identifier: ISC */
/* Ops: writing, reading, putting together. */

#include "sync/op.h"

#include <assert.h>

#include "base/bytes.h"
#include "base/scope.h"
#include "sync/wire.h"

#define LEN 4
#define HEAD 2	   /* op, flags */
#define KEEP 65536 /* of the reader's memory between large ops */

/* Flags of PUT and TOMB on the wire. */
enum wire_flag {
	WIRE_OWN = 1,	   /* no inc: the sender's */
	WIRE_SAME = 2,	   /* no bid: that of the record before */
	WIRE_DEADLINE = 4, /* has a deadline */
	WIRE_EXPIRED = 8,  /* TOMB: made by its deadline */
	WIRE_PREV = 16,	   /* has a prev */
};

static size_t
body_max(size_t value_max)
{
	return HEAD + 8 + 8 + 8 + 8 + 16 + 2 + KV_KEY_MAX + value_max;
}

/* ---- records ---- */

static uint8_t
record_flags(const struct op_writer *w, const struct record *r)
{
	unsigned flags = 0;

	flags |= r->stamp.inc == w->own_inc ? WIRE_OWN : 0;
	flags |= w->has_bid && r->bid == w->bid ? WIRE_SAME : 0;
	flags |= r->deadline != 0 ? WIRE_DEADLINE : 0;
	flags |= r->flags & RECORD_EXPIRED ? WIRE_EXPIRED : 0;
	flags |= w->tells_prev && r->marks & RECORD_PREV ? WIRE_PREV : 0;
	return (uint8_t)flags;
}

static bool
record_fits(enum op_type type, const struct record *r)
{
	if (r->key.len > KV_KEY_MAX || r->stamp.tick == 0)
		return false;
	if (type == OP_TOMB)
		return r->value.len == 0;
	return !(r->flags & RECORD_EXPIRED);
}

static size_t
record_size(uint8_t flags, const struct record *r)
{
	return 8 + (flags & WIRE_OWN ? 0u : 8u) +
	    (flags & WIRE_SAME ? 0u : 8u) + (flags & WIRE_DEADLINE ? 8u : 0u) +
	    (flags & WIRE_PREV ? 16u : 0u) + 2 + r->key.len + r->value.len;
}

static void
write_record(struct wire_out *to, uint8_t flags, const struct record *r)
{
	wire_put(to, r->stamp.tick, 8);
	if (!(flags & WIRE_OWN))
		wire_put(to, r->stamp.inc, 8);
	if (!(flags & WIRE_SAME))
		wire_put(to, r->bid, 8);
	if (flags & WIRE_DEADLINE)
		wire_put(to, r->deadline, 8);
	if (flags & WIRE_PREV) {
		wire_put(to, r->prev.tick, 8);
		wire_put(to, r->prev.inc, 8);
	}
	wire_put(to, r->key.len, 2);
	wire_add(to, r->key);
	wire_add(to, r->value);
}

static int
read_record(struct op_reader *from, uint8_t flags, struct wire_in *w,
    struct op *out)
{
	struct record *r = &out->record;

	if (flags &
	    ~(WIRE_OWN | WIRE_SAME | WIRE_DEADLINE | WIRE_EXPIRED | WIRE_PREV))
		return KV_EPROTO;
	if (flags & WIRE_SAME && !from->has_bid)
		return KV_EPROTO;
	r->type = (enum record_type)out->type;
	r->flags |= flags & WIRE_DEADLINE ? RECORD_DEADLINE : 0;
	r->flags |= flags & WIRE_EXPIRED ? RECORD_EXPIRED : 0;
	r->stamp.tick = wire_get(w, 8);
	r->stamp.inc = flags & WIRE_OWN ? from->peer_inc : wire_get(w, 8);
	r->bid = flags & WIRE_SAME ? from->bid : wire_get(w, 8);
	r->deadline = flags & WIRE_DEADLINE ? wire_get(w, 8) : 0;
	if (flags & WIRE_PREV) {
		r->marks |= RECORD_PREV;
		r->prev.tick = wire_get(w, 8);
		r->prev.inc = wire_get(w, 8);
	}
	r->key = wire_take(w, (size_t)wire_get(w, 2));
	r->value = wire_take(w, w->left);
	if (w->bad || !record_fits(out->type, r))
		return KV_EPROTO;
	/* No node writes these, and no store takes them. */
	if (r->bid == 0 || r->stamp.inc == 0)
		return KV_EPROTO;
	if (flags & WIRE_DEADLINE && r->deadline == 0)
		return KV_EPROTO;
	if (r->value.len > from->value_max)
		return KV_ETOOBIG;
	from->bid = r->bid;
	from->has_bid = true;
	return KV_OK;
}

/* ---- buckets ---- */

#define BUCKET_SIZE (4 * 8 + 4)

static bool
name_fits(struct kv_slice name)
{
	return name.len > 0 && name.len <= KV_BUCKET_MAX &&
	    scope_of_name(name) == SCOPE_GLOBAL;
}

static void
write_bucket(struct wire_out *to, const struct bucket *b, struct kv_slice name)
{
	wire_put(to, b->created.tick, 8);
	wire_put(to, b->created.inc, 8);
	wire_put(to, b->dropped.tick, 8);
	wire_put(to, b->dropped.inc, 8);
	wire_put(to, b->options, 4);
	wire_add(to, name);
}

static void
read_bucket(struct wire_in *w, struct bucket *b, struct kv_slice *name)
{
	b->created.tick = wire_get(w, 8);
	b->created.inc = wire_get(w, 8);
	b->dropped.tick = wire_get(w, 8);
	b->dropped.inc = wire_get(w, 8);
	b->options = (uint32_t)wire_get(w, 4);
	*name = wire_take(w, w->left);
}

/* ---- both directions ---- */

void
op_writer_init(struct op_writer *w, uint64_t own_inc)
{
	*w = (struct op_writer){ .own_inc = own_inc };
}

size_t
op_size(const struct op_writer *w, const struct op *op)
{
	switch (op->type) {
	case OP_PUT:
	case OP_TOMB:
		return LEN + HEAD +
		    record_size(record_flags(w, &op->record), &op->record);
	case OP_BUCKET:
		return LEN + HEAD + BUCKET_SIZE + op->name.len;
	case OP_VVROW:
	case OP_MARK:
		break;
	}
	return LEN + HEAD + 16;
}

static bool
op_fits(const struct op *op)
{
	switch (op->type) {
	case OP_PUT:
	case OP_TOMB:
		return !(op->record.flags & RECORD_LOCAL) &&
		    scope_of_id(op->record.bid) == SCOPE_GLOBAL &&
		    record_fits(op->type, &op->record) &&
		    op->record.value.len <= UINT32_MAX - body_max(0);
	case OP_BUCKET:
		return name_fits(op->name) &&
		    !(op->bucket.options & BUCKET_LOCAL);
	case OP_VVROW:
		return (op->flags & ~OP_PURGED) == 0;
	case OP_MARK:
		return (op->flags & ~OP_END) == 0;
	}
	return false;
}

static void
write_body(const struct op *op, uint8_t flags, struct wire_out *to)
{
	switch (op->type) {
	case OP_PUT:
	case OP_TOMB:
		write_record(to, flags, &op->record);
		break;
	case OP_BUCKET:
		write_bucket(to, &op->bucket, op->name);
		break;
	case OP_VVROW:
		wire_put(to, op->row.inc, 8);
		wire_put(to, op->row.tick, 8);
		break;
	case OP_MARK:
		wire_put(to, op->cursor, 8);
		wire_put(to, op->head, 8);
		break;
	}
}

int
op_write(struct op_writer *w, const struct op *op, struct buf *out)
{
	bool is_record = op->type == OP_PUT || op->type == OP_TOMB;
	struct wire_out to = { out, KV_OK };
	size_t before = out->len, size;
	uint8_t flags;

	if (!op_fits(op))
		return KV_EINVAL;
	size = op_size(w, op);
	if ((to.rc = buf_reserve(out, size)) < 0)
		return to.rc;
	flags = is_record ? record_flags(w, &op->record) : op->flags;
	wire_put(&to, size - LEN, LEN);
	wire_put(&to, op->type, 1);
	wire_put(&to, op->type == OP_BUCKET ? 0 : flags, 1);
	write_body(op, flags, &to);
	assert(to.rc == KV_OK && out->len - before == size);
	(void)before;
	if (is_record) {
		w->bid = op->record.bid;
		w->has_bid = true;
	}
	return KV_OK;
}

static int
read_body(struct op_reader *r, uint8_t flags, struct wire_in *w, struct op *out)
{
	if (out->type == OP_PUT || out->type == OP_TOMB)
		return read_record(r, flags, w, out);
	if (out->type == OP_BUCKET) {
		read_bucket(w, &out->bucket, &out->name);
		if (!name_fits(out->name) || flags != 0)
			return KV_EPROTO;
	} else if (out->type == OP_VVROW) {
		out->row.inc = wire_get(w, 8);
		out->row.tick = wire_get(w, 8);
	} else {
		out->cursor = wire_get(w, 8);
		out->head = wire_get(w, 8);
	}
	out->flags = flags;
	return KV_OK;
}

/* An op without its length. */
static int
read_op(struct op_reader *r, struct kv_slice bytes, struct op *out)
{
	struct wire_in w = wire_read(bytes);
	uint64_t type = wire_get(&w, 1);
	uint8_t flags = (uint8_t)wire_get(&w, 1);
	int rc;

	memset(out, 0, sizeof(*out));
	if (type < OP_PUT || type > OP_MARK)
		return KV_EPROTO;
	out->type = (enum op_type)type;
	if ((rc = read_body(r, flags, &w, out)) < 0)
		return rc;
	return w.bad || w.left > 0 || !op_fits(out) ? KV_EPROTO : KV_OK;
}

/* ---- ops that span frames ---- */

void
op_reader_init(struct op_reader *r, uint64_t peer_inc, size_t value_max)
{
	memset(r, 0, sizeof(*r));
	r->peer_inc = peer_inc;
	r->value_max = value_max;
	buf_init(&r->partial);
}

void
op_reader_fini(struct op_reader *r)
{
	buf_fini(&r->partial);
}

/* The size of the op that begins here, length included; 0: not known yet. */
static int
whole_size(const struct op_reader *r, const char *p, size_t have, size_t *size)
{
	uint32_t n;

	*size = 0;
	if (have < LEN)
		return KV_OK;
	n = bytes_get_be32(p);
	if (n < HEAD)
		return KV_EPROTO;
	if (n > body_max(r->value_max))
		return KV_ETOOBIG;
	*size = (size_t)n + LEN;
	return KV_OK;
}

/* Move bytes of *in to the partial op until it has n. */
static int
fill(struct op_reader *r, struct kv_slice *in, size_t n)
{
	size_t need = n - r->partial.len;
	int rc;

	need = need < in->len ? need : in->len;
	if ((rc = buf_append(&r->partial, in->data, need)) < 0)
		return rc;
	in->data += need;
	in->len -= need;
	return KV_OK;
}

static int
read_spanning(struct op_reader *r, struct kv_slice *in, struct op *out)
{
	struct buf *p = &r->partial;
	size_t size;
	int rc;

	if (p->len < LEN && (rc = fill(r, in, LEN)) < 0)
		return rc;
	if ((rc = whole_size(r, p->data, p->len, &size)) < 0)
		return rc;
	if (size == 0)
		return KV_EMORE;
	if ((rc = fill(r, in, size)) < 0)
		return rc;
	if (p->len < size)
		return KV_EMORE;
	r->has_taken = true;
	return read_op(r, (struct kv_slice){ p->data + LEN, size - LEN }, out);
}

static int
read_next(struct op_reader *r, struct kv_slice *in, struct op *out)
{
	struct kv_slice bytes;
	size_t size;
	int rc;

	if (r->has_taken) {
		r->has_taken = false;
		r->partial.len = 0;
		buf_shrink(&r->partial, KEEP);
	}
	if (in->len == 0)
		return KV_EMORE;
	if (r->partial.len > 0)
		return read_spanning(r, in, out);
	if ((rc = whole_size(r, in->data, in->len, &size)) < 0)
		return rc;
	if (size == 0 || in->len < size)
		return read_spanning(r, in, out);
	bytes = (struct kv_slice){ in->data + LEN, size - LEN };
	in->data += size;
	in->len -= size;
	return read_op(r, bytes, out);
}

int
op_read(struct op_reader *r, struct kv_slice *in, struct op *out)
{
	int rc;

	if (r->failed != KV_OK)
		return r->failed;
	rc = read_next(r, in, out);
	if (rc < 0 && rc != KV_EMORE)
		r->failed = rc;
	return rc;
}

size_t
op_reader_wants(const struct op_reader *r)
{
	size_t size = 0;

	if (r->has_taken || r->partial.len == 0)
		return 0;
	if (whole_size(r, r->partial.data, r->partial.len, &size) < 0)
		return 0;
	return size == 0 ? LEN : size;
}
