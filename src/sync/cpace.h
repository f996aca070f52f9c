/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_CPACE_H
#define KV_SYNC_CPACE_H

/* CPace over ristretto255 with SHA-512 (draft-irtf-cfrg-cpace-21, suite of
 * section 8.3): a Diffie-Hellman whose generator is hashed from the password,
 * so that nothing on the wire tells one password from another.  Checked against
 * the vectors of the draft's appendix B.3.
 *
 * Ristretto because libsodium has its map to the group, and because it has no
 * cofactor to take care of. */

#include "kv_types.h"

#define CPACE_POINT 32
#define CPACE_SCALAR 32
#define CPACE_ISK 64
#define CPACE_PREFIX_MAX 10

/* What both sides know before: password related string, channel identifier,
 * session id. */
struct cpace_input {
	struct kv_slice prs;
	struct kv_slice ci;
	struct kv_slice sid;
};

/* One side's message: its point and what it says in clear beside it. */
struct cpace_message {
	const uint8_t *point;
	struct kv_slice ad;
};

/* calculate_generator of section 7.1. */
void cpace_generator(const struct cpace_input *in, uint8_t g[CPACE_POINT]);

/* A fresh secret scalar, and the point that is sent: Y = y * g. */
void cpace_share(const uint8_t g[CPACE_POINT], uint8_t y[CPACE_SCALAR],
    uint8_t point[CPACE_POINT]);

/* The intermediate key, a the initiator's message.  KV_EPROTO when the peer's
 * point is no point or the neutral one: abort, and send nothing. */
KV_CHECKED int cpace_isk(struct kv_slice sid, const uint8_t y[CPACE_SCALAR],
    const uint8_t peer[CPACE_POINT], const struct cpace_message *a,
    const struct cpace_message *b, uint8_t isk[CPACE_ISK]);

/* The length in front of every string (LEB128); returns its own length. */
size_t cpace_prefix(uint8_t to[CPACE_PREFIX_MAX], size_t n);

#endif
