/* SPDX-License-Identifier: ISC */
/* The handshake: the vector of reference/handshake-vectors.txt, and everything
 * an attacker on the way or at one end may try. */

#include "sync/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "sync_rig.h"

#define COOKIE "2 0123456789abcdef\n1 an-older-secret-1\n"
#define OLD_ONLY "1 an-older-secret-1\n"
#define OTHER "2 0123456789abcdeF\n"

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

/* Both ends and what went over the wire between them. */
struct pair {
	struct handshake i, r;
	struct handshake_step step;
	struct session si, sr;
	uint8_t m1[HANDSHAKE_M1], m2[HANDSHAKE_M2], m3[HANDSHAKE_M3];
};

static const struct handshake_terms prod = { { "prod", 4 }, 1, 1 };

static struct kv_slice
bytes(const uint8_t *p, size_t n)
{
	return (struct kv_slice){ (const char *)p, n };
}

static void
begin(struct pair *p, struct psk_ring *of_i, struct psk_ring *of_r,
    const struct handshake_terms *terms)
{
	memset(p, 0, sizeof(*p));
	handshake_dial(&p->i, of_i, terms, p->m1);
	handshake_accept(&p->r, of_r, terms);
}

static void
end(struct pair *p)
{
	handshake_fini(&p->i);
	handshake_fini(&p->r);
}

static int
give_m1(struct pair *p)
{
	int rc = handshake_feed(&p->r, bytes(p->m1, HANDSHAKE_M1), &p->step);

	if (rc < 0)
		return rc;
	assert_true(p->step.asked && p->step.reply_len == 0);
	if ((rc = handshake_answer(&p->r, &p->step)) < 0)
		return rc;
	assert_int_equal(p->step.reply_len, HANDSHAKE_M2);
	memcpy(p->m2, p->step.reply, HANDSHAKE_M2);
	return KV_OK;
}

static int
give_m2(struct pair *p)
{
	int rc = handshake_feed(&p->i, bytes(p->m2, HANDSHAKE_M2), &p->step);

	if (rc < 0)
		return rc;
	assert_true(p->step.done);
	assert_int_equal(p->step.reply_len, HANDSHAKE_M3);
	memcpy(p->m3, p->step.reply, HANDSHAKE_M3);
	p->si = p->step.session;
	return KV_OK;
}

static int
give_m3(struct pair *p)
{
	int rc = handshake_feed(&p->r, bytes(p->m3, HANDSHAKE_M3), &p->step);

	if (rc < 0)
		return rc;
	assert_true(p->step.done && p->step.reply_len == 0);
	p->sr = p->step.session;
	return KV_OK;
}

/* Nothing went out, no secret is left, and it stays that way. */
static void
assert_dead(struct handshake *h, const struct handshake_step *step,
    enum handshake_reason reason)
{
	struct handshake_step again;

	assert_int_equal(step->reply_len, 0);
	assert_false(step->done);
	assert_int_equal(h->reason, reason);
	assert_true(sodium_is_zero((const uint8_t *)&h->u, sizeof(h->u)));
	assert_true(sodium_is_zero(h->in, sizeof(h->in)));
	assert_true(sodium_is_zero((const uint8_t *)&step->session,
	    sizeof(step->session)));
	assert_int_equal(handshake_feed(h, slice_of("x"), &again), KV_ECLOSED);
	assert_int_equal(again.reply_len, 0);
}

static void
the_vector_is_met_byte_for_byte(void **state)
{
	struct psk_ring *ring = sync_rig_ring("2 0123456789abcdef", "prod");
	struct pair p;

	(void)state;
	sync_rig_is_hex(psk_ring_dial(ring)->key, PSK_BYTES, psk_hex);
	sync_rig_counter(100);
	begin(&p, ring, ring, &prod);
	sync_rig_is_hex(p.i.u.i.y, 32, scalar_hex);
	sync_rig_is_hex(p.m1, sizeof(p.m1), m1_hex);
	sync_rig_counter(200);
	assert_int_equal(give_m1(&p), KV_OK);
	sync_rig_is_hex(p.m2, sizeof(p.m2), m2_hex);
	sync_rig_counter(300);
	assert_int_equal(give_m2(&p), KV_OK);
	sync_rig_is_hex(p.m3, sizeof(p.m3), m3_hex);
	assert_int_equal(give_m3(&p), KV_OK);
	sync_rig_is_hex(p.si.id, 32, session_hex);
	sync_rig_is_hex(p.sr.id, 32, session_hex);
	assert_int_equal(p.si.version, 1);
	assert_int_equal(p.sr.version, 1);
	sync_rig_random();
	end(&p);
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
	begin(&p, ring, ring, &prod);
	sync_rig_counter(200);
	assert_int_equal(give_m1(&p), KV_OK);
	sync_rig_counter(300);
	assert_int_equal(give_m2(&p), KV_OK);
	assert_int_equal(give_m3(&p), KV_OK);
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
	end(&p);
}

static void
both_ends_get_the_same_keys(void **state)
{
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	struct pair p;

	(void)state;
	begin(&p, ring, ring, &prod);
	assert_int_equal(give_m1(&p), KV_OK);
	assert_int_equal(give_m2(&p), KV_OK);
	assert_int_equal(give_m3(&p), KV_OK);
	assert_memory_equal(p.si.id, p.sr.id, 32);
	assert_memory_equal(&p.si.tx, &p.sr.rx, sizeof(p.si.tx));
	assert_memory_equal(&p.si.rx, &p.sr.tx, sizeof(p.si.tx));
	assert_memory_not_equal(&p.si.rx, &p.si.tx, sizeof(p.si.tx));
	/* Nothing of it stays in the machines. */
	assert_true(sodium_is_zero((uint8_t *)&p.i.u, sizeof(p.i.u)));
	assert_true(sodium_is_zero((uint8_t *)&p.r.u, sizeof(p.r.u)));
	end(&p);
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

		rc = handshake_feed(h, bytes(more + at, piece), step);
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
		begin(&p, ring, ring, &prod);
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
		end(&p);
	}
}

/* Whether what one end seals first is opened by the other. */
static bool
first_frame_opens(struct session *from, struct session *to)
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
		begin(&p, ring, ring, &prod);
		p.m1[bit / 8] ^= (uint8_t)(1u << bit % 8);
		/* R may go as far as M2, but then its tag is wrong for I. */
		if ((rc = give_m1(&p)) == KV_OK)
			rc = give_m2(&p);
		assert_true(rc < 0);
		end(&p);
	}
	for (bit = 0; bit < 8 * HANDSHAKE_M2; bit++, flips++) {
		begin(&p, ring, ring, &prod);
		assert_int_equal(give_m1(&p), KV_OK);
		p.m2[bit / 8] ^= (uint8_t)(1u << bit % 8);
		rc = give_m2(&p);
		/* The stream's header is not under the tag: the first frame
		 * does not open. */
		if (bit / 8 >= 72) {
			assert_int_equal(rc, KV_OK);
			assert_int_equal(give_m3(&p), KV_OK);
			assert_false(first_frame_opens(&p.sr, &p.si));
		} else
			assert_true(rc < 0);
		end(&p);
	}
	for (bit = 0; bit < 8 * HANDSHAKE_M3; bit++, flips++) {
		begin(&p, ring, ring, &prod);
		assert_int_equal(give_m1(&p), KV_OK);
		assert_int_equal(give_m2(&p), KV_OK);
		p.m3[bit / 8] ^= (uint8_t)(1u << bit % 8);
		rc = give_m3(&p);
		if (bit / 8 >= 32) {
			assert_int_equal(rc, KV_OK);
			assert_false(first_frame_opens(&p.si, &p.sr));
		} else
			assert_int_equal(rc, KV_EACCESS);
		end(&p);
	}
	assert_int_equal(flips, 1728);
}

/* Whoever has a wrong one learns it from the tag, the first to be checked. */
static void
expect_refusal(struct psk_ring *of_i, struct psk_ring *of_r,
    const struct handshake_terms *ti, const struct handshake_terms *tr)
{
	struct pair p;

	begin(&p, of_i, of_r, ti);
	p.r.terms = *tr;
	assert_int_equal(give_m1(&p), KV_OK);
	assert_int_equal(give_m2(&p), KV_EACCESS);
	assert_dead(&p.i, &p.step, HANDSHAKE_TAG);
	/* A false initiator cannot make the tag of M3 either. */
	memcpy(p.m3, p.m2 + 40, 32);
	assert_int_equal(give_m3(&p), KV_EACCESS);
	assert_dead(&p.r, &p.step, HANDSHAKE_TAG);
	end(&p);
}

static void
another_cookie_is_refused(void **state)
{
	(void)state;
	expect_refusal(sync_rig_ring(COOKIE, "prod"),
	    sync_rig_ring(OTHER, "prod"), &prod, &prod);
}

static void
another_cluster_is_refused(void **state)
{
	const struct handshake_terms test = { slice_of("test"), 1, 1 };

	(void)state;
	expect_refusal(sync_rig_ring(COOKIE, "prod"),
	    sync_rig_ring(COOKIE, "test"), &prod, &test);
	/* The name counts by itself, not only as the salt of the key. */
	expect_refusal(sync_rig_ring(COOKIE, "prod"),
	    sync_rig_ring(COOKIE, "prod"), &prod, &test);
}

static void
every_generation_is_accepted_and_the_first_is_dialled(void **state)
{
	struct psk_ring *two = sync_rig_ring(COOKIE, "prod");
	struct psk_ring *old = sync_rig_ring(OLD_ONLY, "prod");
	struct pair p;

	(void)state;
	begin(&p, old, two, &prod);
	assert_int_equal(p.m1[5], 1);
	assert_int_equal(give_m1(&p), KV_OK);
	assert_int_equal(give_m2(&p), KV_OK);
	assert_int_equal(give_m3(&p), KV_OK);
	end(&p);
	begin(&p, two, two, &prod);
	assert_int_equal(p.m1[5], 2);
	end(&p);
}

static void
an_unknown_generation_is_named(void **state)
{
	struct psk_ring *two = sync_rig_ring(COOKIE, "prod");
	char text[HANDSHAKE_EXPLAIN_TEXT];
	struct pair p;

	(void)state;
	begin(&p, two, two, &prod);
	p.m1[5] = 3;
	/* Decided by the first eight bytes. */
	assert_int_equal(handshake_feed(&p.r, bytes(p.m1, 8), &p.step),
	    KV_EACCESS);
	handshake_explain(&p.r, text);
	assert_string_equal(text,
	    "cookie generation unknown here: peer has generation 3, here are "
	    "2 and 1");
	assert_dead(&p.r, &p.step, HANDSHAKE_GENERATION);
	/* Nor may R answer with another one than was dialled, be it known. */
	end(&p);
	begin(&p, two, two, &prod);
	assert_int_equal(give_m1(&p), KV_OK);
	p.m2[5] = 1;
	assert_int_equal(give_m2(&p), KV_EACCESS);
	assert_dead(&p.i, &p.step, HANDSHAKE_GENERATION);
	end(&p);
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
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
		const struct range *v = &ranges[i];
		struct handshake_terms terms = { prod.cluster, v->imin,
			v->imax };
		struct pair p;

		begin(&p, ring, ring, &terms);
		p.r.terms.vmin = v->rmin;
		p.r.terms.vmax = v->rmax;
		if (v->version == 0) {
			assert_int_equal(give_m1(&p), KV_EVERSION);
			assert_dead(&p.r, &p.step, HANDSHAKE_VERSION);
		} else {
			assert_int_equal(give_m1(&p), KV_OK);
			assert_int_equal(give_m2(&p), KV_OK);
			assert_int_equal(give_m3(&p), KV_OK);
			assert_int_equal(p.si.version, v->version);
			assert_int_equal(p.sr.version, v->version);
		}
		end(&p);
	}
}

static void
a_version_cannot_be_forced_down(void **state)
{
	const struct handshake_terms terms = { prod.cluster, 1, 3 };
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	struct pair p;

	(void)state;
	begin(&p, ring, ring, &terms);
	p.m1[7] = 2;
	assert_int_equal(give_m1(&p), KV_OK);
	assert_int_equal(give_m2(&p), KV_EACCESS);
	end(&p);
	begin(&p, ring, ring, &terms);
	assert_int_equal(give_m1(&p), KV_OK);
	p.m2[7] = 2;
	assert_int_equal(give_m2(&p), KV_EACCESS);
	end(&p);
	/* A range the wrong way round is none. */
	begin(&p, ring, ring, &terms);
	p.m1[6] = 3;
	p.m1[7] = 1;
	assert_int_equal(give_m1(&p), KV_EVERSION);
	end(&p);
}

static void
what_does_not_speak_the_protocol_goes_at_once(void **state)
{
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	struct pair p;

	(void)state;
	begin(&p, ring, ring, &prod);
	assert_int_equal(handshake_feed(&p.r, slice_of("GET / HT"), &p.step),
	    KV_EPROTO);
	assert_dead(&p.r, &p.step, HANDSHAKE_MAGIC);
	end(&p);
	begin(&p, ring, ring, &prod);
	p.m1[4] = 2;
	assert_int_equal(give_m1(&p), KV_EVERSION);
	assert_dead(&p.r, &p.step, HANDSHAKE_SUITE);
	end(&p);
}

static void
replayed_messages_are_refused(void **state)
{
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	struct pair old, p;

	(void)state;
	begin(&old, ring, ring, &prod);
	assert_int_equal(give_m1(&old), KV_OK);
	assert_int_equal(give_m2(&old), KV_OK);
	assert_int_equal(give_m3(&old), KV_OK);
	/* M1 and M3 against a responder. */
	begin(&p, ring, ring, &prod);
	memcpy(p.m1, old.m1, sizeof(p.m1));
	assert_int_equal(give_m1(&p), KV_OK);
	assert_memory_not_equal(p.m2, old.m2, sizeof(p.m2));
	memcpy(p.m3, old.m3, sizeof(p.m3));
	assert_int_equal(give_m3(&p), KV_EACCESS);
	assert_dead(&p.r, &p.step, HANDSHAKE_TAG);
	end(&p);
	/* M2 against an initiator. */
	begin(&p, ring, ring, &prod);
	memcpy(p.m2, old.m2, sizeof(p.m2));
	assert_int_equal(give_m2(&p), KV_EACCESS);
	assert_dead(&p.i, &p.step, HANDSHAKE_TAG);
	end(&p);
	end(&old);
}

static void
reflected_messages_are_refused(void **state)
{
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	struct pair p;

	(void)state;
	/* M1 back to who sent it. */
	begin(&p, ring, ring, &prod);
	memcpy(p.m2, p.m1, HANDSHAKE_M1);
	assert_int_equal(give_m2(&p), KV_EPROTO);
	assert_dead(&p.i, &p.step, HANDSHAKE_MAGIC);
	end(&p);
	/* Its point in an M2. */
	begin(&p, ring, ring, &prod);
	assert_int_equal(give_m1(&p), KV_OK);
	memcpy(p.m2 + 8, p.m1 + 32, 32);
	assert_int_equal(give_m2(&p), KV_EACCESS);
	assert_dead(&p.i, &p.step, HANDSHAKE_TAG);
	end(&p);
	/* tagR as tagI. */
	begin(&p, ring, ring, &prod);
	assert_int_equal(give_m1(&p), KV_OK);
	memcpy(p.m3, p.m2 + 40, HANDSHAKE_M3);
	assert_int_equal(give_m3(&p), KV_EACCESS);
	end(&p);
}

static void
invalid_points_end_it_without_an_answer(void **state)
{
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	struct pair p;
	int fill;

	(void)state;
	for (fill = 0; fill <= 0xff; fill += 0xff) {
		begin(&p, ring, ring, &prod);
		memset(p.m1 + 32, fill, 32);
		assert_int_equal(give_m1(&p), KV_EPROTO);
		assert_dead(&p.r, &p.step, HANDSHAKE_POINT);
		end(&p);
		begin(&p, ring, ring, &prod);
		assert_int_equal(give_m1(&p), KV_OK);
		memset(p.m2 + 8, fill, 32);
		assert_int_equal(give_m2(&p), KV_EPROTO);
		assert_dead(&p.i, &p.step, HANDSHAKE_POINT);
		end(&p);
	}
}

static void
two_handshakes_have_nothing_in_common(void **state)
{
	struct psk_ring *ring = sync_rig_ring(COOKIE, "prod");
	struct pair a, b;

	(void)state;
	begin(&a, ring, ring, &prod);
	begin(&b, ring, ring, &prod);
	assert_int_equal(give_m1(&a), KV_OK);
	assert_int_equal(give_m2(&a), KV_OK);
	assert_int_equal(give_m1(&b), KV_OK);
	assert_int_equal(give_m2(&b), KV_OK);
	assert_memory_not_equal(a.m1 + 8, b.m1 + 8, 24);
	assert_memory_not_equal(a.m1 + 32, b.m1 + 32, 32);
	assert_memory_not_equal(a.m2 + 8, b.m2 + 8, 32);
	assert_memory_not_equal(a.si.id, b.si.id, 32);
	end(&a);
	end(&b);
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
	assert_int_equal(psk_ring_new(&c, prod.cluster, &ring), KV_OK);
	begin(&p, ring, ring, &prod);
	psk_ring_release(ring);
	assert_int_equal(give_m1(&p), KV_OK);
	assert_int_equal(give_m2(&p), KV_OK);
	assert_int_equal(give_m3(&p), KV_OK);
	end(&p);
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
		cmocka_unit_test(not_one_of_1728_flipped_bits_is_accepted),
		cmocka_unit_test(another_cookie_is_refused),
		cmocka_unit_test(another_cluster_is_refused),
		cmocka_unit_test(
		    every_generation_is_accepted_and_the_first_is_dialled),
		cmocka_unit_test(an_unknown_generation_is_named),
		cmocka_unit_test(the_highest_common_version_is_spoken),
		cmocka_unit_test(a_version_cannot_be_forced_down),
		cmocka_unit_test(what_does_not_speak_the_protocol_goes_at_once),
		cmocka_unit_test(replayed_messages_are_refused),
		cmocka_unit_test(reflected_messages_are_refused),
		cmocka_unit_test(invalid_points_end_it_without_an_answer),
		cmocka_unit_test(two_handshakes_have_nothing_in_common),
		cmocka_unit_test(keys_in_use_outlive_a_reload),
		cmocka_unit_test(
		    a_fingerprint_tells_secrets_apart_and_not_more),
	};

	return cmocka_run_group_tests_name("sync_handshake", tests, NULL, NULL);
}
