/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_PSK_H
#define KV_SYNC_PSK_H

/* The keys stretched from a cookie, in locked memory (sodium_malloc(3)): one
 * for each line, Argon2id with the parameters of suite 1.  With a PAKE this is
 * a second fence: it makes a leaked key or a broken group expensive. */

#include "sync/cookie.h"

#define PSK_BYTES 32

struct psk {
	uint8_t key[PSK_BYTES];
	uint8_t generation;
};

/* Counted, so that a handshake under way keeps the keys it began with when the
 * cookie is read again. */
struct psk_ring;

/* 64 MiB and some 70 ms for each line, so at start and reload only.  The name
 * of the cluster is the salt: another cluster's is another secret.  The ring
 * has one reference, the caller's. */
KV_CHECKED int psk_ring_new(const struct cookie *c, struct kv_slice cluster,
    struct psk_ring **out);

struct psk_ring *psk_ring_hold(struct psk_ring *ring);
void psk_ring_release(struct psk_ring *ring); /* NULL is fine */

/* The key of the first line; never NULL. */
const struct psk *psk_ring_dial(const struct psk_ring *ring);

/* The key of a generation, NULL when there is none. */
const struct psk *psk_ring_find(const struct psk_ring *ring,
    uint8_t generation);

/* "2 and 1", the generations there are, and a NUL. */
#define PSK_GENERATIONS_TEXT 32
void psk_ring_generations(const struct psk_ring *ring,
    char to[PSK_GENERATIONS_TEXT]);

/* Eight hex digits and a NUL, to see whether two hosts have the same secret.
 * Each guess costs who knows it an Argon2id, and a weak secret can be found
 * that way: for the operator's eyes, not for a log. */
#define PSK_FINGERPRINT_TEXT 9
void psk_fingerprint(const struct psk *psk, char to[PSK_FINGERPRINT_TEXT]);

#endif
