/* SPDX-License-Identifier: ISC */
#ifndef SYNC_PAIR_H
#define SYNC_PAIR_H

/* Two ends of a handshake and the messages between them, for tests to change
 * on the way. */

#include "sync_rig.h"

#define COOKIE "2 0123456789abcdef\n1 an-older-secret-1\n"
#define OLD_ONLY "1 an-older-secret-1\n"

/* Both ends and what went over the wire between them. */
struct pair {
	struct handshake i, r;
	struct handshake_step step;
	struct handshake_session si, sr;
	uint8_t m1[HANDSHAKE_M1], m2[HANDSHAKE_M2], m3[HANDSHAKE_M3];
};

/* The cluster "prod", version 1. */
extern const struct handshake_terms pair_terms;

struct kv_slice pair_bytes(const uint8_t *p, size_t n);

/* Make m1; pair_pair_end() wipes both. */
void pair_begin(struct pair *p, struct psk_ring *of_i, struct psk_ring *of_r,
    const struct handshake_terms *terms);
void pair_end(struct pair *p);

/* Hand a message over; on KV_OK the answer is in the pair. */
int pair_m1(struct pair *p);
int pair_m2(struct pair *p);
int pair_m3(struct pair *p);

/* It failed for this reason: nothing went out, no secret is left, and it stays
 * that way. */
void pair_is_dead(struct handshake *h, const struct handshake_step *step,
    enum handshake_reason reason);

#endif
