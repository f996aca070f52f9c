/* SPDX-License-Identifier: ISC */
/* Two ends of a handshake. */

#include "sync_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

const struct handshake_terms pair_terms = { { "prod", 4 }, 1, 1 };

struct kv_slice
pair_bytes(const uint8_t *p, size_t n)
{
	return (struct kv_slice){ (const char *)p, n };
}

void
pair_begin(struct pair *p, struct psk_ring *of_i, struct psk_ring *of_r,
    const struct handshake_terms *terms)
{
	memset(p, 0, sizeof(*p));
	handshake_dial(&p->i, of_i, terms, p->m1);
	handshake_accept(&p->r, of_r, terms);
}

void
pair_end(struct pair *p)
{
	handshake_fini(&p->i);
	handshake_fini(&p->r);
}

int
pair_m1(struct pair *p)
{
	int rc =
	    handshake_feed(&p->r, pair_bytes(p->m1, HANDSHAKE_M1), &p->step);

	if (rc < 0)
		return rc;
	assert_true(p->step.asked && p->step.reply_len == 0);
	if ((rc = handshake_answer(&p->r, &p->step)) < 0)
		return rc;
	assert_int_equal(p->step.reply_len, HANDSHAKE_M2);
	memcpy(p->m2, p->step.reply, HANDSHAKE_M2);
	return KV_OK;
}

int
pair_m2(struct pair *p)
{
	int rc =
	    handshake_feed(&p->i, pair_bytes(p->m2, HANDSHAKE_M2), &p->step);

	if (rc < 0)
		return rc;
	assert_true(p->step.done);
	assert_int_equal(p->step.reply_len, HANDSHAKE_M3);
	memcpy(p->m3, p->step.reply, HANDSHAKE_M3);
	p->si = p->step.session;
	return KV_OK;
}

int
pair_m3(struct pair *p)
{
	int rc =
	    handshake_feed(&p->r, pair_bytes(p->m3, HANDSHAKE_M3), &p->step);

	if (rc < 0)
		return rc;
	assert_true(p->step.done && p->step.reply_len == 0);
	p->sr = p->step.session;
	return KV_OK;
}

void
pair_is_dead(struct handshake *h, const struct handshake_step *step,
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
