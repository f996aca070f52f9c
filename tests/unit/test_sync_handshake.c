/* SPDX-License-Identifier: ISC */
/* The handshake: the vector of reference/handshake-vectors.txt, and everything
 * an attacker on the way or at one end may try. */

#include "sync/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sync_pair.h"

static const char psk_hex[] =
    "476f7eeffa4bb5b77cf3f4d024811839a9402309b0e87e692c700ead00aa806d";
static const char m1_hex[] =
    "4b565331010201019f758a91ff7cbe5e9f1723cdd344a5491e5e43c82f923102"
    "96142c48b8a3a78024ba2717e2d2e916e110e9da270477552dd9fe12a1d18352";
static const char m2_hex[] =
    "4b56523101020101c04f31bdad968a23c728735054c828ae1499a5f982a588e3"
    "ebef0210cacd6071478a2d1b1fb32d85d0b79701fb38c2fa79453c151057c29b"
    "f9c5debc1ef1e178ab1f6e057caafc427ed1fce368cca65e6bbd98d80c95bb39";
static const char m3_hex[] =
    "29ac7b8833688e4fd41d1e2c7e4c5098563130976804ce00000b26ec20157e4a"
    "c9ce2a35c5bed3c512ba5eb2d579832a287005fbc1aec704";
static const char session_hex[] =
    "e73bb44048cba64f77b2baf5ce5ecf47b9d3cb87b2d5395ff2505267380c9491";
static const char scalar_hex[] =
    "08f00caeb35f4ef63a535c084006ddb16ba0d09b08ce2e062267daf1ed28e902";
static const char frame_hex[] = "f4b41329daaa79b0e6d39c55e1fb04482eb6ebd38ae5";

static void
the_vector_is_met_byte_for_byte(void **state)
{
	struct psk_ring *ring = sync_rig_ring("2 0123456789abcdef", "prod");
	struct pair p;

	(void)state;
	sync_rig_is_hex(psk_ring_dial(ring)->key, PSK_BYTES, psk_hex);
	sync_rig_counter(100);
	pair_begin(&p, ring, ring, &pair_terms);
	sync_rig_is_hex(p.i.u.i.y, 32, scalar_hex);
	sync_rig_is_hex(p.m1, sizeof(p.m1), m1_hex);
	sync_rig_counter(200);
	assert_int_equal(pair_m1(&p), KV_OK);
	sync_rig_is_hex(p.m2, sizeof(p.m2), m2_hex);
	sync_rig_counter(300);
	assert_int_equal(pair_m2(&p), KV_OK);
	sync_rig_is_hex(p.m3, sizeof(p.m3), m3_hex);
	assert_int_equal(pair_m3(&p), KV_OK);
	sync_rig_is_hex(p.si.id, 32, session_hex);
	sync_rig_is_hex(p.sr.id, 32, session_hex);
	assert_int_equal(p.si.version, 1);
	assert_int_equal(p.sr.version, 1);
	sync_rig_random();
	pair_end(&p);
}

/* The prototype's first frame is five bytes of I, without the length. */
static void
the_first_frame_is_the_vectors(void **state)
{
	struct psk_ring *ring = sync_rig_ring("2 0123456789abcdef", "prod");
	struct channel c, d;
	struct channel_frame f;
	struct pair p;
	struct buf out;
	size_t at;

	(void)state;
	sync_rig_counter(100);
	pair_begin(&p, ring, ring, &pair_terms);
	sync_rig_counter(200);
	assert_int_equal(pair_m1(&p), KV_OK);
	sync_rig_counter(300);
	assert_int_equal(pair_m2(&p), KV_OK);
	assert_int_equal(pair_m3(&p), KV_OK);
	sync_rig_random();
	channel_take(&c, &p.si, 0);
	channel_take(&d, &p.sr, 0);
	buf_init(&out);
	assert_int_equal(channel_begin(&out, &at), KV_OK);
	assert_int_equal(buf_append(&out, "HELLO", 5), KV_OK);
	assert_int_equal(channel_end(&c, &out, at, false, 0), KV_OK);
	assert_int_equal(out.len, 2 + 22);
	sync_rig_is_hex(out.data + 2, out.len - 2, frame_hex);
	assert_int_equal(channel_open(&d, out.data, out.len, &f), KV_OK);
	assert_memory_equal(f.plain.data, "HELLO", 5);
	buf_fini(&out);
	channel_fini(&c);
	channel_fini(&d);
	pair_end(&p);
}

static void
both_ends_get_the_same_keys(void **state)
{
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	struct pair p;

	(void)state;
	pair_begin(&p, ring, ring, &pair_terms);
	assert_int_equal(pair_m1(&p), KV_OK);
	assert_int_equal(pair_m2(&p), KV_OK);
	assert_int_equal(pair_m3(&p), KV_OK);
	assert_memory_equal(p.si.id, p.sr.id, 32);
	assert_memory_equal(&p.si.tx, &p.sr.rx, sizeof(p.si.tx));
	assert_memory_equal(&p.si.rx, &p.sr.tx, sizeof(p.si.tx));
	assert_memory_not_equal(&p.si.rx, &p.si.tx, sizeof(p.si.tx));
	/* Nothing of it stays in the machines. */
	assert_true(sodium_is_zero((uint8_t *)&p.i.u, sizeof(p.i.u)));
	assert_true(sodium_is_zero((uint8_t *)&p.r.u, sizeof(p.r.u)));
	pair_end(&p);
	assert_true(sodium_is_zero((uint8_t *)&p.i, sizeof(p.i)));
}

/* Feed m in pieces of n bytes with more behind it, until something happens. */
static int
feed_pieces(struct handshake *h, const uint8_t *m, size_t len, size_t n,
    struct handshake_step *step)
{
	uint8_t more[HANDSHAKE_M2 + 40] = { 0 };
	size_t at = 0;
	int rc;

	memcpy(more, m, len);
	for (;;) {
		size_t piece = n < sizeof(more) - at ? n : sizeof(more) - at;

		rc = handshake_feed(h, pair_bytes(more + at, piece), step);
		at += step->used;
		if (rc != KV_EMORE)
			break;
		assert_int_equal(step->used, piece);
	}
	assert_int_equal(at, len);
	return rc;
}

static void
any_split_of_the_bytes_is_the_same_handshake(void **state)
{
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	struct pair p;
	size_t n;

	(void)state;
	for (n = 1; n <= HANDSHAKE_M2 + 1; n++) {
		pair_begin(&p, ring, ring, &pair_terms);
		assert_int_equal(feed_pieces(&p.r, p.m1, HANDSHAKE_M1, n,
				     &p.step),
		    KV_OK);
		assert_int_equal(handshake_answer(&p.r, &p.step), KV_OK);
		memcpy(p.m2, p.step.reply, HANDSHAKE_M2);
		assert_int_equal(feed_pieces(&p.i, p.m2, HANDSHAKE_M2, n,
				     &p.step),
		    KV_OK);
		memcpy(p.m3, p.step.reply, HANDSHAKE_M3);
		assert_int_equal(feed_pieces(&p.r, p.m3, HANDSHAKE_M3, n,
				     &p.step),
		    KV_OK);
		assert_true(p.step.done);
		pair_end(&p);
	}
}

static void
every_generation_is_accepted_and_the_first_is_dialled(void **state)
{
	struct psk_ring *two = sync_rig_ring(COOKIE, "prod");
	struct psk_ring *old = sync_rig_ring(OLD_ONLY, "prod");
	struct pair p;

	(void)state;
	pair_begin(&p, old, two, &pair_terms);
	assert_int_equal(p.m1[5], 1);
	assert_int_equal(pair_m1(&p), KV_OK);
	assert_int_equal(pair_m2(&p), KV_OK);
	assert_int_equal(pair_m3(&p), KV_OK);
	pair_end(&p);
	pair_begin(&p, two, two, &pair_terms);
	assert_int_equal(p.m1[5], 2);
	pair_end(&p);
}

static void
an_unknown_generation_is_named(void **state)
{
	struct psk_ring *two = sync_rig_ring(COOKIE, "prod");
	char text[HANDSHAKE_EXPLAIN_TEXT];
	struct pair p;

	(void)state;
	pair_begin(&p, two, two, &pair_terms);
	p.m1[5] = 3;
	/* Decided by the first eight bytes. */
	assert_int_equal(handshake_feed(&p.r, pair_bytes(p.m1, 8), &p.step),
	    KV_EACCESS);
	handshake_explain(&p.r, text);
	assert_string_equal(text,
	    "cookie generation unknown here: peer has generation 3, here are "
	    "2 and 1");
	pair_is_dead(&p.r, &p.step, HANDSHAKE_GENERATION);
	/* Nor may R answer with another one than was dialled, be it known. */
	pair_end(&p);
	pair_begin(&p, two, two, &pair_terms);
	assert_int_equal(pair_m1(&p), KV_OK);
	p.m2[5] = 1;
	assert_int_equal(pair_m2(&p), KV_EACCESS);
	pair_is_dead(&p.i, &p.step, HANDSHAKE_GENERATION);
	pair_end(&p);
}

struct range {
	uint8_t imin, imax, rmin, rmax, version; /* 0: none in common */
};

static void
the_highest_common_version_is_spoken(void **state)
{
	static const struct range ranges[] = {
		{ 1, 1, 1, 1, 1 },
		{ 1, 3, 2, 5, 3 },
		{ 2, 5, 1, 3, 3 },
		{ 1, 1, 2, 2, 0 },
		{ 4, 5, 1, 3, 0 },
		{ 0, 255, 7, 7, 7 },
	};
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	char text[HANDSHAKE_EXPLAIN_TEXT], want[HANDSHAKE_EXPLAIN_TEXT];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
		const struct range *v = &ranges[i];
		struct handshake_terms terms = { pair_terms.cluster, v->imin,
			v->imax };
		struct pair p;

		pair_begin(&p, ring, ring, &terms);
		p.r.terms.vmin = v->rmin;
		p.r.terms.vmax = v->rmax;
		if (v->version == 0) {
			assert_int_equal(pair_m1(&p), KV_EVERSION);
			handshake_explain(&p.r, text);
			snprintf(want, sizeof(want),
			    "no protocol version in common: peer speaks %u to "
			    "%u, here %u to %u",
			    v->imin, v->imax, v->rmin, v->rmax);
			assert_string_equal(text, want);
			pair_is_dead(&p.r, &p.step, HANDSHAKE_VERSION);
		} else {
			assert_int_equal(pair_m1(&p), KV_OK);
			assert_int_equal(pair_m2(&p), KV_OK);
			assert_int_equal(pair_m3(&p), KV_OK);
			assert_int_equal(p.si.version, v->version);
			assert_int_equal(p.sr.version, v->version);
		}
		pair_end(&p);
	}
}

static void
two_handshakes_have_nothing_in_common(void **state)
{
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	struct pair a, b;

	(void)state;
	pair_begin(&a, ring, ring, &pair_terms);
	pair_begin(&b, ring, ring, &pair_terms);
	assert_int_equal(pair_m1(&a), KV_OK);
	assert_int_equal(pair_m2(&a), KV_OK);
	assert_int_equal(pair_m1(&b), KV_OK);
	assert_int_equal(pair_m2(&b), KV_OK);
	assert_memory_not_equal(a.m1 + 8, b.m1 + 8, 24);
	assert_memory_not_equal(a.m1 + 32, b.m1 + 32, 32);
	assert_memory_not_equal(a.m2 + 8, b.m2 + 8, 32);
	assert_memory_not_equal(a.si.id, b.si.id, 32);
	pair_end(&a);
	pair_end(&b);
}

static void
an_answer_is_made_once_and_only_when_asked(void **state)
{
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	char text[HANDSHAKE_EXPLAIN_TEXT];
	struct pair p;

	(void)state;
	pair_begin(&p, ring, ring, &pair_terms);
	assert_int_equal(handshake_answer(&p.r, &p.step), KV_ECLOSED);
	handshake_explain(&p.r, text);
	assert_string_equal(text, "handshake is over");
	pair_is_dead(&p.r, &p.step, HANDSHAKE_OVER);
	pair_end(&p);
	pair_begin(&p, ring, ring, &pair_terms);
	assert_int_equal(pair_m1(&p), KV_OK);
	assert_int_equal(handshake_answer(&p.r, &p.step), KV_ECLOSED);
	pair_is_dead(&p.r, &p.step, HANDSHAKE_OVER);
	pair_end(&p);
}

static void
keys_in_use_outlive_a_reload(void **state)
{
	struct psk_ring *ring;
	struct cookie_error e;
	struct cookie c;
	struct pair p;

	(void)state;
	assert_int_equal(cookie_parse(slice_of(COOKIE), false, &c, &e), KV_OK);
	assert_int_equal(psk_ring_new(&c, pair_terms.cluster, &ring), KV_OK);
	pair_begin(&p, ring, ring, &pair_terms);
	psk_ring_release(ring);
	assert_int_equal(pair_m1(&p), KV_OK);
	assert_int_equal(pair_m2(&p), KV_OK);
	assert_int_equal(pair_m3(&p), KV_OK);
	pair_end(&p);
}

static void
a_fingerprint_tells_secrets_apart_and_not_more(void **state)
{
	struct psk_ring *two = sync_rig_ring(COOKIE, "prod");
	struct psk_ring *one = sync_rig_ring(OLD_ONLY, "prod");
	char a[PSK_FINGERPRINT_TEXT], b[PSK_FINGERPRINT_TEXT];

	(void)state;
	psk_fingerprint(psk_ring_find(two, 1), a);
	psk_fingerprint(psk_ring_find(one, 1), b);
	assert_string_equal(a, b);
	assert_int_equal(strlen(a), 8);
	psk_fingerprint(psk_ring_find(two, 2), b);
	assert_string_not_equal(a, b);
	assert_null(psk_ring_find(one, 2));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vector_is_met_byte_for_byte),
		cmocka_unit_test(the_first_frame_is_the_vectors),
		cmocka_unit_test(both_ends_get_the_same_keys),
		cmocka_unit_test(any_split_of_the_bytes_is_the_same_handshake),
		cmocka_unit_test(
		    every_generation_is_accepted_and_the_first_is_dialled),
		cmocka_unit_test(an_unknown_generation_is_named),
		cmocka_unit_test(the_highest_common_version_is_spoken),
		cmocka_unit_test(two_handshakes_have_nothing_in_common),
		cmocka_unit_test(an_answer_is_made_once_and_only_when_asked),
		cmocka_unit_test(keys_in_use_outlive_a_reload),
		cmocka_unit_test(
		    a_fingerprint_tells_secrets_apart_and_not_more),
	};

	return cmocka_run_group_tests_name("sync_handshake", tests, NULL, NULL);
}
