/* SPDX-License-Identifier: ISC */
/* Where wrong passwords come from. */

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/log.h"
#include "io/sock.h"
#include "worker/auth.h"

#define SOURCE_MS 1000000u /* in ns */
#define SOURCE_DELAY_MIN (200u * SOURCE_MS)
#define SOURCE_DELAY_MAX (5000ull * SOURCE_MS)
#define SOURCE_LOG_NS (60000ull * SOURCE_MS)
#define SOURCE_FORGIVE_NS (600000ull * SOURCE_MS)

/* An IPv4 address whole, of an IPv6 one the network, as whoever has one has
 * them all.  All zero: this host, by a unix socket. */
static void
source_address(int fd, unsigned char to[16])
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_storage room;
	} peer;
	socklen_t len = sizeof(peer);

	memset(to, 0, 16);
	memset(&peer, 0, sizeof(peer));
	if (getpeername(fd, &peer.any, &len) < 0)
		return;
	if (peer.any.sa_family == AF_INET) {
		to[10] = to[11] = 0xff;
		memcpy(to + 12, &peer.v4.sin_addr, 4);
	} else if (peer.any.sa_family == AF_INET6) {
		bool mapped = IN6_IS_ADDR_V4MAPPED(&peer.v6.sin6_addr);

		memcpy(to, &peer.v6.sin6_addr, mapped ? 16 : 8);
	}
}

struct auth_source *
auth_source_of(struct auth_sources *all, int fd, uint64_t now_ns)
{
	struct auth_source *row, *stalest = all->rows;
	unsigned char address[16];
	size_t i;

	source_address(fd, address);
	for (i = 0; i < AUTH_SOURCES; i++) {
		row = &all->rows[i];
		if (row->failed_ns != 0 &&
		    memcmp(row->address, address, sizeof(address)) == 0) {
			if (now_ns - row->failed_ns > SOURCE_FORGIVE_NS)
				row->failures = 0;
			return row;
		}
		if (row->failed_ns < stalest->failed_ns)
			stalest = row;
	}
	*stalest = (struct auth_source){ .failed_ns = now_ns };
	memcpy(stalest->address, address, sizeof(address));
	return stalest;
}

uint64_t
auth_source_failed(struct auth_source *source, uint64_t now_ns)
{
	uint64_t delay = SOURCE_DELAY_MIN;
	unsigned i;

	for (i = 0; i < source->failures && delay < SOURCE_DELAY_MAX; i++)
		delay *= 2;
	source->failures++;
	source->failed_ns = now_ns;
	return delay < SOURCE_DELAY_MAX ? delay : SOURCE_DELAY_MAX;
}

void
auth_source_log(struct auth_source *source, int fd, uint64_t now_ns)
{
	char peer[SOCK_TEXT_MAX];

	if (source->logged_ns != 0 &&
	    now_ns - source->logged_ns < SOURCE_LOG_NS)
		return;
	source->logged_ns = now_ns;
	peer[sock_peer_text(fd, peer, sizeof(peer) - 1)] = '\0';
	log_warn("password wrong peer=%s failures=%u", peer, source->failures);
}
