/* SPDX-License-Identifier: ISC */
#ifndef SYNC_RIG_H
#define SYNC_RIG_H

/* What the tests of src/sync share. */

#include "base/buf.h"
#include "sync/channel.h"
#include "sync/handshake.h"

/* Make libsodium's randomness repeatable: call n from now on yields
 * randombytes_buf_deterministic() with the 32-byte little-endian seed
 * counter + n, as reference/handshake-vectors.txt was made. */
void sync_rig_counter(uint64_t counter);
void sync_rig_random(void); /* the system's again */

/* A ring for this cookie file and cluster; made once for each, as the
 * stretching is slow, and kept until the end. */
struct psk_ring *sync_rig_ring(const char *file, const char *cluster);

/* Two sessions that fit, from a handshake without faults. */
void sync_rig_sessions(struct handshake_session *i,
    struct handshake_session *r);

/* Append the bytes of a hex text, spaces ignored. */
void sync_rig_hex(struct buf *to, const char *hex);

/* assert_memory_equal() of n bytes with a hex text of that length. */
void sync_rig_is_hex(const void *bytes, size_t n, const char *hex);

#endif
