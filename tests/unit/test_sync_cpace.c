/* SPDX-License-Identifier: ISC */
/* The vectors of draft-irtf-cfrg-cpace-21, appendix B.3 (ristretto255 and
 * SHA-512) and the lengths of appendix A. */

#include "sync/cpace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sync_rig.h"

#define BYTES(s) ((struct kv_slice){ (s), sizeof(s) - 1 })

static const struct kv_slice sid = { "\x7e\x4b\x47\x91\xd6\xa8\xef\x01"
				     "\x9b\x93\x6c\x79\xfb\x7f\x2c\x57",
	16 };
static const char generator[] =
    "222b6b195fe84b1652badb6f6a3ae3d24341e7306967f0b8115b40d5698c7e56";
static const char scalar_a[] =
    "da3d23700a9e5699258aef94dc060dfda5ebb61f02a5ea77fad53f4ff0976d08";
static const char scalar_b[] =
    "d2316b454718c35362d83d69df6320f38578ed5984651435e2949762d900b80d";
static const char point_a[] =
    "d6bac480f2c386c394efc7c47adb9925dcd2630b64f240c50f8d0eec482b9157";
static const char point_b[] =
    "3ea7e0b19560d7c0b0f5734f63b955286dfa8232b5ebe63324e2d9e7433f7258";
static const char isk_ir[] =
    "b69effbf61b51d56401c0f65601abe428de8206feaaf0e32198896dcae7b35cd"
    "2b38950a39dfd5d4a79164614c2984f7daa460b588c1e80c3fa2068af7900447";

/* The scalar that the replaced randomness yields. */
static uint8_t next_scalar[32];

static void
give_scalar(void *const to, const size_t n)
{
	assert_int_equal(n, sizeof(next_scalar));
	memcpy(to, next_scalar, n);
}

static randombytes_implementation by_scalar = { .buf = give_scalar };

static void
unhex(const char *hex, uint8_t *to, size_t n)
{
	struct buf b;

	buf_init(&b);
	sync_rig_hex(&b, hex);
	assert_int_equal(b.len, n);
	memcpy(to, b.data, n);
	buf_fini(&b);
}

static void
a_length_is_written_as_the_draft_does(void **state)
{
	static const struct {
		size_t n;
		const char *hex;
	} rows[] = { { 0, "00" }, { 4, "04" }, { 5, "05" }, { 127, "7f" },
		{ 128, "8001" }, { 300, "ac02" }, { 16384, "808001" } };
	uint8_t to[CPACE_PREFIX_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		sync_rig_is_hex(to, cpace_prefix(to, rows[i].n), rows[i].hex);
}

static void
the_generator_is_the_drafts(void **state)
{
	const struct cpace_input in = { BYTES("Password"),
		BYTES("\x0b"
		      "A_initiator\x0b"
		      "B_responder"),
		sid };
	uint8_t g[CPACE_POINT];

	(void)state;
	cpace_generator(&in, g);
	sync_rig_is_hex(g, sizeof(g), generator);
}

static void
the_messages_are_the_drafts(void **state)
{
	uint8_t g[CPACE_POINT], y[CPACE_SCALAR], point[CPACE_POINT];

	(void)state;
	randombytes_set_implementation(&by_scalar);
	unhex(generator, g, sizeof(g));
	unhex(scalar_a, next_scalar, sizeof(next_scalar));
	/* Bits above the group's are not used. */
	next_scalar[31] |= 0xf0;
	cpace_share(g, y, point);
	sync_rig_is_hex(y, sizeof(y), scalar_a);
	sync_rig_is_hex(point, sizeof(point), point_a);
	unhex(scalar_b, next_scalar, sizeof(next_scalar));
	cpace_share(g, y, point);
	sync_rig_is_hex(point, sizeof(point), point_b);
	sync_rig_random();
}

static void
both_sides_get_the_drafts_key(void **state)
{
	uint8_t ya[32], yb[32], pa[32], pb[32], isk[CPACE_ISK];
	const struct cpace_message a = { pa, BYTES("ADa") };
	const struct cpace_message b = { pb, BYTES("ADb") };

	(void)state;
	unhex(scalar_a, ya, 32);
	unhex(scalar_b, yb, 32);
	unhex(point_a, pa, 32);
	unhex(point_b, pb, 32);
	assert_int_equal(cpace_isk(sid, ya, pb, &a, &b, isk), KV_OK);
	sync_rig_is_hex(isk, sizeof(isk), isk_ir);
	memset(isk, 0, sizeof(isk));
	assert_int_equal(cpace_isk(sid, yb, pa, &a, &b, isk), KV_OK);
	sync_rig_is_hex(isk, sizeof(isk), isk_ir);
}

/* B.3.10 and B.3.11. */
static void
invalid_points_are_refused(void **state)
{
	static const char scalar[] = "7cd0e075fa7955ba52c02759a6c90dbbfc10e6d40"
				     "aea8d283e407d88cf538a05";
	static const char *const invalid[] = {
		"2b3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a5"
		"1c",
		"00000000000000000000000000000000000000000000000000000000000000"
		"00",
		/* Negative, over the field's order, a small order of the curve
		 * below: RFC 9496, appendix A.3. */
		"0100000000000000000000000000000000000000000000000000000000000"
		"000",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
		"7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
		"7f",
		"26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d3"
		"71",
	};
	uint8_t y[32], p[32], isk[CPACE_ISK], product[32];
	const struct cpace_message m = { p, { NULL, 0 } };
	size_t i;

	(void)state;
	unhex(scalar, y, 32);
	unhex("2c3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51"
	      "c",
	    p, 32);
	assert_int_equal(crypto_scalarmult_ristretto255(product, y, p), 0);
	sync_rig_is_hex(product, 32,
	    "7c13645fe790a468f62c39beb7388e541d8405d1ade69d1778c5fe3e7f6b600e");
	assert_int_equal(cpace_isk(sid, y, p, &m, &m, isk), KV_OK);
	for (i = 0; i < sizeof(invalid) / sizeof(*invalid); i++) {
		unhex(invalid[i], p, 32);
		assert_int_equal(cpace_isk(sid, y, p, &m, &m, isk), KV_EPROTO);
	}
}

static int
init(void **state)
{
	(void)state;
	return sodium_init() < 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_length_is_written_as_the_draft_does),
		cmocka_unit_test(the_generator_is_the_drafts),
		cmocka_unit_test(the_messages_are_the_drafts),
		cmocka_unit_test(both_sides_get_the_drafts_key),
		cmocka_unit_test(invalid_points_are_refused),
	};

	return cmocka_run_group_tests_name("sync_cpace", tests, init, NULL);
}
