/* SPDX-License-Identifier: ISC */
/* Two pipes; their frames have a length of four bytes in front, or are
 * sealed. */

#include "cable.h"

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

static struct psk_ring *
the_ring(void)
{
	static struct psk_ring *ring;
	struct cookie_error error;
	struct cookie cookie;
	int rc;

	if (ring != NULL)
		return ring;
	rc = cookie_parse(slice_of("0123456789abcdef0123"), false, &cookie,
	    &error);
	if (rc < 0 || psk_ring_new(&cookie, slice_of("sim"), &ring) < 0)
		abort();
	return ring;
}

/* Hand a message over whole. */
static void
feed(struct handshake *h, const uint8_t *bytes, size_t n,
    struct handshake_step *step)
{
	struct kv_slice in = { (const char *)bytes, n };

	if (handshake_feed(h, in, step) < 0 || step->used != n)
		abort();
}

void
cable_seal(struct cable *c, uint64_t now_ms)
{
	/* The newer one speaks the next version, too. */
	const struct handshake_terms terms[2] = {
		{ { "sim", 3 }, 1, (uint8_t)(1 + (c->end[0].features != 0)) },
		{ { "sim", 3 }, 1, (uint8_t)(1 + (c->end[1].features != 0)) },
	};
	struct handshake_step dialler, answerer;
	struct handshake i = { 0 }, r = { 0 };
	uint8_t m1[HANDSHAKE_M1];

	handshake_dial(&i, the_ring(), &terms[0], m1);
	handshake_accept(&r, the_ring(), &terms[1]);
	feed(&r, m1, sizeof(m1), &answerer);
	if (handshake_answer(&r, &answerer) < 0)
		abort();
	feed(&i, answerer.reply, answerer.reply_len, &dialler);
	feed(&r, dialler.reply, dialler.reply_len, &answerer);
	if (!dialler.done || !answerer.done)
		abort();
	channel_take(&c->channel[0], &dialler.session, now_ms);
	channel_take(&c->channel[1], &answerer.session, now_ms);
	handshake_fini(&i);
	handshake_fini(&r);
	c->is_sealed = true;
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
