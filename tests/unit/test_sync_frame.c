/* SPDX-License-Identifier: ISC */
/* Golden frames of every type: these bytes are the format.  Then what is
 * refused, in both directions, and the lists in frames. */

#include "sync/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sync/items.h"
#include "sync_rig.h"

#define S(text)                                                                \
	{                                                                      \
		(text), sizeof(text) - 1                                       \
	}
#define ROW_1 "\0\0\0\0\0\0\0\x0a\0\0\0\0\0\0\0\x0b"
#define ROW_2 "\0\0\0\0\0\0\0\x0c\0\0\0\0\0\0\0\x0d"
#define ROW_1_HEX "000000000000000a 000000000000000b"
#define ROW_2_HEX "000000000000000c 000000000000000d"

struct golden {
	struct frame frame;
	const char *hex;
};

static const struct golden golden[] = {
	{ { FRAME_HELLO,
	      { .hello = { 0x0102030405060708, 2, 3, 4, 5, 4069, S("foo"),
		    S("bar@host"), S(ROW_1 ROW_2), 0x80000001, 10000 } } },
	    "01 0102030405060708 0000000000000002 0000000000000003"
	    "0000000000000004 0000000000000005 0fe5 03 666f6f"
	    "08 62617240686f7374 0002" ROW_1_HEX ROW_2_HEX
	    "80000001 00002710" },
	{ { FRAME_VV,
	      { .rows = { FRAME_MORE | FRAME_FIRST, 0x1234, S(ROW_1) } } },
	    "02 03 0000000000001234" ROW_1_HEX },
	{ { FRAME_SUB, { .rows = { 0, 0x1234, S(ROW_2) } } },
	    "03 00 0000000000001234" ROW_2_HEX },
	{ { FRAME_RESYNC, { .stream = STREAM_FULL } }, "04 02" },
	{ { FRAME_PULL, { .rows = { FRAME_MORE, 1, { NULL, 0 } } } },
	    "05 01 0000000000000001" },
	{ { FRAME_DATA_OWN, { .data = S("ops") } }, "06 6f7073" },
	{ { FRAME_DATA_FULL, { .data = S("o") } }, "07 6f" },
	{ { FRAME_RANGE,
	      { .range = { 9, RANGE_RESYNC, 1, S("lo"), 2, S("") } } },
	    "08 0000000000000009 02 0000000000000001 0002 6c6f"
	    "0000000000000002 0000" },
	{ { FRAME_DATA_RANGE, { .data = S("op") } }, "09 6f70" },
	{ { FRAME_ACK,
	      { .ack = { STREAM_OWN, FRAME_DURABLE, 0x77, 1 << 20 } } },
	    "0a 01 04 0000000000000077 00100000" },
	{ { FRAME_DIGEST, { .digest = { 0, { 1, 2 }, S(ROW_1 ROW_2) } } },
	    "0b 00 0000000000000001 0000000000000002" ROW_1_HEX ROW_2_HEX },
	{ { FRAME_BARRIER, { .barrier = { 1, 2 } } },
	    "0c 0000000000000001 0000000000000002" },
	{ { FRAME_BARRIER_OK, { .barrier_ok = { 1, FRAME_MORE, S(ROW_1) } } },
	    "0d 0000000000000001 01" ROW_1_HEX },
	{ { FRAME_PING, { .ping = { 1, 2 } } },
	    "10 0000000000000001 0000000000000002" },
	{ { FRAME_PONG, { .ping = { 1, 2 } } },
	    "11 0000000000000001 0000000000000002" },
	{ { FRAME_REDIRECT, { .port = 4070 } }, "12 0fe6" },
	{ { FRAME_CALL, { .call = { 5, FRAME_MORE, 1000, S("args") } } },
	    "20 0000000000000005 01 000003e8 61726773" },
	{ { FRAME_REPLY, { .reply = { 5, 0, REPLY_TIMEOUT, { NULL, 0 } } } },
	    "21 0000000000000005 00 04" },
	{ { FRAME_PRESENCE, { .presence = { FRAME_FIRST, S("entries") } } },
	    "22 02 656e7472696573" },
	{ { FRAME_MESSAGE, { .message = { 1, 2, S("news"), S("hello") } } },
	    "23 0000000000000001 0000000000000002 0004 6e657773 68656c6c6f" },
	{ { FRAME_FLOW, { .flow = { 5, 65536 } } },
	    "24 0000000000000005 00010000" },
	{ { FRAME_PART, { .part = { 1, 2, 8, 3, S("news"), S("hello") } } },
	    "80 0000000000000001 0000000000000002 00000008 00000003 0004"
	    "6e657773 68656c6c6f" },
	{ { FRAME_LEFT, { .left = 0x123456 } }, "81 0000000000123456" },
	{ { FRAME_LEAVES,
	      { .leaves = { 7, LEAVES_SECOND,
		    S("0123456789abcdef0123456789abcdef"
		      "fedcba9876543210fedcba9876543210") } } },
	    "82 0000000000000007 02"
	    "30313233343536373839616263646566"
	    "30313233343536373839616263646566"
	    "66656463626139383736353433323130"
	    "66656463626139383736353433323130" },
	{ { FRAME_SUMS, { .leaves = { 7, 0, S("0123456789abcdef") } } },
	    "83 0000000000000007 30313233343536373839616263646566" },
	{ { FRAME_BYE, { .bye = { BYE_CLOCK, S("off by 1 h") } } },
	    "7f 06 6f66662062792031 2068" },
};

#define GOLDEN (sizeof(golden) / sizeof(*golden))

static void
the_bytes_of_every_frame_are_fixed(void **state)
{
	struct buf out;
	size_t i;

	(void)state;
	buf_init(&out);
	for (i = 0; i < GOLDEN; i++) {
		out.len = 0;
		assert_int_equal(frame_encode(&golden[i].frame, &out), KV_OK);
		sync_rig_is_hex(out.data, out.len, golden[i].hex);
	}
	buf_fini(&out);
}

/* Decoded and encoded again they are the same bytes, and the fields are where
 * they belong. */
static void
every_frame_is_read_as_it_was_written(void **state)
{
	struct frame f;
	struct buf in, out;
	size_t i;

	(void)state;
	buf_init(&in);
	buf_init(&out);
	for (i = 0; i < GOLDEN; i++) {
		in.len = out.len = 0;
		sync_rig_hex(&in, golden[i].hex);
		assert_int_equal(frame_decode(buf_slice(&in), &f), KV_OK);
		assert_int_equal(f.type, golden[i].frame.type);
		assert_int_equal(frame_encode(&f, &out), KV_OK);
		assert_true(slice_equal(buf_slice(&in), buf_slice(&out)));
	}
	in.len = 0;
	sync_rig_hex(&in, golden[0].hex);
	assert_int_equal(frame_decode(buf_slice(&in), &f), KV_OK);
	assert_true(f.u.hello.wall_ms == 0x0102030405060708);
	assert_int_equal(f.u.hello.port, 4069);
	assert_true(slice_equal(f.u.hello.name, slice_of("foo")));
	assert_true(slice_equal(f.u.hello.dialled, slice_of("bar@host")));
	assert_int_equal(f.u.hello.lineage.len, 32);
	assert_int_equal(f.u.hello.timeout_ms, 10000);
	buf_fini(&in);
	buf_fini(&out);
}

/* In memory of exactly their size, so that the address sanitizer sees a read
 * past the end. */
static int
decode_exactly(const char *data, size_t n, struct frame *f)
{
	char *copy = malloc(n + (n == 0));
	int rc;

	assert_non_null(copy);
	memcpy(copy, data, n);
	rc = frame_decode((struct kv_slice){ copy, n }, f);
	free(copy);
	return rc;
}

static bool
has_open_end(enum frame_type type)
{
	return type == FRAME_DATA_OWN || type == FRAME_DATA_FULL ||
	    type == FRAME_DATA_RANGE || type == FRAME_CALL ||
	    type == FRAME_PRESENCE || type == FRAME_MESSAGE ||
	    type == FRAME_PART || type == FRAME_BYE;
}

static void
frames_cut_short_or_too_long_are_refused(void **state)
{
	struct frame f;
	struct buf in;
	size_t i, n;

	(void)state;
	buf_init(&in);
	for (i = 0; i < GOLDEN; i++) {
		enum frame_type type = golden[i].frame.type;

		in.len = 0;
		sync_rig_hex(&in, golden[i].hex);
		for (n = 0; n < in.len && !has_open_end(type); n++)
			/* Rows at the end may be fewer. */
			if (n == 0 || (in.len - n) % 16 != 0)
				assert_int_equal(decode_exactly(in.data, n, &f),
				    KV_EPROTO);
		assert_int_equal(buf_append(&in, "", 1), KV_OK);
		if (!has_open_end(type) && type != FRAME_REPLY)
			assert_int_equal(decode_exactly(in.data, in.len, &f),
			    KV_EPROTO);
	}
	buf_fini(&in);
}

static void
unknown_types_are_refused_and_extensions_ignored(void **state)
{
	struct frame f;
	unsigned type;
	size_t i;

	(void)state;
	for (type = 0; type < 256; type++) {
		char in[2] = { (char)type, 0x7f };
		bool is_known = false;

		for (i = 0; i < GOLDEN; i++)
			is_known = is_known || golden[i].frame.type == type;
		if (type >= 0x80 && !is_known) {
			assert_int_equal(decode_exactly(in, 2, &f),
			    KV_ENOTFOUND);
		} else if (!is_known) {
			assert_int_equal(decode_exactly(in, 2, &f), KV_EPROTO);
			assert_string_equal(frame_name((enum frame_type)type),
			    "?");
		}
	}
	assert_string_equal(frame_name(FRAME_HELLO), "HELLO");
	assert_string_equal(frame_bye_text(BYE_CLOCK), "clock too far off");
	assert_string_equal(frame_bye_text(200), "unknown reason");
}

static const char *const refused[] = {
	/* flags, streams, purposes, classes that are none */
	"02 04 0000000000000000",
	"03 02 0000000000000000",
	"04 00",
	"04 04",
	"0a 01 01 0000000000000077 00100000",
	"0a 00 00 0000000000000077 00100000",
	"08 0000000000000009 00 0000000000000001 0000 0000000000000002 0000",
	"21 0000000000000005 00 05",
	/* DATA without any */
	"06",
	/* half a row */
	"02 00 0000000000000000 00",
	"0b 00 0000000000000001 0000000000000002 000000000000000a",
	/* a key of 501 bytes that are not there */
	"08 0000000000000009 01 0000000000000001 01f5 0000000000000002 0000",
	/* a channel of 501 bytes */
	"23 0000000000000001 0000000000000002 01f5",
	/* text with a line feed */
	"7f 01 610a62",
};

static void
fields_out_of_bounds_are_refused(void **state)
{
	struct frame f;
	struct buf in;
	size_t i;

	(void)state;
	buf_init(&in);
	for (i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		in.len = 0;
		sync_rig_hex(&in, refused[i]);
		assert_int_equal(decode_exactly(in.data, in.len, &f),
		    KV_EPROTO);
	}
	buf_fini(&in);
}

/* A HELLO with this name and lineage: does it pass, in both directions alike?
 */
static bool
hello_passes(struct kv_slice name, struct kv_slice lineage)
{
	struct frame f = golden[0].frame, again;
	struct buf out;
	int rc;

	buf_init(&out);
	f.u.hello.name = name;
	f.u.hello.lineage = lineage;
	rc = frame_encode(&f, &out);
	if (rc == KV_OK)
		assert_int_equal(frame_decode(buf_slice(&out), &again), KV_OK);
	else {
		assert_int_equal(rc, KV_EINVAL);
		assert_int_equal(out.len, 0);
	}
	buf_fini(&out);
	return rc == KV_OK;
}

static void
names_and_lineage_have_their_bounds(void **state)
{
	static char rows[65 * 16], name[65];
	struct kv_slice none = { NULL, 0 };
	unsigned byte;

	(void)state;
	memset(name, 'n', sizeof(name));
	assert_true(hello_passes((struct kv_slice){ name, 63 }, none));
	assert_false(hello_passes((struct kv_slice){ name, 64 }, none));
	assert_false(hello_passes(none, none));
	for (byte = 0; byte < 256; byte++) {
		name[2] = (char)byte;
		assert_int_equal(hello_passes((struct kv_slice){ name, 5 },
				     none),
		    byte > 0x20 && byte < 0x7f);
	}
	assert_true(
	    hello_passes(slice_of("n"), (struct kv_slice){ rows, 64 * 16 }));
	assert_false(
	    hello_passes(slice_of("n"), (struct kv_slice){ rows, 65 * 16 }));
	assert_false(
	    hello_passes(slice_of("n"), (struct kv_slice){ rows, 15 }));
}

static void
a_frame_is_at_most_65518_bytes(void **state)
{
	static char data[FRAME_MAX + 1];
	struct frame f = { .type = FRAME_DATA_OWN };
	struct buf out;

	(void)state;
	buf_init(&out);
	f.u.data = (struct kv_slice){ data, FRAME_DATA_MAX };
	assert_int_equal(frame_encode(&f, &out), KV_OK);
	assert_int_equal(out.len, FRAME_MAX);
	f.u.data.len++;
	assert_int_equal(frame_encode(&f, &out), KV_ETOOBIG);
	assert_int_equal(out.len, FRAME_MAX);
	data[0] = FRAME_DATA_OWN;
	assert_int_equal(frame_decode((struct kv_slice){ data, sizeof(data) },
			     &f),
	    KV_EPROTO);
	f.type = FRAME_VV;
	memset(&f.u, 0, sizeof(f.u));
	f.u.rows.rows = (struct kv_slice){ data, FRAME_ROWS_MAX * FRAME_ROW };
	assert_int_equal(frame_encode(&f, &out), KV_OK);
	buf_fini(&out);
}

static void
rows_go_in_and_out(void **state)
{
	struct item_digest d = { 1, { 2, 3 }, 4 }, e;
	struct item_row row;
	struct kv_slice left;
	struct buf out;
	uint64_t i;

	(void)state;
	buf_init(&out);
	for (i = 0; i < 100; i++)
		assert_int_equal(item_put_row(&out,
				     (struct item_row){ i, i << 16 }),
		    KV_OK);
	assert_int_equal(out.len, 1600);
	left = buf_slice(&out);
	for (i = 0; item_take_row(&left, &row); i++)
		assert_true(row.inc == i && row.tick == i << 16);
	assert_int_equal(i, 100);
	out.len = 0;
	assert_int_equal(item_put_digest(&out, &d), KV_OK);
	assert_int_equal(out.len, FRAME_DIGEST_ROW);
	left = buf_slice(&out);
	assert_true(item_take_digest(&left, &e));
	assert_memory_equal(&d, &e, sizeof(d));
	assert_false(item_take_digest(&left, &e));
	buf_fini(&out);
}

static void
arguments_go_in_and_out(void **state)
{
	const struct kv_slice argv[] = { S("GET"), S(""), S("b\0c") };
	const struct kv_slice large = { NULL, ITEM_ARGS_BYTES + 1 };
	struct kv_slice got[3];
	struct buf out;
	size_t n, i;

	(void)state;
	buf_init(&out);
	assert_int_equal(item_put_args(&out, argv, 0), KV_EINVAL);
	assert_int_equal(item_put_args(&out, &large, 1), KV_ETOOBIG);
	assert_int_equal(item_put_args(&out, argv, 3), KV_OK);
	sync_rig_is_hex(out.data, out.len,
	    "0003 00000003 474554 00000000 00000003 620063");
	n = 3;
	assert_int_equal(item_get_args(buf_slice(&out), got, &n), KV_OK);
	assert_int_equal(n, 3);
	for (i = 0; i < 3; i++)
		assert_true(slice_equal(got[i], argv[i]));
	n = 2;
	assert_int_equal(item_get_args(buf_slice(&out), got, &n), KV_ETOOBIG);
	assert_int_equal(buf_append(&out, "", 1), KV_OK);
	n = 3;
	assert_int_equal(item_get_args(buf_slice(&out), got, &n), KV_EPROTO);
	for (i = 0; i < out.len - 1; i++) {
		n = 3;
		assert_int_equal(item_get_args((struct kv_slice){ out.data, i },
				     got, &n),
		    KV_EPROTO);
	}
	buf_fini(&out);
}

static void
clients_go_in_and_out(void **state)
{
	const struct item_client here = { false, 7, 8, S("web 1") };
	const struct item_client gone = { true, 9, 10, S("") };
	struct item_client c = { .name = S("a\nb") };
	struct kv_slice left;
	struct buf out;

	(void)state;
	buf_init(&out);
	assert_int_equal(item_put_client(&out, &c), KV_EINVAL);
	assert_int_equal(item_put_client(&out, &here), KV_OK);
	assert_int_equal(item_put_client(&out, &gone), KV_OK);
	sync_rig_is_hex(out.data, out.len,
	    "00 0000000000000007 0000000000000008 05 7765622031"
	    "01 0000000000000009 000000000000000a 00");
	left = buf_slice(&out);
	assert_int_equal(item_take_client(&left, &c), KV_OK);
	assert_true(c.id == 7 && c.tick == 8 && !c.is_gone);
	assert_true(slice_equal(c.name, here.name));
	assert_int_equal(item_take_client(&left, &c), KV_OK);
	assert_true(c.id == 9 && c.is_gone);
	assert_int_equal(item_take_client(&left, &c), KV_ENOTFOUND);
	left = (struct kv_slice){ out.data, 20 };
	assert_int_equal(item_take_client(&left, &c), KV_EPROTO);
	out.data[0] = 2;
	left = buf_slice(&out);
	assert_int_equal(item_take_client(&left, &c), KV_EPROTO);
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bytes_of_every_frame_are_fixed),
		cmocka_unit_test(every_frame_is_read_as_it_was_written),
		cmocka_unit_test(frames_cut_short_or_too_long_are_refused),
		cmocka_unit_test(
		    unknown_types_are_refused_and_extensions_ignored),
		cmocka_unit_test(fields_out_of_bounds_are_refused),
		cmocka_unit_test(names_and_lineage_have_their_bounds),
		cmocka_unit_test(a_frame_is_at_most_65518_bytes),
		cmocka_unit_test(rows_go_in_and_out),
		cmocka_unit_test(arguments_go_in_and_out),
		cmocka_unit_test(clients_go_in_and_out),
	};

	return cmocka_run_group_tests_name("sync_frame", tests, NULL, NULL);
}
