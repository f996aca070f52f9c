/* SPDX-License-Identifier: ISC */
/* Any bytes to either end of a handshake, whole and in pieces: the same comes
 * of them, a failure sends nothing, and only the genuine messages get through.
 *
 * Byte 0: even, the end that accepts; odd, the one that dials.  Byte 1 seeds
 * the sizes of the pieces.  Randomness is a counter, so that the genuine
 * messages are always the same and stand in the seeds. */

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/rng.h"
#include "sync/handshake.h"

#define MUST(condition)                                                        \
	do {                                                                   \
		if (!(condition))                                              \
			abort();                                               \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct handshake_terms terms = { { "prod", 4 }, 1, 1 };
static uint8_t genuine[2][HANDSHAKE_M1 + HANDSHAKE_M3]; /* by role */
static struct psk_ring *ring;
static uint64_t counter;

static void
counted(void *const to, const size_t n)
{
	unsigned char seed[randombytes_SEEDBYTES] = { 0 };

	bytes_put_be64(seed, counter++);
	randombytes_buf_deterministic(to, n, seed);
}

static uint32_t
number(void)
{
	uint32_t x;

	counted(&x, sizeof(x));
	return x;
}

static randombytes_implementation by_counter = { .random = number,
	.buf = counted };

/* What one end did with its input. */
struct outcome {
	int rc;
	bool done;
	size_t used;
	size_t sent;
	uint8_t reply[HANDSHAKE_REPLY_MAX];
	struct handshake_session session;
};

static void
start(struct handshake *h, bool dials)
{
	uint8_t m1[HANDSHAKE_M1];

	counter = dials ? 100 : 200;
	if (dials)
		handshake_dial(h, ring, &terms, m1);
	else
		handshake_accept(h, ring, &terms);
}

static void
note(struct outcome *o, const struct handshake_step *step)
{
	MUST(o->rc >= 0 || o->rc == KV_EMORE ||
	    (step->reply_len == 0 && !step->done));
	if (step->reply_len > 0)
		memcpy(o->reply, step->reply, step->reply_len);
	o->sent += step->reply_len;
	o->done = step->done;
	if (step->done)
		o->session = step->session;
}

static void
feed(struct outcome *o, struct kv_slice in, bool dials, size_t most,
    uint64_t seed)
{
	struct handshake_step step;
	struct handshake h;

	memset(o, 0, sizeof(*o));
	o->rc = KV_OK;
	start(&h, dials);
	while (
	    o->used < in.len && !o->done && (o->rc >= 0 || o->rc == KV_EMORE)) {
		size_t n = 1 + rng_next(&seed) % most;

		n = n < in.len - o->used ? n : in.len - o->used;
		o->rc = handshake_feed(&h,
		    (struct kv_slice){ in.data + o->used, n }, &step);
		MUST(step.used <= n);
		o->used += step.used;
		note(o, &step);
		if (o->rc == KV_OK && step.asked) {
			o->rc = handshake_answer(&h, &step);
			note(o, &step);
		}
	}
	if (o->rc < 0 && o->rc != KV_EMORE) {
		MUST(h.state == HANDSHAKE_FAILED);
		MUST(sodium_is_zero((uint8_t *)&h.u, sizeof(h.u)));
	}
	handshake_fini(&h);
}

static void
init(void)
{
	struct handshake_step step;
	struct cookie_error e;
	struct handshake i, r;
	struct cookie c;

	MUST(cookie_parse((struct kv_slice){ "2 0123456789abcdef", 18 }, false,
		 &c, &e) == KV_OK);
	MUST(psk_ring_new(&c, terms.cluster, &ring) == KV_OK);
	randombytes_set_implementation(&by_counter);
	counter = 100;
	handshake_dial(&i, ring, &terms, genuine[0]);
	start(&r, false);
	MUST(handshake_feed(&r,
		 (struct kv_slice){ (char *)genuine[0], HANDSHAKE_M1 },
		 &step) == KV_OK);
	MUST(handshake_answer(&r, &step) == KV_OK);
	memcpy(genuine[1], step.reply, HANDSHAKE_M2);
	counter = 102;
	MUST(handshake_feed(&i,
		 (struct kv_slice){ (char *)genuine[1], HANDSHAKE_M2 },
		 &step) == KV_OK);
	memcpy(genuine[0] + HANDSHAKE_M1, step.reply, HANDSHAKE_M3);
	handshake_fini(&i);
	handshake_fini(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, pieces;
	struct kv_slice in;
	bool dials;
	size_t tags;

	if (ring == NULL)
		init();
	if (size < 2)
		return 0;
	dials = data[0] & 1;
	/* The stream's header at the end is not under a tag. */
	tags = dials ? HANDSHAKE_M2 - 24 : HANDSHAKE_M1 + 32;
	in = (struct kv_slice){ (const char *)data + 2, size - 2 };
	feed(&whole, in, dials, 1u << 20, 1);
	feed(&pieces, in, dials, 1 + data[1] % 50, data[1] + 1u);
	MUST(whole.rc == pieces.rc && whole.done == pieces.done);
	MUST(whole.used == pieces.used || whole.rc < 0);
	MUST(whole.sent == pieces.sent);
	MUST(memcmp(whole.reply, pieces.reply, sizeof(whole.reply)) == 0);
	MUST(memcmp(&whole.session, &pieces.session, sizeof(whole.session)) ==
	    0);
	if (whole.done)
		MUST(memcmp(in.data, genuine[dials], tags) == 0);
	return 0;
}
