/* SPDX-License-Identifier: ISC */
/* The handshake against an attacker: on the way, at one end, with what was
 * recorded. */

#include "sync/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sync_pair.h"

#define OTHER "2 0123456789abcdeF\n"

/* Whether what one end seals first is opened by the other. */
static bool
first_frame_opens(struct handshake_session *from, struct handshake_session *to)
{
	struct channel_frame f;
	struct channel a, b;
	struct buf out;
	size_t at;
	int rc;

	channel_take(&a, from, 0);
	channel_take(&b, to, 0);
	buf_init(&out);
	assert_int_equal(channel_begin(&out, &at), KV_OK);
	assert_int_equal(buf_append(&out, "x", 1), KV_OK);
	assert_int_equal(channel_end(&a, &out, at, false, 0), KV_OK);
	rc = channel_open(&b, out.data, out.len, &f);
	buf_fini(&out);
	return rc == KV_OK;
}

static void
not_one_of_1728_flipped_bits_is_accepted(void **state)
{
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	size_t bit, flips = 0;
	struct pair p;
	int rc;

	(void)state;
	for (bit = 0; bit < 8 * HANDSHAKE_M1; bit++, flips++) {
		pair_begin(&p, ring, ring, &pair_terms);
		p.m1[bit / 8] ^= (uint8_t)(1u << bit % 8);
		/* R may go as far as M2, but then its tag is wrong for I. */
		if ((rc = pair_m1(&p)) == KV_OK)
			rc = pair_m2(&p);
		assert_true(rc < 0);
		pair_end(&p);
	}
	for (bit = 0; bit < 8 * HANDSHAKE_M2; bit++, flips++) {
		pair_begin(&p, ring, ring, &pair_terms);
		assert_int_equal(pair_m1(&p), KV_OK);
		p.m2[bit / 8] ^= (uint8_t)(1u << bit % 8);
		rc = pair_m2(&p);
		/* The stream's header is not under the tag: the first frame
		 * does not open. */
		if (bit / 8 >= 72) {
			assert_int_equal(rc, KV_OK);
			assert_int_equal(pair_m3(&p), KV_OK);
			assert_false(first_frame_opens(&p.sr, &p.si));
		} else
			assert_true(rc < 0);
		pair_end(&p);
	}
	for (bit = 0; bit < 8 * HANDSHAKE_M3; bit++, flips++) {
		pair_begin(&p, ring, ring, &pair_terms);
		assert_int_equal(pair_m1(&p), KV_OK);
		assert_int_equal(pair_m2(&p), KV_OK);
		p.m3[bit / 8] ^= (uint8_t)(1u << bit % 8);
		rc = pair_m3(&p);
		if (bit / 8 >= 32) {
			assert_int_equal(rc, KV_OK);
			assert_false(first_frame_opens(&p.si, &p.sr));
		} else
			assert_int_equal(rc, KV_EACCESS);
		pair_end(&p);
	}
	assert_int_equal(flips, 1728);
}

/* Whoever has a wrong one learns it from the tag, the first to be checked. */
static void
expect_refusal(struct psk_ring *of_i, struct psk_ring *of_r,
    const struct handshake_terms *ti, const struct handshake_terms *tr)
{
	struct pair p;

	pair_begin(&p, of_i, of_r, ti);
	p.r.terms = *tr;
	assert_int_equal(pair_m1(&p), KV_OK);
	assert_int_equal(pair_m2(&p), KV_EACCESS);
	pair_is_dead(&p.i, &p.step, HANDSHAKE_TAG);
	/* A false initiator cannot make the tag of M3 either. */
	memcpy(p.m3, p.m2 + 40, 32);
	assert_int_equal(pair_m3(&p), KV_EACCESS);
	pair_is_dead(&p.r, &p.step, HANDSHAKE_TAG);
	pair_end(&p);
}

static void
another_cookie_is_refused(void **state)
{
	(void)state;
	expect_refusal(sync_rig_ring(COOKIE, "prod"),
	    sync_rig_ring(OTHER, "prod"), &pair_terms, &pair_terms);
}

static void
another_cluster_is_refused(void **state)
{
	const struct handshake_terms test = { slice_of("test"), 1, 1 };

	(void)state;
	expect_refusal(sync_rig_ring(COOKIE, "prod"),
	    sync_rig_ring(COOKIE, "test"), &pair_terms, &test);
	/* The name counts by itself, not only as the salt of the key. */
	expect_refusal(sync_rig_ring(COOKIE, "prod"),
	    sync_rig_ring(COOKIE, "prod"), &pair_terms, &test);
}

static void
a_version_cannot_be_forced_down(void **state)
{
	const struct handshake_terms terms = { pair_terms.cluster, 1, 3 };
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	struct pair p;

	(void)state;
	pair_begin(&p, ring, ring, &terms);
	p.m1[7] = 2;
	assert_int_equal(pair_m1(&p), KV_OK);
	assert_int_equal(pair_m2(&p), KV_EACCESS);
	pair_end(&p);
	pair_begin(&p, ring, ring, &terms);
	assert_int_equal(pair_m1(&p), KV_OK);
	p.m2[7] = 2;
	assert_int_equal(pair_m2(&p), KV_EACCESS);
	pair_end(&p);
	/* A range the wrong way round is none. */
	pair_begin(&p, ring, ring, &terms);
	p.m1[6] = 3;
	p.m1[7] = 1;
	assert_int_equal(pair_m1(&p), KV_EVERSION);
	pair_end(&p);
}

static void
what_does_not_speak_the_protocol_goes_at_once(void **state)
{
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	struct pair p;

	(void)state;
	pair_begin(&p, ring, ring, &pair_terms);
	assert_int_equal(handshake_feed(&p.r, slice_of("GET / HT"), &p.step),
	    KV_EPROTO);
	pair_is_dead(&p.r, &p.step, HANDSHAKE_MAGIC);
	pair_end(&p);
	pair_begin(&p, ring, ring, &pair_terms);
	p.m1[4] = 2;
	assert_int_equal(pair_m1(&p), KV_EVERSION);
	pair_is_dead(&p.r, &p.step, HANDSHAKE_SUITE);
	pair_end(&p);
}

static void
replayed_messages_are_refused(void **state)
{
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	struct pair old, p;

	(void)state;
	pair_begin(&old, ring, ring, &pair_terms);
	assert_int_equal(pair_m1(&old), KV_OK);
	assert_int_equal(pair_m2(&old), KV_OK);
	assert_int_equal(pair_m3(&old), KV_OK);
	/* M1 and M3 against a responder. */
	pair_begin(&p, ring, ring, &pair_terms);
	memcpy(p.m1, old.m1, sizeof(p.m1));
	assert_int_equal(pair_m1(&p), KV_OK);
	assert_memory_not_equal(p.m2, old.m2, sizeof(p.m2));
	memcpy(p.m3, old.m3, sizeof(p.m3));
	assert_int_equal(pair_m3(&p), KV_EACCESS);
	pair_is_dead(&p.r, &p.step, HANDSHAKE_TAG);
	pair_end(&p);
	/* M2 against an initiator. */
	pair_begin(&p, ring, ring, &pair_terms);
	memcpy(p.m2, old.m2, sizeof(p.m2));
	assert_int_equal(pair_m2(&p), KV_EACCESS);
	pair_is_dead(&p.i, &p.step, HANDSHAKE_TAG);
	pair_end(&p);
	pair_end(&old);
}

static void
reflected_messages_are_refused(void **state)
{
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	struct pair p;

	(void)state;
	/* M1 back to who sent it. */
	pair_begin(&p, ring, ring, &pair_terms);
	memcpy(p.m2, p.m1, HANDSHAKE_M1);
	assert_int_equal(pair_m2(&p), KV_EPROTO);
	pair_is_dead(&p.i, &p.step, HANDSHAKE_MAGIC);
	pair_end(&p);
	/* Its point in an M2. */
	pair_begin(&p, ring, ring, &pair_terms);
	assert_int_equal(pair_m1(&p), KV_OK);
	memcpy(p.m2 + 8, p.m1 + 32, 32);
	assert_int_equal(pair_m2(&p), KV_EACCESS);
	pair_is_dead(&p.i, &p.step, HANDSHAKE_TAG);
	pair_end(&p);
	/* tagR as tagI. */
	pair_begin(&p, ring, ring, &pair_terms);
	assert_int_equal(pair_m1(&p), KV_OK);
	memcpy(p.m3, p.m2 + 40, HANDSHAKE_M3);
	assert_int_equal(pair_m3(&p), KV_EACCESS);
	pair_end(&p);
}

static void
invalid_points_end_it_without_an_answer(void **state)
{
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	struct pair p;
	int fill;

	(void)state;
	for (fill = 0; fill <= 0xff; fill += 0xff) {
		pair_begin(&p, ring, ring, &pair_terms);
		memset(p.m1 + 32, fill, 32);
		assert_int_equal(pair_m1(&p), KV_EPROTO);
		pair_is_dead(&p.r, &p.step, HANDSHAKE_POINT);
		pair_end(&p);
		pair_begin(&p, ring, ring, &pair_terms);
		assert_int_equal(pair_m1(&p), KV_OK);
		memset(p.m2 + 8, fill, 32);
		assert_int_equal(pair_m2(&p), KV_EPROTO);
		pair_is_dead(&p.i, &p.step, HANDSHAKE_POINT);
		pair_end(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(not_one_of_1728_flipped_bits_is_accepted),
		cmocka_unit_test(another_cookie_is_refused),
		cmocka_unit_test(another_cluster_is_refused),
		cmocka_unit_test(a_version_cannot_be_forced_down),
		cmocka_unit_test(what_does_not_speak_the_protocol_goes_at_once),
		cmocka_unit_test(replayed_messages_are_refused),
		cmocka_unit_test(reflected_messages_are_refused),
		cmocka_unit_test(invalid_points_end_it_without_an_answer),
	};

	return cmocka_run_group_tests_name("sync_attack", tests, NULL, NULL);
}
