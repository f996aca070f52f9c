/* SPDX-License-Identifier: ISC */
/* Two pipes; their frames have a length of four bytes in front, or are
 * sealed. */

#include "cable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define LENGTH 4
#define HELLO_FEATURES 8 /* so far from the frame's end */
#define SLACK 65536	 /* read bytes in front before they are moved out */

static void
pipe_reset(struct pipe *p)
{
	p->bytes.len = p->from = 0;
	p->frames = 0;
	p->is_damaged = false;
}

void
cable_reset(struct cable *c)
{
	pipe_reset(&c->pipe[0]);
	pipe_reset(&c->pipe[1]);
	memset(c->end, 0, sizeof(c->end));
	c->is_used = c->is_sealed = false;
}

void
cable_fini(struct cable *c)
{
	buf_fini(&c->pipe[0].bytes);
	buf_fini(&c->pipe[1].bytes);
}

/* ---- sealed --------------------------------------------------------------- */

/* What stands in the cookie file at each stage of changing the secret there and
 * back: append, move to the top, remove. */
static struct psk_ring *
ring_of(unsigned stage)
{
	static const char a[] = "1 0123456789abcdef0123";
	static const char b[] = "2 another456789abcdef0";
	static const struct {
		const char *first, *second;
	} files[CABLE_COOKIES] = { { a, "" }, { a, b }, { b, a }, { b, "" },
		{ b, a }, { a, b } };
	static struct psk_ring *rings[CABLE_COOKIES];
	struct cookie_error error;
	struct cookie cookie;
	char text[64];

	if (stage > CABLE_COOKIES / 2 && stage < CABLE_COOKIES)
		return ring_of(CABLE_COOKIES - stage); /* the same file */
	if (rings[stage] != NULL)
		return rings[stage];
	snprintf(text, sizeof(text), "%s\n%s", files[stage].first,
	    files[stage].second);
	if (cookie_parse(slice_of(text), false, &cookie, &error) < 0 ||
	    psk_ring_new(&cookie, slice_of("sim"), &rings[stage]) < 0)
		abort();
	return rings[stage];
}

/* Hand a message over whole. */
static int
feed(struct handshake *h, const uint8_t *bytes, size_t n,
    struct handshake_step *step)
{
	struct kv_slice in = { (const char *)bytes, n };
	int rc = handshake_feed(h, in, step);

	return rc == KV_OK && step->used != n ? KV_EPROTO : rc;
}

static int
shake_hands(struct cable *c, struct handshake h[2], uint64_t now_ms)
{
	struct handshake_step dialler, answerer;
	uint8_t m1[HANDSHAKE_M1];
	/* The newer one speaks the next version, too. */
	const struct handshake_terms terms[2] = {
		{ { "sim", 3 }, 1, (uint8_t)(1 + (c->end[0].features != 0)) },
		{ { "sim", 3 }, 1, (uint8_t)(1 + (c->end[1].features != 0)) },
	};
	int rc;

	handshake_dial(&h[0], ring_of(c->end[0].cookie), &terms[0], m1);
	handshake_accept(&h[1], ring_of(c->end[1].cookie), &terms[1]);
	if ((rc = feed(&h[1], m1, sizeof(m1), &answerer)) < 0 ||
	    (rc = handshake_answer(&h[1], &answerer)) < 0 ||
	    (rc = feed(&h[0], answerer.reply, answerer.reply_len, &dialler)) <
		0 ||
	    (rc = feed(&h[1], dialler.reply, dialler.reply_len, &answerer)) < 0)
		return rc;
	if (!dialler.done || !answerer.done)
		return KV_EPROTO;
	channel_take(&c->channel[0], &dialler.session, now_ms);
	channel_take(&c->channel[1], &answerer.session, now_ms);
	return KV_OK;
}

int
cable_seal(struct cable *c, uint64_t now_ms)
{
	struct handshake h[2] = { 0 };
	int rc = shake_hands(c, h, now_ms);

	handshake_fini(&h[0]);
	handshake_fini(&h[1]);
	c->is_sealed = rc == KV_OK;
	return rc;
}

/* ---- both ------------------------------------------------------------------ */

/* A frame begins at *at, and its plaintext at the pipe's end. */
static int
begin_frame(struct cable *c, struct pipe *p, size_t *at)
{
	int rc;

	*at = p->bytes.len;
	if (c->is_sealed)
		return channel_begin(&p->bytes, at);
	if ((rc = buf_reserve(&p->bytes, LENGTH)) == KV_OK)
		p->bytes.len += LENGTH;
	return rc;
}

static int
end_frame(struct cable *c, unsigned end, size_t at, uint64_t now_ms)
{
	struct pipe *p = &c->pipe[end];

	if (c->is_sealed)
		return channel_end(&c->channel[end], &p->bytes, at, false,
		    now_ms);
	bytes_put_be32(p->bytes.data + at,
	    (uint32_t)(p->bytes.len - at - LENGTH));
	p->frames++;
	return KV_OK;
}

/* It can do more than we know of. */
static void
add_features(struct cable_end *e, char *plain, size_t n)
{
	char *at = plain + n - HELLO_FEATURES;

	if (!e->has_said && e->features != 0)
		bytes_put_be32(at, bytes_get_be32(at) | e->features);
	e->has_said = true;
}

int
cable_send(struct cable *c, unsigned end, struct replica *r, uint64_t now_ms)
{
	struct pipe *p = &c->pipe[end];
	size_t at, plain;
	int rc;

	if ((rc = begin_frame(c, p, &at)) < 0)
		return rc;
	plain = p->bytes.len;
	if ((rc = replica_send(r, c->end[end].link, &p->bytes)) < 0) {
		p->bytes.len = at;
		return rc;
	}
	add_features(&c->end[end], p->bytes.data + plain, p->bytes.len - plain);
	return end_frame(c, end, at, now_ms);
}

int
cable_put(struct cable *c, unsigned end, struct kv_slice plain, uint64_t now_ms)
{
	struct pipe *p = &c->pipe[end];
	size_t at;
	int rc;

	if ((rc = begin_frame(c, p, &at)) == KV_OK)
		rc = buf_append(&p->bytes, plain.data, plain.len);
	return rc < 0 ? rc : end_frame(c, end, at, now_ms);
}

int
cable_peek(struct cable *c, unsigned end, size_t limit,
    struct channel_frame *out)
{
	struct pipe *p = &c->pipe[!end];
	size_t have = p->bytes.len - p->from;
	char *at = p->bytes.data + p->from;

	if (have == 0)
		return KV_EMORE;
	if (c->is_sealed)
		return channel_open(&c->channel[end], at,
		    have < limit ? have : limit, out);
	*out = (struct channel_frame){ 0 };
	out->plain.data = at + LENGTH;
	out->plain.len = bytes_get_be32(at);
	out->used = LENGTH + out->plain.len;
	return KV_OK;
}

void
cable_drop(struct cable *c, unsigned end, const struct channel_frame *f)
{
	struct pipe *p = &c->pipe[!end];

	p->from += f->used;
	if (!c->is_sealed)
		p->frames--;
	if (p->from == p->bytes.len) {
		p->bytes.len = p->from = 0;
	} else if (p->from > SLACK) {
		buf_consume(&p->bytes, p->from);
		p->from = 0;
	}
}

void
cable_damage(struct cable *c, unsigned end, uint64_t random)
{
	struct pipe *p = &c->pipe[!end];
	size_t n = cable_waiting(c, end);

	if (!c->is_sealed || n == 0)
		return;
	p->bytes.data[p->from + (size_t)(random / 8) % n] ^=
	    (char)(1 << random % 8);
	p->is_damaged = true;
}
