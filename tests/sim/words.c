/* SPDX-License-Identifier: ISC */
/* Bytes into fields, frames and ops. */

#include "words.h"

#include <stdlib.h>
#include <string.h>

#include "sync/items.h"

/* ---- fields out of the input ---- */

uint8_t
words_u8(struct words *w)
{
	if (w->left == 0)
		return 0;
	w->left--;
	return *w->at++;
}

uint64_t
words_inc(struct words *w)
{
	static const uint64_t incs[] = { WORDS_INC, 201, 202, 301, 302, 303, 0,
		UINT64_MAX };

	return incs[words_u8(w) % 8];
}

uint64_t
words_tick(struct words *w)
{
	uint8_t c = words_u8(w);
	uint64_t now = w->wall_ms << 16;
	uint64_t near = words_u8(w);

	switch (c % 8) {
	case 0:
		return near;
	case 1:
		return w->store->now.head + near - 1;
	case 2:
		return now - (near << 16);
	case 3:
		return now + (near << 16);
	case 4:
		return now + ((near + 300) << 26);
	case 5:
		return UINT64_MAX - near;
	case 6:
		return w->store->start + near;
	default:
		return w->store->now.clock + near;
	}
}

struct kv_slice
words_key(struct words *w)
{
	static const char keys[8][8] = { "k0", "k1", "k2", "k3", "k4", "k5",
		"k6", "" };
	static const char large[KV_KEY_MAX];
	uint8_t c = words_u8(w);

	return c == 255 ? (struct kv_slice){ large, sizeof(large) }
			: slice_of(keys[c % 8]);
}

struct kv_slice
words_bucket(struct words *w)
{
	static const char *const names[] = { "a", "b", "c", "\001expiring" };

	return slice_of(names[words_u8(w) % 4]);
}

/* ---- frames ---- */

void
words_rows(struct words *w, struct buf *rows)
{
	unsigned n = words_u8(w) % 6;

	while (n-- > 0)
		if (item_put_row(rows,
			(struct item_row){ words_inc(w), words_tick(w) }) < 0)
			abort();
}

static void
fill_hello(struct words *w, unsigned which, struct frame_hello *h,
    struct buf *rows)
{
	static const char *const names[] = { "p0@h", "p1@h", "n@h", "p0@g" };
	uint8_t c = words_u8(w);

	h->uid = 20 + (c & 1 ? words_u8(w) % 3u : which);
	h->inc = c & 2 ? words_inc(w) : 201 + which;
	h->wall_ms = c & 4 ? words_tick(w) >> 16 : w->wall_ms;
	h->start_tick = words_tick(w);
	h->head_tick = words_tick(w);
	h->name = slice_of(names[c & 8 ? words_u8(w) % 4 : which]);
	h->dialled = c & 16 ? slice_of("n") : (struct kv_slice){ "", 0 };
	if (c & 32)
		words_rows(w, rows);
	h->lineage = buf_slice(rows);
	h->timeout_ms = c & 64 ? words_u8(w) : 10000;
}

static void
fill_other(struct words *w, uint64_t range, struct frame *f)
{
	static const char zeros[64], sums[4096];
	static char masks[FRAME_LEAF_MASKS];

	switch ((unsigned)f->type) {
	case FRAME_RESYNC:
		f->u.stream = 1 + words_u8(w) % 3;
		break;
	case FRAME_RANGE:
		f->u.range = (struct frame_range){ range + words_u8(w) % 3,
			1 + words_u8(w) % 3, sim_bucket_id(words_bucket(w)),
			words_key(w), 0, { "", 0 } };
		if (words_u8(w) & 1) {
			f->u.range.hi_bid = sim_bucket_id(words_bucket(w));
			f->u.range.hi_key = words_key(w);
		}
		break;
	case FRAME_LEAVES:
		memset(masks, words_u8(w), sizeof(masks));
		f->u.leaves = (struct frame_leaves){ range + words_u8(w) % 3,
			(uint8_t)(1 + words_u8(w) % 3),
			{ masks, sizeof(masks) } };
		break;
	case FRAME_SUMS:
		f->u.leaves = (struct frame_leaves){ words_u8(w), 0,
			{ sums, words_u8(w) & 1 ? sizeof(sums) : 16 } };
		break;
	case FRAME_ACK:
		f->u.ack = (struct frame_ack){ 1 + words_u8(w) % 3,
			words_u8(w) & FRAME_DURABLE, words_tick(w),
			(uint32_t)words_u8(w) << 23 };
		break;
	case FRAME_PING:
	case FRAME_PONG:
		f->u.ping =
		    (struct frame_ping){ words_u8(w), words_tick(w) >> 16 };
		break;
	case FRAME_BYE:
		f->u.bye.code = words_u8(w) % 14;
		f->u.bye.text = slice_of("so long");
		break;
	case FRAME_CALL:
		f->u.call.bytes = (struct kv_slice){ zeros, words_u8(w) % 64 };
		break;
	default:
		f->u.port = words_u8(w);
	}
}

void
words_frame(struct words *w, unsigned which, uint64_t range, struct buf *rows,
    struct frame *f)
{
	static const enum frame_type types[] = { FRAME_HELLO, FRAME_VV,
		FRAME_SUB, FRAME_PULL, FRAME_RESYNC, FRAME_RANGE, FRAME_ACK,
		FRAME_DIGEST, FRAME_PING, FRAME_PONG, FRAME_REDIRECT,
		FRAME_CALL, FRAME_BYE, FRAME_VV, FRAME_HELLO, FRAME_ACK,
		FRAME_LEAVES, FRAME_SUMS };

	memset(f, 0, sizeof(*f));
	f->type = types[words_u8(w) % 18];
	switch ((unsigned)f->type) {
	case FRAME_HELLO:
		fill_hello(w, which, &f->u.hello, rows);
		break;
	case FRAME_VV:
	case FRAME_SUB:
	case FRAME_PULL:
		f->u.rows.flags = words_u8(w) % 16 == 0 ? FRAME_MORE : 0;
		f->u.rows.cursor = words_tick(w);
		words_rows(w, rows);
		f->u.rows.rows = buf_slice(rows);
		break;
	case FRAME_DIGEST:
		f->u.digest.vv_hash[0] = words_u8(w);
		words_rows(w, rows);
		rows->len -= rows->len % FRAME_DIGEST_ROW;
		f->u.digest.rows = buf_slice(rows);
		break;
	default:
		fill_other(w, range, f);
	}
}

/* ---- ops ---- */

static void
fill_record(struct words *w, struct op *op)
{
	static const char values[300];
	uint8_t c = words_u8(w);

	op->record.bid = sim_bucket_id(words_bucket(w));
	op->record.stamp.inc = words_inc(w);
	op->record.stamp.tick = words_tick(w);
	op->record.key = words_key(w);
	if (c & 1) {
		op->record.flags |= RECORD_DEADLINE;
		op->record.deadline = words_tick(w) >> 16;
	}
	if (c & 8) {
		op->record.marks |= RECORD_PREV;
		op->record.prev = (struct stamp){ words_tick(w), words_inc(w) };
	}
	if (op->type == OP_PUT)
		op->record.value =
		    (struct kv_slice){ values, c & 2 ? sizeof(values) : c };
	else if (c & 4)
		op->record.flags |= RECORD_EXPIRED;
}

void
words_op(struct words *w, uint64_t range, struct op *op)
{
	memset(op, 0, sizeof(*op));
	op->type = (enum op_type)(OP_PUT + words_u8(w) % 5);
	switch (op->type) {
	case OP_PUT:
	case OP_TOMB:
		fill_record(w, op);
		break;
	case OP_BUCKET:
		op->name = words_bucket(w);
		op->bucket.created =
		    (struct stamp){ words_tick(w), words_inc(w) };
		op->bucket.dropped =
		    (struct stamp){ words_tick(w), words_inc(w) };
		break;
	case OP_VVROW:
		op->flags = words_u8(w) & OP_PURGED;
		op->row.inc = words_inc(w);
		op->row.tick = words_tick(w);
		break;
	case OP_MARK:
		op->flags = words_u8(w) & OP_END;
		op->cursor = words_u8(w) & 1 ? range : words_tick(w);
		op->head = words_u8(w) & 1 ? op->cursor : words_tick(w);
		break;
	}
}
