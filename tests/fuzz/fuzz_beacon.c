/* SPDX-License-Identifier: ISC */
/* Datagrams from a network that anybody may send: u8 length and bytes of each,
 * taken as beacons from one address.  What is remembered stays bounded. */

#include <stdlib.h>

#include "base/buf.h"
#include "sync/beacon.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct beacons all = { .fresh = 0 };
	uint8_t bytes[BEACON_BYTES];
	struct beacon b;
	unsigned fresh = 0;

	while (size > 0) {
		size_t n = data[0] < size - 1 ? data[0] : size - 1;
		struct kv_slice in = { (const char *)data + 1, n };

		if (beacon_decode(in, slice_of("kv"), &b)) {
			beacon_encode(slice_of("kv"), &b, bytes);
			if (b.port == 0)
				abort();
			fresh += beacons_hear(&all, &b, "10.0.0.1", 1);
		}
		data += 1 + n;
		size -= 1 + n;
	}
	if (fresh > BEACONS_NEW_MAX)
		abort();
	return 0;
}
