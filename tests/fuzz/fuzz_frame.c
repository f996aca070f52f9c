/* SPDX-License-Identifier: ISC */
/* What stands in frames, as if the encryption were not there.  Byte 0, modulo
 * 4:
 *	0	a frame: what is accepted is encoded to the same bytes
 *	1	a stream of ops: whole or in pieces the same ops, and again the
 *		same when they are written and read
 *	2	the same, but each op is given as u8 length and its bytes, so
 *		that most of them get past their length
 *	3	the arguments of a call, the entries of presence */

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/rng.h"
#include "sync/frame.h"
#include "sync/items.h"
#include "sync/op.h"

#define MUST(condition)                                                        \
	do {                                                                   \
		if (!(condition))                                              \
			abort();                                               \
	} while (0)
#define PEER 0x5050505050505050u
#define VALUE_MAX 3000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fuzz_frame(struct kv_slice in)
{
	struct frame f;
	struct buf out;
	int rc;

	rc = frame_decode(in, &f);
	MUST(rc == KV_OK || rc == KV_EPROTO || rc == KV_ENOTFOUND);
	if (rc != KV_OK)
		return;
	buf_init(&out);
	MUST(frame_name(f.type)[0] != '?');
	MUST(frame_encode(&f, &out) == KV_OK);
	MUST(slice_equal(buf_slice(&out), in));
	buf_fini(&out);
}

/* All fields of an op, as bytes that can be compared. */
static void
say(struct buf *to, const struct op *op)
{
	const struct record *r = &op->record;
	const uint64_t numbers[] = { op->type, op->flags, r->type, r->flags,
		r->stamp.tick, r->stamp.inc, r->bid, r->deadline, r->marks,
		r->prev.tick, r->prev.inc, r->key.len, r->value.len,
		op->bucket.created.tick, op->bucket.created.inc,
		op->bucket.dropped.tick, op->bucket.dropped.inc,
		op->bucket.options, op->name.len, op->row.tick, op->row.inc,
		op->cursor, op->head };

	MUST(buf_append(to, numbers, sizeof(numbers)) == KV_OK);
	MUST(buf_append(to, r->key.data, r->key.len) == KV_OK);
	MUST(buf_append(to, r->value.data, r->value.len) == KV_OK);
	MUST(buf_append(to, op->name.data, op->name.len) == KV_OK);
}

/* Read in pieces, each in memory of its own; say all ops, write them again. */
static int
read_ops(struct kv_slice in, size_t most, uint64_t seed, struct buf *said,
    struct buf *again)
{
	struct op_reader r;
	struct op_writer w;
	int rc = KV_EMORE;

	op_reader_init(&r, PEER, VALUE_MAX);
	op_writer_init(&w, PEER);
	w.tells_prev = true;
	while (in.len > 0 && rc == KV_EMORE) {
		size_t n = 1 + rng_next(&seed) % most;
		struct kv_slice piece;
		struct op op;
		char *copy;

		n = n < in.len ? n : in.len;
		copy = malloc(n);
		MUST(copy != NULL);
		memcpy(copy, in.data, n);
		piece = (struct kv_slice){ copy, n };
		while ((rc = op_read(&r, &piece, &op)) == KV_OK) {
			say(said, &op);
			if (again != NULL)
				MUST(op_write(&w, &op, again) == KV_OK);
		}
		MUST(rc != KV_EMORE || piece.len == 0);
		MUST(op_reader_wants(&r) < VALUE_MAX + 1000);
		in.data += n;
		in.len -= n;
		free(copy);
	}
	op_reader_fini(&r);
	return rc;
}

static void
fuzz_ops(struct kv_slice in, unsigned seed)
{
	struct buf whole, pieces, again, third;
	int rc;

	buf_init(&whole);
	buf_init(&pieces);
	buf_init(&again);
	buf_init(&third);
	rc = read_ops(in, 1u << 30, 1, &whole, &again);
	MUST(rc == read_ops(in, 1 + seed % 30, seed + 1, &pieces, NULL));
	MUST(slice_equal(buf_slice(&whole), buf_slice(&pieces)));
	read_ops(buf_slice(&again), 1u << 30, 1, &third, NULL);
	MUST(slice_equal(buf_slice(&whole), buf_slice(&third)));
	buf_fini(&whole);
	buf_fini(&pieces);
	buf_fini(&again);
	buf_fini(&third);
}

static void
fuzz_mended_ops(const uint8_t *data, size_t size, unsigned seed)
{
	struct buf stream;
	char length[4];

	buf_init(&stream);
	while (size > 0) {
		size_t n = data[0] < size - 1 ? data[0] : size - 1;

		bytes_put_be32(length, (uint32_t)n);
		MUST(buf_append(&stream, length, 4) == KV_OK);
		MUST(buf_append(&stream, data + 1, n) == KV_OK);
		data += 1 + n;
		size -= 1 + n;
	}
	fuzz_ops(buf_slice(&stream), seed);
	buf_fini(&stream);
}

static void
fuzz_items(struct kv_slice in)
{
	struct kv_slice argv[8], left = in;
	struct item_client c;
	struct buf out;
	size_t argc = 8;
	int rc;

	buf_init(&out);
	if (item_get_args(in, argv, &argc) == KV_OK) {
		MUST(item_put_args(&out, argv, argc) == KV_OK);
		MUST(slice_equal(buf_slice(&out), in));
	}
	out.len = 0;
	while ((rc = item_take_client(&left, &c)) == KV_OK)
		MUST(item_put_client(&out, &c) == KV_OK);
	MUST(out.len + left.len == in.len);
	MUST(rc == KV_ENOTFOUND ? left.len == 0 : left.len > 0);
	MUST(out.len == 0 || memcmp(out.data, in.data, out.len) == 0);
	buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kv_slice in;

	if (size < 1)
		return 0;
	in = (struct kv_slice){ (const char *)data + 1, size - 1 };
	switch (data[0] % 4) {
	case 0:
		fuzz_frame(in);
		break;
	case 1:
		fuzz_ops(in, data[0]);
		break;
	case 2:
		fuzz_mended_ops(data + 1, size - 1, data[0]);
		break;
	default:
		fuzz_items(in);
	}
	return 0;
}
