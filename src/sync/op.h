/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_OP_H
#define KV_SYNC_OP_H

/* The stream of operations that DATA frames carry: their bodies, joined, are
 *
 *	u32 len | u8 op | u8 flags | body of len - 2 bytes
 *
 *	PUT, TOMB  u64 tick | [u64 inc] | [u64 bid] | [u64 deadline] |
 *		   [u64 prev tick, inc] | u16 klen | key | value
 *	BUCKET	   u64 created tick, inc | u64 dropped tick, inc | u32 options |
 *		   name
 *	VVROW	   u64 inc | u64 tick
 *	MARK	   u64 cursor | u64 head
 *
 * An op may span frames, so that a large value never keeps a PING waiting for
 * more than one of them.  A stamp of the sender's own run leaves its inc out, a
 * record of the bucket before leaves the bid out: 16 bytes and the key at
 * least.  A prev stands there for who said FEATURE_PREV in its HELLO. */

#include <stdbool.h>

#include "base/buf.h"
#include "base/record.h"

enum op_type {
	OP_PUT = RECORD_PUT,
	OP_TOMB = RECORD_TOMB,
	OP_BUCKET = RECORD_BUCKET,
	OP_VVROW = 4,
	OP_MARK = 5
};

/* What is not known from the record itself. */
enum op_flag {
	OP_PURGED = 1, /* VVROW: of what was purged, not of what is there */
	OP_END = 1,    /* MARK: the sender's log ends here, head claims it */
};

struct op {
	enum op_type type;
	uint8_t flags;	      /* of enum op_flag, VVROW and MARK only */
	struct record record; /* PUT, TOMB: stamp, bid, deadline, key, value,
			       * prev, of the flags DEADLINE and EXPIRED,
			       * of the marks PREV */
	struct bucket bucket; /* BUCKET: stamps and options, not bid, seq */
	struct kv_slice name; /* BUCKET */
	struct stamp row;     /* VVROW */
	uint64_t cursor;      /* MARK: everything up to here was sent */
	uint64_t head;	      /* MARK with OP_END */
};

/* Both ends of a stream remember the bucket of the last record; begin anew
 * with each SUB, PULL and RANGE. */
struct op_writer {
	uint64_t own_inc; /* of the sender */
	uint64_t bid;
	bool has_bid;
	bool tells_prev; /* false after op_writer_init */
};

void op_writer_init(struct op_writer *w, uint64_t own_inc);

/* Bytes op_write() would append now. */
size_t op_size(const struct op_writer *w, const struct op *op);

/* Append one op, whole: how it is cut into frames is the caller's.  KV_EINVAL:
 * of a local bucket, or out of bounds; KV_ENOMEM; then out is as it was. */
KV_CHECKED int op_write(struct op_writer *w, const struct op *op,
    struct buf *out);

struct op_reader {
	uint64_t peer_inc;
	uint64_t bid;
	bool has_bid;
	bool has_taken; /* the op in partial was handed out */
	int failed;	/* the result that ended it */
	size_t value_max;
	struct buf partial; /* an op that spans frames, or its beginning */
};

void op_reader_init(struct op_reader *r, uint64_t peer_inc, size_t value_max);
void op_reader_fini(struct op_reader *r);

/* The next op of the stream; what is read is cut off the front of *in.
 *
 * KV_OK      out borrows from *in or from the reader, until the next call.
 * KV_EMORE   *in is used up.
 * KV_EPROTO, KV_ETOOBIG (a value over value_max), KV_ENOMEM: the stream is
 * over, the same again for ever. */
KV_CHECKED int op_read(struct op_reader *r, struct kv_slice *in,
    struct op *out);

/* How large the op is that is being put together, 0 for none: who has lent
 * his large buffers already stops reading from this peer. */
size_t op_reader_wants(const struct op_reader *r);

#endif
