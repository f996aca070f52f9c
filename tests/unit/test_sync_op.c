/* SPDX-License-Identifier: ISC */
/* The stream of operations: its bytes, and any cut of them. */

#include "sync/op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/scope.h"
#include "sync_rig.h"

#define OWN 0x0a0a0a0a0a0a0a0au
#define FOREIGN 0x0b0b0b0b0b0b0b0bu
#define VALUE_MAX (1u << 20)

static struct op
put(uint64_t tick, uint64_t inc, uint64_t bid, const char *key,
    const char *value)
{
	return (struct op){ .type = OP_PUT,
		.record = { .type = RECORD_PUT,
		    .stamp = { tick, inc },
		    .bid = bid,
		    .key = slice_of(key),
		    .value = slice_of(value) } };
}

static struct op
mark(uint8_t flags, uint64_t cursor, uint64_t head)
{
	return (struct op){ .type = OP_MARK,
		.flags = flags,
		.cursor = cursor,
		.head = head };
}

static void
assert_same(const struct op *a, const struct op *b)
{
	const struct record *r = &a->record, *s = &b->record;

	assert_int_equal(a->type, b->type);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(r->type, s->type);
	assert_int_equal(r->flags, s->flags);
	assert_true(stamp_compare(r->stamp, s->stamp) == 0);
	assert_true(r->bid == s->bid && r->deadline == s->deadline);
	assert_int_equal(r->marks, s->marks);
	assert_true(stamp_compare(r->prev, s->prev) == 0);
	assert_true(slice_equal(r->key, s->key));
	assert_true(slice_equal(r->value, s->value));
	assert_true(stamp_compare(a->bucket.created, b->bucket.created) == 0);
	assert_true(stamp_compare(a->bucket.dropped, b->bucket.dropped) == 0);
	assert_int_equal(a->bucket.options, b->bucket.options);
	assert_true(slice_equal(a->name, b->name));
	assert_true(stamp_compare(a->row, b->row) == 0);
	assert_true(a->cursor == b->cursor && a->head == b->head);
}

static void
write_all(const struct op *ops, size_t n, struct buf *to)
{
	struct op_writer w;
	size_t i, before;

	op_writer_init(&w, OWN);
	w.tells_prev = true;
	for (i = 0; i < n; i++) {
		before = op_size(&w, &ops[i]);
		before += to->len;
		assert_int_equal(op_write(&w, &ops[i], to), KV_OK);
		assert_int_equal(to->len, before);
	}
}

/* Read bytes in pieces of this size, each in memory of its own. */
static void
read_all(const struct op *ops, size_t n, const struct buf *from, size_t piece)
{
	struct op_reader r;
	size_t at = 0, seen = 0;
	int rc = KV_EMORE;

	op_reader_init(&r, OWN, VALUE_MAX);
	while (at < from->len) {
		size_t len = from->len - at < piece ? from->len - at : piece;
		char *copy = malloc(len);
		struct kv_slice in = { copy, len };
		struct op op;

		assert_non_null(copy);
		memcpy(copy, from->data + at, len);
		at += len;
		while ((rc = op_read(&r, &in, &op)) == KV_OK) {
			assert_true(seen < n);
			assert_same(&op, &ops[seen++]);
		}
		assert_int_equal(rc, KV_EMORE);
		assert_int_equal(in.len, 0);
		free(copy);
	}
	assert_int_equal(seen, n);
	assert_int_equal(op_reader_wants(&r), 0);
	op_reader_fini(&r);
}

static void
an_op_costs_16_bytes_and_its_key(void **state)
{
	struct op ops[] = { put(1, OWN, 5, "a", "value"),
		put(2, OWN, 5, "key", "") };
	struct op_writer w;
	struct buf out;

	(void)state;
	buf_init(&out);
	op_writer_init(&w, OWN);
	assert_int_equal(op_write(&w, &ops[0], &out), KV_OK);
	assert_int_equal(op_size(&w, &ops[1]), 16 + 3);
	buf_fini(&out);
}

/* Golden: these bytes are the format.  All kinds, with and without what may be
 * left out. */
static void
the_bytes_of_every_op_are_fixed(void **state)
{
	struct op ops[8] = {
		put(0x1122334455667788, OWN, 0x0102030405060708, "key",
		    "value"),
		put(0x99, FOREIGN, 0x0102030405060708, "k", ""),
		put(0x9a, OWN, 2, "k", "x"),
		put(0x9b, OWN, 2, "k", ""),
		{ .type = OP_BUCKET,
		    .bucket = { .created = { 3, 4 },
			.dropped = { 5, 6 },
			.options = 1 },
		    .name = slice_of("bucket") },
		{ .type = OP_VVROW, .row = { .tick = 7, .inc = FOREIGN } },
		{ .type = OP_VVROW,
		    .flags = OP_PURGED,
		    .row = { .tick = 8, .inc = OWN } },
		mark(OP_END, 0x10, 0x20),
	};
	struct buf out;

	(void)state;
	ops[2].record.deadline = 0x0800;
	ops[2].record.flags = RECORD_DEADLINE;
	ops[3].type = OP_TOMB;
	ops[3].record.type = RECORD_TOMB;
	ops[3].record.deadline = 0x0700;
	ops[3].record.flags = RECORD_DEADLINE | RECORD_EXPIRED;
	buf_init(&out);
	write_all(ops, 8, &out);
	sync_rig_is_hex(out.data, out.len,
	    "0000001c 01 01 1122334455667788 0102030405060708 0003 6b6579"
	    "         76616c7565"
	    "00000015 01 02 0000000000000099 0b0b0b0b0b0b0b0b 0001 6b"
	    "0000001e 01 05 000000000000009a 0000000000000002"
	    "         0000000000000800 0001 6b 78"
	    "00000015 02 0f 000000000000009b 0000000000000700 0001 6b"
	    "0000002c 03 00 0000000000000003 0000000000000004"
	    "         0000000000000005 0000000000000006 00000001 6275636b6574"
	    "00000012 04 00 0b0b0b0b0b0b0b0b 0000000000000007"
	    "00000012 04 01 0a0a0a0a0a0a0a0a 0000000000000008"
	    "00000012 05 01 0000000000000010 0000000000000020");
	read_all(ops, 8, &out, SIZE_MAX);
	buf_fini(&out);
}

/* What the writer of a record had before it: for who asked for it. */
static void
a_prev_is_told_only_to_who_knows_of_it(void **state)
{
	struct op ops[] = { put(0x99, OWN, 5, "k", "x"),
		put(0x9a, OWN, 5, "k", "y"), put(0x9b, OWN, 5, "k", "") };
	struct op_writer w;
	struct buf out;
	size_t i;

	(void)state;
	ops[0].record.marks = RECORD_PREV;
	ops[0].record.prev = (struct stamp){ 0x88, FOREIGN };
	ops[1].record.marks = RECORD_PREV; /* had none */
	ops[2].type = OP_TOMB;
	ops[2].record.type = RECORD_TOMB;
	ops[2].record.deadline = 0x0700;
	ops[2].record.flags = RECORD_DEADLINE;
	ops[2].record.marks = RECORD_PREV;
	ops[2].record.prev = (struct stamp){ 0x77, OWN };
	buf_init(&out);
	write_all(ops, 3, &out);
	sync_rig_is_hex(out.data, out.len,
	    "00000026 01 11 0000000000000099 0000000000000005"
	    "         0000000000000088 0b0b0b0b0b0b0b0b 0001 6b 78"
	    "0000001e 01 13 000000000000009a"
	    "         0000000000000000 0000000000000000 0001 6b 79"
	    "00000025 02 17 000000000000009b 0000000000000700"
	    "         0000000000000077 0a0a0a0a0a0a0a0a 0001 6b");
	read_all(ops, 3, &out, 1);
	read_all(ops, 3, &out, SIZE_MAX);
	out.len = 0;
	op_writer_init(&w, OWN);
	for (i = 0; i < 3; i++)
		assert_int_equal(op_write(&w, &ops[i], &out), KV_OK);
	for (i = 0; i < 3; i++) {
		ops[i].record.marks = 0;
		ops[i].record.prev = (struct stamp){ 0, 0 };
	}
	read_all(ops, 3, &out, SIZE_MAX);
	buf_fini(&out);
}

static struct op
random_op(uint64_t *seed, char *space, size_t room)
{
	size_t klen = 1 + rng_next(seed) % KV_KEY_MAX;
	size_t vlen = rng_next(seed) % (room - KV_KEY_MAX);
	struct op op = { .type = (enum op_type)(1 + rng_next(seed) % 5) };
	struct record *r = &op.record;

	memset(space, (int)rng_next(seed), room);
	if (op.type == OP_BUCKET) {
		op.bucket.created.tick = rng_next(seed);
		op.bucket.dropped.inc = rng_next(seed);
		op.name =
		    (struct kv_slice){ space, 1 + klen % (KV_BUCKET_MAX - 1) };
	} else if (op.type == OP_VVROW) {
		op.row = (struct stamp){ rng_next(seed), rng_next(seed) };
		op.flags = rng_next(seed) % 2 ? OP_PURGED : 0;
	} else if (op.type == OP_MARK) {
		op.cursor = rng_next(seed);
		op.flags = rng_next(seed) % 2 ? OP_END : 0;
	} else {
		r->type = (enum record_type)op.type;
		r->stamp.tick = 1 + rng_next(seed) % 1000;
		r->stamp.inc = rng_next(seed) % 2 ? OWN : FOREIGN;
		r->bid = 1 + rng_next(seed) % 3;
		if (rng_next(seed) % 4 == 0) {
			r->deadline = 1 + rng_next(seed) % 1000;
			r->flags = RECORD_DEADLINE;
		}
		if (rng_next(seed) % 4 == 0) {
			r->marks = RECORD_PREV;
			r->prev = (struct stamp){ rng_next(seed) % 3, OWN };
		}
		r->key = (struct kv_slice){ space, klen };
		if (op.type == OP_PUT)
			r->value = (struct kv_slice){ space + klen, vlen };
		else
			r->value = (struct kv_slice){ NULL, 0 };
	}
	return op;
}

#define COUNT 60
#define ROOM 1200

static void
any_cut_of_the_stream_is_the_same_ops(void **state)
{
	static char space[COUNT][ROOM];
	struct op ops[COUNT];
	uint64_t seed = rng_u64() | 1;
	struct buf out;
	size_t i;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (i = 0; i < COUNT; i++)
		ops[i] = random_op(&seed, space[i], ROOM);
	buf_init(&out);
	write_all(ops, COUNT, &out);
	for (i = 1; i < 200; i++)
		read_all(ops, COUNT, &out, i);
	for (; i < out.len; i += 1 + rng_next(&seed) % 300)
		read_all(ops, COUNT, &out, i);
	buf_fini(&out);
}

static void
a_value_may_span_many_frames_and_its_buffer_is_given_back(void **state)
{
	char *value = malloc(VALUE_MAX);
	struct op op = put(1, OWN, 1, "k", ""), got;
	struct op_writer w;
	struct op_reader r;
	struct buf out;
	size_t at;
	int rc;

	(void)state;
	assert_non_null(value);
	memset(value, 'v', VALUE_MAX);
	op.record.value = (struct kv_slice){ value, VALUE_MAX };
	buf_init(&out);
	op_writer_init(&w, OWN);
	assert_int_equal(op_write(&w, &op, &out), KV_OK);
	op_reader_init(&r, OWN, VALUE_MAX);
	for (rc = KV_EMORE, at = 0; rc == KV_EMORE; at += 65517) {
		size_t n = out.len - at < 65517 ? out.len - at : 65517;
		struct kv_slice in = { out.data + at, n };

		rc = op_read(&r, &in, &got);
		if (rc == KV_EMORE)
			assert_int_equal(op_reader_wants(&r), out.len);
	}
	assert_int_equal(rc, KV_OK);
	assert_same(&got, &op);
	assert_true(r.partial.cap >= VALUE_MAX);
	assert_int_equal(op_reader_wants(&r), 0);
	assert_int_equal(op_read(&r, &(struct kv_slice){ NULL, 0 }, &got),
	    KV_EMORE);
	assert_int_equal(r.partial.cap, 0);
	op_reader_fini(&r);
	buf_fini(&out);
	free(value);
}

struct broken {
	const char *hex;
	int rc;
};

static const struct broken broken[] = {
	/* lengths */
	{ "00000000", KV_EPROTO },
	{ "00000001 05", KV_EPROTO },
	{ "ffffffff 01", KV_ETOOBIG },
	{ "00100300 01", KV_ETOOBIG },
	{ "00000002 05 00", KV_EPROTO },
	{ "00000011 05 00 0000000000000010 00000000000000", KV_EPROTO },
	{ "00000013 05 00 0000000000000010 000000000000000000", KV_EPROTO },
	{ "00000013 04 00 0000000000000010 000000000000000000", KV_EPROTO },
	/* unknown ops and flags */
	{ "00000012 00 00 0000000000000010 0000000000000000", KV_EPROTO },
	{ "00000012 06 00 0000000000000010 0000000000000000", KV_EPROTO },
	{ "00000012 05 02 0000000000000010 0000000000000000", KV_EPROTO },
	{ "00000012 04 02 0000000000000010 0000000000000000", KV_EPROTO },
	{ "00000015 01 21 0000000000000001 0000000000000001 0001 6b",
	    KV_EPROTO },
	/* half a prev */
	{ "0000001a 01 11 0000000000000001 0000000000000001"
	  "         0000000000000001",
	    KV_EPROTO },
	/* the bucket before, and there is none */
	{ "0000000d 01 03 0000000000000001 0001 6b", KV_EPROTO },
	/* tick 0, key of more bytes than there are */
	{ "00000015 01 01 0000000000000000 0000000000000001 0001 6b",
	    KV_EPROTO },
	{ "00000015 01 01 0000000000000001 0000000000000001 0002 6b",
	    KV_EPROTO },
	/* deadline 0, a tombstone with a value, an expired record */
	{ "0000001d 01 05 0000000000000001 0000000000000001"
	  "         0000000000000000 0001 6b",
	    KV_EPROTO },
	{ "00000016 02 01 0000000000000001 0000000000000001 0001 6b 76",
	    KV_EPROTO },
	{ "00000015 01 09 0000000000000001 0000000000000001 0001 6b",
	    KV_EPROTO },
	/* a bucket without name, with flags, a local one */
	{ "00000026 03 00 0000000000000003 0000000000000004"
	  "         0000000000000005 0000000000000006 00000001",
	    KV_EPROTO },
	{ "00000027 03 01 0000000000000003 0000000000000004"
	  "         0000000000000005 0000000000000006 00000001 62",
	    KV_EPROTO },
	{ "00000027 03 00 0000000000000003 0000000000000004"
	  "         0000000000000005 0000000000000006 00000002 62",
	    KV_EPROTO },
};

static void
broken_ops_end_the_stream(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
		struct op_reader r;
		struct kv_slice in;
		struct buf b;
		struct op op;

		buf_init(&b);
		sync_rig_hex(&b, broken[i].hex);
		op_reader_init(&r, OWN, VALUE_MAX);
		in = buf_slice(&b);
		assert_int_equal(op_read(&r, &in, &op), broken[i].rc);
		/* For good, whatever comes. */
		in = slice_of("a good one");
		assert_int_equal(op_read(&r, &in, &op), broken[i].rc);
		op_reader_fini(&r);
		buf_fini(&b);
	}
}

static void
a_value_over_the_limit_is_refused_before_it_is_read(void **state)
{
	struct op op = put(1, FOREIGN, 1, "k", "12345");
	struct op_writer w;
	struct op_reader r;
	struct kv_slice in;
	struct buf out;

	(void)state;
	buf_init(&out);
	op_writer_init(&w, OWN);
	assert_int_equal(op_write(&w, &op, &out), KV_OK);
	op_reader_init(&r, OWN, 4);
	in = buf_slice(&out);
	assert_int_equal(op_read(&r, &in, &op), KV_ETOOBIG);
	op_reader_fini(&r);
	/* From the length alone when it is far over. */
	op_reader_init(&r, OWN, 4);
	in = (struct kv_slice){ "\0\x10\0\0", 4 };
	assert_int_equal(op_read(&r, &in, &op), KV_ETOOBIG);
	assert_true(r.partial.cap < 1024);
	op_reader_fini(&r);
	buf_fini(&out);
}

static void
what_may_not_leave_the_host_is_not_written(void **state)
{
	static char long_key[KV_KEY_MAX + 2];
	struct op ops[] = {
		put(1, OWN, 1, "k", "v"),
		put(0, OWN, 1, "k", "v"),
		{ .type = OP_BUCKET,
		    .bucket = { .options = BUCKET_LOCAL },
		    .name = slice_of("b") },
		put(1, OWN, 1, "k", "v"),
		put(1, OWN, SCOPE_LOCAL_IDS, "k", "v"),
		{ .type = OP_BUCKET, .name = slice_of(SCOPE_PREFIX "b") },
	};
	struct op_writer w;
	struct buf out;
	size_t i;

	(void)state;
	memset(long_key, 'k', KV_KEY_MAX + 1);
	ops[0].record.flags = RECORD_LOCAL;
	ops[3].record.key = slice_of(long_key);
	buf_init(&out);
	op_writer_init(&w, OWN);
	for (i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		assert_int_equal(op_write(&w, &ops[i], &out), KV_EINVAL);
	assert_int_equal(out.len, 0);
	assert_false(w.has_bid);
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_op_costs_16_bytes_and_its_key),
		cmocka_unit_test(a_prev_is_told_only_to_who_knows_of_it),
		cmocka_unit_test(the_bytes_of_every_op_are_fixed),
		cmocka_unit_test(any_cut_of_the_stream_is_the_same_ops),
		cmocka_unit_test(
		    a_value_may_span_many_frames_and_its_buffer_is_given_back),
		cmocka_unit_test(broken_ops_end_the_stream),
		cmocka_unit_test(
		    a_value_over_the_limit_is_refused_before_it_is_read),
		cmocka_unit_test(what_may_not_leave_the_host_is_not_written),
	};

	return cmocka_run_group_tests_name("sync_op", tests, NULL, NULL);
}
