/* SPDX-License-Identifier: ISC */
/* Sending and hearing beacons. */

#include "syncd/lan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"
#include "sync/beacon.h"
#include "syncd/gate.h"

#define LAN_GROUP 0xefff4b56u /* 239.255.75.86: "KV", of this site only */
#define LAN_NS 5000000000u
#define LAN_BURST 64 /* beacons taken in one turn */

struct lan {
	struct syncd *s;
	struct loop_source source;
	struct timer timer;
	struct beacons heard;
	bool failed;
};

static struct sockaddr_in
lan_address(const struct lan *l, uint32_t host)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port =
		    htons((uint16_t)conf_u64(l->s->conf, CONF_SYNC_PORT)),
		.sin_addr.s_addr = htonl(host) };
}

/* All that are heard, as candidates. */
static void
lan_tell(struct lan *l)
{
	struct syncd *s = l->s;
	size_t i;

	members_begin(s->members, MEMBER_OF_BEACON);
	for (i = 0; i < BEACONS_MAX; i++) {
		const struct beacon_heard *h = &l->heard.heard[i];

		if (h->heard_ms != 0)
			(void)!members_add(s->members, MEMBER_OF_BEACON,
			    h->address, h->port, syncd_now(s));
	}
	members_end(s->members, MEMBER_OF_BEACON);
	syncd_look(s);
}

static void
lan_hear(struct lan *l, struct kv_slice bytes, const struct sockaddr_in *from)
{
	char address[INET_ADDRSTRLEN];
	struct beacon b;

	if (!beacon_decode(bytes, syncd_cluster(l->s), &b) ||
	    b.uid == engine_control(l->s->engine)->store_id)
		return;
	inet_ntop(AF_INET, &from->sin_addr, address, sizeof(address));
	if (beacons_hear(&l->heard, &b, address, syncd_now(l->s)))
		lan_tell(l);
}

static void
lan_ready(struct loop_source *source, uint32_t events)
{
	struct lan *l = loop_owner(source, struct lan, source);
	union {
		struct sockaddr any;
		struct sockaddr_in in4;
	} from = { .any = { .sa_family = AF_UNSPEC } };
	char bytes[BEACON_BYTES + 1];
	unsigned i;

	(void)events;
	for (i = 0; i < LAN_BURST; i++) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(source->fd, bytes, sizeof(bytes),
		    MSG_DONTWAIT, &from.any, &len);

		if (n < 0)
			return;
		if (from.any.sa_family == AF_INET)
			lan_hear(l, (struct kv_slice){ bytes, (size_t)n },
			    &from.in4);
	}
}

static void
lan_send(struct timer *timer)
{
	struct lan *l = loop_owner(timer, struct lan, timer);
	struct syncd *s = l->s;
	union {
		struct sockaddr any;
		struct sockaddr_in in4;
	} to = { .in4 = lan_address(l, LAN_GROUP) };
	struct beacon b = { engine_control(s->engine)->store_id,
		gate_port(s->gate) };
	uint8_t bytes[BEACON_BYTES];

	beacon_encode(syncd_cluster(s), &b, bytes);
	if (sendto(l->source.fd, bytes, sizeof(bytes), MSG_DONTWAIT, &to.any,
		sizeof(to.in4)) < 0 &&
	    !l->failed) {
		log_warn("beacon not sent error=\"%s\"", strerror(errno));
		l->failed = true;
	}
	if (beacons_forget(&l->heard, syncd_now(s)))
		lan_tell(l);
	loop_timer_set(s->loop, timer,
	    loop_now(s->loop) + LAN_NS / 2 + rng_next(&s->seed) % LAN_NS);
}

/* Several nodes of a host hear the same; a host without a network hears
 * nothing, and is none the worse. */
static int
lan_bind(struct lan *l)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in4;
	} at = { .in4 = lan_address(l, LAN_GROUP) };
	struct ip_mreqn group = { .imr_multiaddr.s_addr = htonl(LAN_GROUP) };
	int fd, one = 1;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	l->source.fd = fd;
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &one, sizeof(one)) <
		0 ||
	    setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &one, sizeof(one)) <
		0 ||
	    bind(fd, &at.any, sizeof(at.in4)) < 0)
		return err_system("bind", "beacon");
	if (setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group,
		sizeof(group)) < 0)
		log_warn("beacons not heard error=\"%s\"", strerror(errno));
	return loop_add(l->s->loop, &l->source);
}

int
lan_open(struct syncd *s, struct lan **out)
{
	struct lan *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return KV_ENOMEM;
	l->s = s;
	l->timer.expired = lan_send;
	l->source =
	    (struct loop_source){ .ready = lan_ready, .events = EPOLLIN };
	if ((rc = lan_bind(l)) < 0) {
		lan_close(l);
		return rc;
	}
	loop_timer_set(s->loop, &l->timer, 0);
	*out = l;
	return KV_OK;
}

void
lan_close(struct lan *l)
{
	if (l == NULL)
		return;
	loop_timer_clear(l->s->loop, &l->timer);
	if (l->source.fd >= 0) {
		loop_remove(l->s->loop, &l->source);
		close(l->source.fd);
	}
	members_begin(l->s->members, MEMBER_OF_BEACON);
	members_end(l->s->members, MEMBER_OF_BEACON);
	free(l);
}
