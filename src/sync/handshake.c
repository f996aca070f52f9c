/* SPDX-License-Identifier: ISC */
/* The handshake's two state machines. */

#include "sync/handshake.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "sync/cpace.h"
#include "sync/keys.h"

#define SUITE 1
#define SID_AT HANDSHAKE_HEADER
#define YA_AT (SID_AT + HANDSHAKE_SID)
#define YB_AT HANDSHAKE_HEADER
#define TAG_R_AT (YB_AT + CPACE_POINT)
#define STREAM_R_AT (TAG_R_AT + KEYS_TAG)
#define STREAM_I_AT KEYS_TAG

static_assert(YA_AT + CPACE_POINT == HANDSHAKE_M1, "M1");
static_assert(STREAM_R_AT + 24 == HANDSHAKE_M2, "M2");
static_assert(STREAM_I_AT + 24 == HANDSHAKE_M3, "M3");
static_assert(crypto_secretstream_xchacha20poly1305_HEADERBYTES == 24, "24");

static const char magic_i[4] = { 'K', 'V', 'S', '1' };
static const char magic_r[4] = { 'K', 'V', 'R', '1' };

static struct kv_slice
slice(const uint8_t *p, size_t n)
{
	return (struct kv_slice){ (const char *)p, n };
}

static void
put_header(uint8_t *to, const char magic[4], const struct handshake *h)
{
	memcpy(to, magic, 4);
	to[4] = SUITE;
	to[5] = h->psk->generation;
	to[6] = h->terms.vmin;
	to[7] = h->terms.vmax;
}

/* Keep what handshake_explain() needs, forget the rest. */
static int
fail(struct handshake *h, enum handshake_reason reason, int rc)
{
	h->state = HANDSHAKE_FAILED;
	h->reason = (uint8_t)reason;
	sodium_memzero(h->in, sizeof(h->in));
	sodium_memzero(&h->u, sizeof(h->u));
	return rc;
}

/* The generator of a session; sid as it stands in M1. */
static void
make_generator(const struct handshake *h, const uint8_t *sid, uint8_t *g)
{
	static const char label[] = "kvsync1";
	char ci[2 * CPACE_PREFIX_MAX + sizeof(label) + HANDSHAKE_CLUSTER_MAX];
	struct cpace_input in;
	size_t n;

	assert(h->terms.cluster.len <= HANDSHAKE_CLUSTER_MAX);
	n = cpace_prefix((uint8_t *)ci, sizeof(label) - 1);
	memcpy(ci + n, label, sizeof(label) - 1);
	n += sizeof(label) - 1;
	n += cpace_prefix((uint8_t *)ci + n, h->terms.cluster.len);
	if (h->terms.cluster.len > 0)
		memcpy(ci + n, h->terms.cluster.data, h->terms.cluster.len);
	n += h->terms.cluster.len;
	in.prs = slice(h->psk->key, PSK_BYTES);
	in.ci = (struct kv_slice){ ci, n };
	in.sid = slice(sid, HANDSHAKE_SID);
	cpace_generator(&in, g);
}

/* The schedule from both messages; y is the own scalar, m2 whole up to Yb. */
static int
make_keys(const struct handshake *h, const uint8_t *y, const uint8_t *peer,
    const uint8_t *m1, const uint8_t *m2, struct keys *k)
{
	const struct cpace_message a = { m1 + YA_AT,
		slice(m1, HANDSHAKE_HEADER) };
	const struct cpace_message b = { m2 + YB_AT,
		slice(m2, HANDSHAKE_HEADER) };
	uint8_t isk[CPACE_ISK];

	if (cpace_isk(slice(m1 + SID_AT, HANDSHAKE_SID), y, peer, &a, &b, isk) <
	    0)
		return KV_EPROTO;
	keys_make(k, h->psk, isk, slice(m1, HANDSHAKE_M1), slice(m2, TAG_R_AT));
	sodium_memzero(isk, sizeof(isk));
	return KV_OK;
}

void
handshake_dial(struct handshake *h, struct psk_ring *ring,
    const struct handshake_terms *terms, uint8_t m1[HANDSHAKE_M1])
{
	struct handshake_initiator *i = &h->u.i;
	uint8_t g[CPACE_POINT];

	memset(h, 0, sizeof(*h));
	h->ring = psk_ring_hold(ring);
	h->psk = psk_ring_dial(ring);
	h->terms = *terms;
	h->state = HANDSHAKE_WAIT_M2;
	put_header(i->m1, magic_i, h);
	randombytes_buf(i->m1 + SID_AT, HANDSHAKE_SID);
	make_generator(h, i->m1 + SID_AT, g);
	cpace_share(g, i->y, i->m1 + YA_AT);
	memcpy(m1, i->m1, HANDSHAKE_M1);
	sodium_memzero(g, sizeof(g));
}

void
handshake_accept(struct handshake *h, struct psk_ring *ring,
    const struct handshake_terms *terms)
{
	memset(h, 0, sizeof(*h));
	h->ring = psk_ring_hold(ring);
	h->terms = *terms;
	h->state = HANDSHAKE_WAIT_M1;
}

void
handshake_fini(struct handshake *h)
{
	psk_ring_release(h->ring);
	sodium_memzero(h, sizeof(*h));
}

/* The first eight bytes of M1 and M2, the only ones not covered by anything
 * when they are looked at; the tags cover them afterwards. */
static int
check_header(struct handshake *h)
{
	bool dialled = h->state == HANDSHAKE_WAIT_M2;
	const uint8_t *in = h->in;

	if (memcmp(in, dialled ? magic_r : magic_i, 4) != 0)
		return fail(h, HANDSHAKE_MAGIC, KV_EPROTO);
	if (in[4] != SUITE)
		return fail(h, HANDSHAKE_SUITE, KV_EVERSION);
	h->peer_generation = in[5];
	h->peer_vmin = in[6];
	h->peer_vmax = in[7];
	if (!dialled)
		h->psk = psk_ring_find(h->ring, in[5]);
	if (h->psk == NULL || h->psk->generation != in[5])
		return fail(h, HANDSHAKE_GENERATION, KV_EACCESS);
	if (h->peer_vmin > h->peer_vmax || h->peer_vmin > h->terms.vmax ||
	    h->peer_vmax < h->terms.vmin)
		return fail(h, HANDSHAKE_VERSION, KV_EVERSION);
	return KV_OK;
}

static int
on_m1(struct handshake *h, struct handshake_step *step)
{
	h->state = HANDSHAKE_ASKED;
	step->asked = true;
	return KV_OK;
}

/* min(vmax, vmax'): nobody sends a chosen version, so none can be forced. */
static void
finish(struct handshake *h, struct handshake_step *step)
{
	step->session.version =
	    h->terms.vmax < h->peer_vmax ? h->terms.vmax : h->peer_vmax;
	step->done = true;
	h->state = HANDSHAKE_DONE;
	h->have = 0;
	sodium_memzero(h->in, sizeof(h->in));
	sodium_memzero(&h->u, sizeof(h->u));
}

int
handshake_answer(struct handshake *h, struct handshake_step *step)
{
	struct handshake_responder *r = &h->u.r;
	uint8_t g[CPACE_POINT], y[CPACE_SCALAR], *m2 = step->reply;
	struct keys k;
	int rc;

	memset(step, 0, sizeof(*step));
	if (h->state != HANDSHAKE_ASKED)
		return fail(h, HANDSHAKE_OVER, KV_ECLOSED);
	put_header(m2, magic_r, h);
	make_generator(h, h->in + SID_AT, g);
	cpace_share(g, y, m2 + YB_AT);
	rc = make_keys(h, y, h->in + YA_AT, h->in, m2, &k);
	sodium_memzero(g, sizeof(g));
	sodium_memzero(y, sizeof(y));
	if (rc < 0) {
		memset(step, 0, sizeof(*step));
		return fail(h, HANDSHAKE_POINT, rc);
	}
	memcpy(m2 + TAG_R_AT, k.tag_r, KEYS_TAG);
	crypto_secretstream_xchacha20poly1305_init_push(&r->tx,
	    m2 + STREAM_R_AT, k.stream_r);
	memcpy(r->tag, k.tag_i, sizeof(r->tag));
	memcpy(r->key, k.stream_i, sizeof(r->key));
	memcpy(r->session_id, k.session_id, sizeof(r->session_id));
	keys_wipe(&k);
	step->reply_len = HANDSHAKE_M2;
	h->state = HANDSHAKE_WAIT_M3;
	h->have = 0;
	return KV_OK;
}

static int
on_m2(struct handshake *h, struct handshake_step *step)
{
	const struct handshake_initiator *i = &h->u.i;
	const uint8_t *m2 = h->in;
	uint8_t *m3 = step->reply;
	struct keys k;

	if (make_keys(h, i->y, m2 + YB_AT, i->m1, m2, &k) < 0)
		return fail(h, HANDSHAKE_POINT, KV_EPROTO);
	if (sodium_memcmp(k.tag_r, m2 + TAG_R_AT, KEYS_TAG) != 0) {
		keys_wipe(&k);
		return fail(h, HANDSHAKE_TAG, KV_EACCESS);
	}
	crypto_secretstream_xchacha20poly1305_init_pull(&step->session.rx,
	    m2 + STREAM_R_AT, k.stream_r);
	memcpy(m3, k.tag_i, KEYS_TAG);
	crypto_secretstream_xchacha20poly1305_init_push(&step->session.tx,
	    m3 + STREAM_I_AT, k.stream_i);
	memcpy(step->session.id, k.session_id, sizeof(step->session.id));
	keys_wipe(&k);
	step->reply_len = HANDSHAKE_M3;
	finish(h, step);
	return KV_OK;
}

static int
on_m3(struct handshake *h, struct handshake_step *step)
{
	const struct handshake_responder *r = &h->u.r;

	if (sodium_memcmp(r->tag, h->in, KEYS_TAG) != 0)
		return fail(h, HANDSHAKE_TAG, KV_EACCESS);
	crypto_secretstream_xchacha20poly1305_init_pull(&step->session.rx,
	    h->in + STREAM_I_AT, r->key);
	step->session.tx = r->tx;
	memcpy(step->session.id, r->session_id, sizeof(step->session.id));
	finish(h, step);
	return KV_OK;
}

/* What each waiting state waits for; the others take no bytes. */
static const struct {
	uint8_t size;
	bool has_header;
	int (*whole)(struct handshake *h, struct handshake_step *step);
} waits[] = {
	[HANDSHAKE_WAIT_M1] = { HANDSHAKE_M1, true, on_m1 },
	[HANDSHAKE_WAIT_M2] = { HANDSHAKE_M2, true, on_m2 },
	[HANDSHAKE_WAIT_M3] = { HANDSHAKE_M3, false, on_m3 },
	[HANDSHAKE_FAILED] = { 0, false, NULL },
};

int
handshake_feed(struct handshake *h, struct kv_slice in,
    struct handshake_step *step)
{
	size_t size = waits[h->state].size, had = h->have, n;
	int rc;

	memset(step, 0, sizeof(*step));
	if (size == 0)
		return fail(h, HANDSHAKE_OVER, KV_ECLOSED);
	n = in.len < size - had ? in.len : size - had;
	if (n > 0)
		memcpy(h->in + had, in.data, n);
	h->have = (uint8_t)(had + n);
	step->used = n;
	if (waits[h->state].has_header && had < HANDSHAKE_HEADER &&
	    h->have >= HANDSHAKE_HEADER && (rc = check_header(h)) < 0)
		return rc;
	return h->have < size ? KV_EMORE : waits[h->state].whole(h, step);
}

const char *
handshake_reason_text(enum handshake_reason reason)
{
	static const char *const texts[] = {
#define X(name, text) [name] = (text),
		HANDSHAKE_REASONS(X)
#undef X
	};

	return texts[reason];
}

void
handshake_explain(const struct handshake *h, char to[HANDSHAKE_EXPLAIN_TEXT])
{
	const char *text = handshake_reason_text(h->reason);
	char own[PSK_GENERATIONS_TEXT];

	if (h->reason == HANDSHAKE_GENERATION) {
		psk_ring_generations(h->ring, own);
		snprintf(to, HANDSHAKE_EXPLAIN_TEXT,
		    "%s: peer has generation %u, here are %s", text,
		    (unsigned)h->peer_generation, own);
	} else if (h->reason == HANDSHAKE_VERSION) {
		snprintf(to, HANDSHAKE_EXPLAIN_TEXT,
		    "%s: peer speaks %u to %u, here %u to %u", text,
		    (unsigned)h->peer_vmin, (unsigned)h->peer_vmax,
		    (unsigned)h->terms.vmin, (unsigned)h->terms.vmax);
	} else
		snprintf(to, HANDSHAKE_EXPLAIN_TEXT, "%s", text);
}
