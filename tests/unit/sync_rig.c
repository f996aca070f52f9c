/* SPDX-License-Identifier: ISC */
/* Repeatable randomness, cached keys, hex. */

#include "sync_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

#define RINGS 16

static uint64_t counter;

static const char *
name(void)
{
	return "counter";
}

static void
counted(void *const to, const size_t n)
{
	unsigned char seed[randombytes_SEEDBYTES] = { 0 };
	uint64_t c = __builtin_bswap64(counter++);

	bytes_put_be64(seed, c);
	randombytes_buf_deterministic(to, n, seed);
}

static uint32_t
number(void)
{
	uint32_t x;

	counted(&x, sizeof(x));
	return x;
}

static randombytes_implementation by_counter = {
	.implementation_name = name,
	.random = number,
	.buf = counted,
};

void
sync_rig_counter(uint64_t from)
{
	assert_true(sodium_init() >= 0);
	counter = from;
	assert_int_equal(randombytes_set_implementation(&by_counter), 0);
}

void
sync_rig_random(void)
{
	assert_int_equal(randombytes_set_implementation(
			     &randombytes_sysrandom_implementation),
	    0);
}

struct psk_ring *
sync_rig_ring(const char *file, const char *cluster)
{
	static struct {
		const char *file, *cluster;
		struct psk_ring *ring;
	} made[RINGS];
	struct cookie_error e;
	struct cookie c;
	size_t i;

	for (i = 0; i < RINGS && made[i].ring != NULL; i++)
		if (strcmp(made[i].file, file) == 0 &&
		    strcmp(made[i].cluster, cluster) == 0)
			return made[i].ring;
	assert_true(i < RINGS);
	assert_int_equal(cookie_parse(slice_of(file), false, &c, &e), KV_OK);
	made[i].file = file;
	made[i].cluster = cluster;
	assert_int_equal(psk_ring_new(&c, slice_of(cluster), &made[i].ring),
	    KV_OK);
	return made[i].ring;
}

void
sync_rig_sessions(struct handshake_session *i, struct handshake_session *r)
{
	struct psk_ring *ring = sync_rig_ring("0123456789abcdef", "rig");
	const struct handshake_terms terms = { slice_of("rig"), 1, 1 };
	struct handshake_step step;
	struct handshake hi, hr;
	uint8_t m[HANDSHAKE_REPLY_MAX];

	handshake_dial(&hi, ring, &terms, m);
	handshake_accept(&hr, ring, &terms);
	assert_int_equal(handshake_feed(&hr,
			     (struct kv_slice){ (char *)m, HANDSHAKE_M1 },
			     &step),
	    KV_OK);
	assert_int_equal(handshake_answer(&hr, &step), KV_OK);
	memcpy(m, step.reply, HANDSHAKE_M2);
	assert_int_equal(handshake_feed(&hi,
			     (struct kv_slice){ (char *)m, HANDSHAKE_M2 },
			     &step),
	    KV_OK);
	*i = step.session;
	memcpy(m, step.reply, HANDSHAKE_M3);
	assert_int_equal(handshake_feed(&hr,
			     (struct kv_slice){ (char *)m, HANDSHAKE_M3 },
			     &step),
	    KV_OK);
	*r = step.session;
	handshake_fini(&hi);
	handshake_fini(&hr);
}

void
sync_rig_hex(struct buf *to, const char *hex)
{
	size_t n = strlen(hex), len;

	assert_int_equal(buf_reserve(to, n), KV_OK);
	assert_int_equal(sodium_hex2bin((unsigned char *)to->data + to->len, n,
			     hex, n, " \n", &len, NULL),
	    0);
	to->len += len;
}

void
sync_rig_is_hex(const void *bytes, size_t n, const char *hex)
{
	struct buf want;

	buf_init(&want);
	sync_rig_hex(&want, hex);
	assert_int_equal(want.len, n);
	assert_memory_equal(want.data, bytes, n);
	buf_fini(&want);
}
