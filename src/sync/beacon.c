/* SPDX-License-Identifier: ISC */
/* Beacons as bytes, and who was heard. */

#include "sync/beacon.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

#define BEACON_MAGIC "KVB1"
#define BEACON_CLUSTER 4
#define BEACON_UID 20
#define BEACON_PORT 28

static void
beacon_cluster(struct kv_slice cluster, uint8_t to[16])
{
	crypto_generichash(to, 16, (const unsigned char *)cluster.data,
	    cluster.len, NULL, 0);
}

void
beacon_encode(struct kv_slice cluster, const struct beacon *b,
    uint8_t to[BEACON_BYTES])
{
	memset(to, 0, BEACON_BYTES);
	memcpy(to, BEACON_MAGIC, 4);
	beacon_cluster(cluster, to + BEACON_CLUSTER);
	bytes_put_be64(to + BEACON_UID, b->uid);
	bytes_put_be16(to + BEACON_PORT, b->port);
}

bool
beacon_decode(struct kv_slice bytes, struct kv_slice cluster,
    struct beacon *out)
{
	uint8_t expected[16];

	if (bytes.len != BEACON_BYTES ||
	    memcmp(bytes.data, BEACON_MAGIC, 4) != 0)
		return false;
	beacon_cluster(cluster, expected);
	if (memcmp(bytes.data + BEACON_CLUSTER, expected, 16) != 0)
		return false;
	out->uid = bytes_get_be64(bytes.data + BEACON_UID);
	out->port = bytes_get_be16(bytes.data + BEACON_PORT);
	return out->port != 0;
}

static struct beacon_heard *
beacons_find(struct beacons *all, const struct beacon *b, const char *address)
{
	size_t i;

	for (i = 0; i < BEACONS_MAX; i++) {
		struct beacon_heard *h = &all->heard[i];

		if (h->heard_ms != 0 && h->uid == b->uid &&
		    h->port == b->port && strcmp(h->address, address) == 0)
			return h;
	}
	return NULL;
}

static bool
beacons_may_add(struct beacons *all, uint64_t now_ms)
{
	if (all->minute_ms == 0 || now_ms - all->minute_ms >= BEACONS_NEW_MS) {
		all->minute_ms = now_ms;
		all->fresh = 0;
	}
	return all->fresh++ < BEACONS_NEW_MAX;
}

bool
beacons_hear(struct beacons *all, const struct beacon *b, const char *address,
    uint64_t now_ms)
{
	struct beacon_heard *h = beacons_find(all, b, address);
	size_t i;

	if (h != NULL) {
		h->heard_ms = now_ms;
		return false;
	}
	if (!beacons_may_add(all, now_ms))
		return false;
	h = &all->heard[0];
	for (i = 1; i < BEACONS_MAX; i++) {
		if (all->heard[i].heard_ms < h->heard_ms)
			h = &all->heard[i];
	}
	h->uid = b->uid;
	h->port = b->port;
	h->heard_ms = now_ms;
	snprintf(h->address, sizeof(h->address), "%s", address);
	return true;
}

bool
beacons_forget(struct beacons *all, uint64_t now_ms)
{
	bool any = false;
	size_t i;

	for (i = 0; i < BEACONS_MAX; i++) {
		struct beacon_heard *h = &all->heard[i];

		if (h->heard_ms == 0 ||
		    now_ms - h->heard_ms < BEACONS_SILENT_MS)
			continue;
		h->heard_ms = 0;
		any = true;
	}
	return any;
}
