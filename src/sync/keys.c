/* SPDX-License-Identifier: ISC */
/* From the shared secret to the keys of one session. */

#include "sync/keys.h"

#include <sodium.h>

#define HASH 32

static void
add(crypto_generichash_state *h, const void *data, size_t n)
{
	crypto_generichash_update(h, data, n);
}

static void
derive(uint8_t key[HASH], uint64_t n, const uint8_t prk[HASH])
{
	crypto_kdf_derive_from_key(key, HASH, n, "kvsync1_", prk);
}

/* before: the tag this one follows, NULL for the first. */
static void
make_tag(uint8_t tag[KEYS_TAG], uint64_t n, char label, const uint8_t *prk,
    const uint8_t *th, const uint8_t *before)
{
	crypto_generichash_state h;
	uint8_t key[HASH];

	derive(key, n, prk);
	crypto_generichash_init(&h, key, sizeof(key), KEYS_TAG);
	add(&h, &label, 1);
	add(&h, th, HASH);
	if (before != NULL)
		add(&h, before, KEYS_TAG);
	crypto_generichash_final(&h, tag, KEYS_TAG);
	sodium_memzero(key, sizeof(key));
	sodium_memzero(&h, sizeof(h));
}

void
keys_make(struct keys *k, const struct psk *psk, const uint8_t isk[64],
    struct kv_slice m1, struct kv_slice m2_start)
{
	static const char label[] = "kvsync1 prk";
	uint8_t th[HASH], prk[HASH];
	crypto_generichash_state h;

	crypto_generichash_init(&h, NULL, 0, sizeof(th));
	add(&h, m1.data, m1.len);
	add(&h, m2_start.data, m2_start.len);
	crypto_generichash_final(&h, th, sizeof(th));
	crypto_generichash_init(&h, psk->key, sizeof(psk->key), sizeof(prk));
	add(&h, label, sizeof(label) - 1);
	add(&h, isk, 64);
	add(&h, th, sizeof(th));
	crypto_generichash_final(&h, prk, sizeof(prk));
	make_tag(k->tag_r, 1, 'R', prk, th, NULL);
	make_tag(k->tag_i, 2, 'I', prk, th, k->tag_r);
	derive(k->stream_i, 3, prk);
	derive(k->stream_r, 4, prk);
	derive(k->session_id, 5, prk);
	sodium_memzero(prk, sizeof(prk));
	sodium_memzero(&h, sizeof(h));
}

void
keys_wipe(struct keys *k)
{
	sodium_memzero(k, sizeof(*k));
}
