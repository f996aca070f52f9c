/* SPDX-License-Identifier: ISC */
/* CPace: generator, shares, intermediate key. */

#include "sync/cpace.h"

#include <assert.h>
#include <sodium.h>

#define DSI "CPaceRistretto255"
#define DSI_ISK "CPaceRistretto255_ISK"
#define HASH_BLOCK 128 /* of SHA-512 */

static struct kv_slice
label(const char *text, size_t size)
{
	return (struct kv_slice){ text, size - 1 };
}

static struct kv_slice
point_of(const uint8_t *point)
{
	return (struct kv_slice){ (const char *)point, CPACE_POINT };
}

size_t
cpace_prefix(uint8_t to[CPACE_PREFIX_MAX], size_t n)
{
	size_t i = 0;

	for (; n >= 0x80; n >>= 7)
		to[i++] = (uint8_t)(n | 0x80);
	to[i++] = (uint8_t)n;
	return i;
}

/* Hash a string with its length in front: lv() of the draft. */
static size_t
hash_lv(crypto_hash_sha512_state *h, struct kv_slice s)
{
	uint8_t prefix[CPACE_PREFIX_MAX];
	size_t n = cpace_prefix(prefix, s.len);

	crypto_hash_sha512_update(h, prefix, n);
	if (s.len > 0)
		crypto_hash_sha512_update(h, (const uint8_t *)s.data, s.len);
	return n + s.len;
}

void
cpace_generator(const struct cpace_input *in, uint8_t g[CPACE_POINT])
{
	static const char zeros[HASH_BLOCK];
	uint8_t hash[crypto_hash_sha512_BYTES];
	crypto_hash_sha512_state h;
	size_t used;

	/* The padding fills the first block, so that the hash's work with the
	 * password does not overlap with what an attacker chooses. */
	crypto_hash_sha512_init(&h);
	used = hash_lv(&h, label(DSI, sizeof(DSI)));
	used += hash_lv(&h, in->prs) + 1;
	hash_lv(&h,
	    (struct kv_slice){ zeros,
		used < HASH_BLOCK ? HASH_BLOCK - used : 0 });
	hash_lv(&h, in->ci);
	hash_lv(&h, in->sid);
	crypto_hash_sha512_final(&h, hash);
	crypto_core_ristretto255_from_hash(g, hash);
	sodium_memzero(hash, sizeof(hash));
	sodium_memzero(&h, sizeof(h));
}

void
cpace_share(const uint8_t g[CPACE_POINT], uint8_t y[CPACE_SCALAR],
    uint8_t point[CPACE_POINT])
{
	int rc;

	/* Section 8.3: bits above 252 are cleared. */
	do {
		randombytes_buf(y, CPACE_SCALAR);
		y[CPACE_SCALAR - 1] &= 0x0f;
	} while (sodium_is_zero(y, CPACE_SCALAR));
	/* g is of prime order and y is neither 0 nor that order. */
	rc = crypto_scalarmult_ristretto255(point, y, g);
	assert(rc == 0);
	(void)rc;
}

int
cpace_isk(struct kv_slice sid, const uint8_t y[CPACE_SCALAR],
    const uint8_t peer[CPACE_POINT], const struct cpace_message *a,
    const struct cpace_message *b, uint8_t isk[CPACE_ISK])
{
	crypto_hash_sha512_state h;
	uint8_t k[CPACE_POINT];

	if (crypto_scalarmult_ristretto255(k, y, peer) != 0) {
		sodium_memzero(k, sizeof(k));
		return KV_EPROTO;
	}
	crypto_hash_sha512_init(&h);
	hash_lv(&h, label(DSI_ISK, sizeof(DSI_ISK)));
	hash_lv(&h, sid);
	hash_lv(&h, point_of(k));
	hash_lv(&h, point_of(a->point));
	hash_lv(&h, a->ad);
	hash_lv(&h, point_of(b->point));
	hash_lv(&h, b->ad);
	crypto_hash_sha512_final(&h, isk);
	sodium_memzero(k, sizeof(k));
	sodium_memzero(&h, sizeof(h));
	return KV_OK;
}
