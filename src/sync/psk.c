/* SPDX-License-Identifier: ISC */
/* Stretched keys and their life. */

#include "sync/psk.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define SALT_LABEL "kvsync cookie salt 1"
#define FINGERPRINT_LABEL "kvsync1 fingerprint"

/* Parameters of suite 1; another set would be another suite. */
#define OPS 2
#define MEMORY (64u << 20)

struct psk_ring {
	size_t refs;
	size_t count;
	struct psk psk[COOKIE_LINES_MAX];
};

static int
stretch(struct kv_slice secret, struct kv_slice cluster, uint8_t *key)
{
	unsigned char salt[crypto_pwhash_argon2id_SALTBYTES];
	crypto_generichash_state h;

	crypto_generichash_init(&h, NULL, 0, sizeof(salt));
	crypto_generichash_update(&h, (const unsigned char *)SALT_LABEL,
	    sizeof(SALT_LABEL) - 1);
	crypto_generichash_update(&h, (const unsigned char *)cluster.data,
	    cluster.len);
	crypto_generichash_final(&h, salt, sizeof(salt));
	if (crypto_pwhash_argon2id(key, PSK_BYTES, secret.data, secret.len,
		salt, OPS, MEMORY, crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0)
		return KV_ENOMEM;
	return KV_OK;
}

int
psk_ring_new(const struct cookie *c, struct kv_slice cluster,
    struct psk_ring **out)
{
	struct psk_ring *ring;
	int rc = KV_OK;
	size_t i;

	assert(c->count > 0 && c->count <= COOKIE_LINES_MAX);
	if (sodium_init() < 0)
		return KV_ESYSTEM;
	if ((ring = sodium_malloc(sizeof(*ring))) == NULL)
		return KV_ENOMEM;
	memset(ring, 0, sizeof(*ring));
	ring->refs = 1;
	ring->count = c->count;
	for (i = 0; i < c->count && rc == KV_OK; i++) {
		ring->psk[i].generation = c->lines[i].generation;
		rc = stretch(c->lines[i].secret, cluster, ring->psk[i].key);
	}
	if (rc < 0) {
		psk_ring_release(ring);
		return rc;
	}
	*out = ring;
	return KV_OK;
}

struct psk_ring *
psk_ring_hold(struct psk_ring *ring)
{
	ring->refs++;
	return ring;
}

void
psk_ring_release(struct psk_ring *ring)
{
	if (ring == NULL || --ring->refs > 0)
		return;
	sodium_free(ring); /* wipes it */
}

const struct psk *
psk_ring_dial(const struct psk_ring *ring)
{
	return &ring->psk[0];
}

const struct psk *
psk_ring_find(const struct psk_ring *ring, uint8_t generation)
{
	size_t i;

	for (i = 0; i < ring->count; i++)
		if (ring->psk[i].generation == generation)
			return &ring->psk[i];
	return NULL;
}

void
psk_ring_generations(const struct psk_ring *ring, char to[PSK_GENERATIONS_TEXT])
{
	size_t i, at = 0;

	for (i = 0; i < ring->count; i++) {
		const char *joint = i == 0 ? ""
		    : i + 1 == ring->count ? " and "
					   : ", ";

		at += (size_t)snprintf(to + at, PSK_GENERATIONS_TEXT - at,
		    "%s%u", joint, (unsigned)ring->psk[i].generation);
	}
	assert(at < PSK_GENERATIONS_TEXT);
}

void
psk_fingerprint(const struct psk *psk, char to[PSK_FINGERPRINT_TEXT])
{
	unsigned char hash[crypto_generichash_BYTES];

	crypto_generichash(hash, sizeof(hash),
	    (const unsigned char *)FINGERPRINT_LABEL,
	    sizeof(FINGERPRINT_LABEL) - 1, psk->key, sizeof(psk->key));
	sodium_bin2hex(to, PSK_FINGERPRINT_TEXT, hash,
	    (PSK_FINGERPRINT_TEXT - 1) / 2);
	sodium_memzero(hash, sizeof(hash));
}
