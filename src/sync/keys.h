/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_KEYS_H
#define KV_SYNC_KEYS_H

/* The key schedule of suite 1.
 *
 *	th   = BLAKE2b-256(M1 | M2 up to and with Yb)
 *	prk  = BLAKE2b-256(key psk, "kvsync1 prk" | ISK | th)
 *	k(n) = crypto_kdf(n, "kvsync1_", prk)	n = 1 confirm R, 2 confirm I,
 *		3 stream I->R, 4 stream R->I, 5 session id
 *	tagR = BLAKE2b-256(key k(1), 'R' | th)
 *	tagI = BLAKE2b-256(key k(2), 'I' | th | tagR)
 *
 * The psk goes in once more, symmetrically: with a random cookie a recorded
 * session stays closed even if the group is broken one day. */

#include "sync/psk.h"

#define KEYS_TAG 32

struct keys {
	uint8_t tag_r[KEYS_TAG];
	uint8_t tag_i[KEYS_TAG];
	uint8_t stream_i[32];
	uint8_t stream_r[32];
	uint8_t session_id[32];
};

void keys_make(struct keys *k, const struct psk *psk, const uint8_t isk[64],
    struct kv_slice m1, struct kv_slice m2_start);
void keys_wipe(struct keys *k);

#endif
