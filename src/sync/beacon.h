/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_BEACON_H
#define KV_SYNC_BEACON_H

/* The beacon of a node on its local network, and what is remembered of others'
 * (man kv-sync.7):
 *
 *	"KVB1" | BLAKE2b-128 of the cluster's name | u64 uid | u16 port | zeros
 *
 * 48 bytes.  It is not authenticated and carries nothing made from the secret,
 * which would be an oracle: all that a forged one does is one dial, and so many
 * a minute, that fails.  Pure. */

#include <stdbool.h>

#include "kv_types.h"

#define BEACON_BYTES 48
#define BEACON_ADDRESS_TEXT 64
#define BEACONS_MAX 64
#define BEACONS_NEW_MAX 10 /* in a minute */
#define BEACONS_NEW_MS 60000
#define BEACONS_SILENT_MS 60000 /* then it is forgotten */

struct beacon {
	uint64_t uid;
	uint16_t port;
};

void beacon_encode(struct kv_slice cluster, const struct beacon *b,
    uint8_t to[BEACON_BYTES]);

/* False: it is none, or of another cluster. */
bool beacon_decode(struct kv_slice bytes, struct kv_slice cluster,
    struct beacon *out);

struct beacon_heard {
	uint64_t uid;
	uint64_t heard_ms; /* 0: free */
	uint16_t port;
	char address[BEACON_ADDRESS_TEXT];
};

struct beacons {
	struct beacon_heard heard[BEACONS_MAX];
	uint64_t minute_ms; /* new ones are counted since then */
	unsigned fresh;
};

/* One came from that address.  True: there is a new candidate.  Of many the
 * one that was not heard for the longest time makes room. */
bool beacons_hear(struct beacons *all, const struct beacon *b,
    const char *address, uint64_t now_ms);

/* Forget who is silent; true when somebody was forgotten. */
bool beacons_forget(struct beacons *all, uint64_t now_ms);

#endif
