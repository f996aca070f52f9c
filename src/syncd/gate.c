/* SPDX-License-Identifier: ISC */
/* Listening for other nodes. */

#include "syncd/gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"
#include "conf/value.h"
#include "io/sock.h"
#include "syncd/guest.h"
#include "syncd/rundir.h"

#define GATE_ADDRESSES_MAX 16
#define GATE_BACKLOG 128
#define GATE_TRIES 8		    /* to find one random port everywhere */
#define GATE_BACK_OFF_NS 100000000u /* out of descriptors */
/* To get the well-known port, and as much again, at random: for a while after
 * another node of the host ended; and now and then. */
#define GATE_HURRY_NS 50000000u
#define GATE_HURRY_FOR_NS 2000000000u
#define GATE_TAKE_OVER_NS 5000000000u
#define GATE_BLIND_NS 300000000u /* where nobody tells of ends */
/* To look whether our file in the run-time folder stands: as a rule, and after
 * one was removed there, which may be the first of several. */
#define GATE_RENEW_NS 30000000000u
#define GATE_RENEW_SOON_NS 500000000u

struct door {
	struct loop_source source;
	struct gate *gate;
};

/* One port on all addresses of sync_bind. */
struct doors {
	struct door door[GATE_ADDRESSES_MAX];
	size_t count;
	uint16_t port;
};

struct gate {
	struct syncd *s;
	struct guests *guests;
	struct doors own, known; /* known is closed when own is that port */
	struct timer again;	 /* accept, after a pause */
	struct timer take_over;
	struct timer renew;	 /* our file in the run-time folder */
	struct loop_source ends; /* of other nodes; fd -1: not told */
	uint64_t hurry_until_ns;
	bool logged;
};

static uint16_t
gate_known_port(const struct gate *g)
{
	return (uint16_t)conf_u64(g->s->conf, CONF_SYNC_PORT);
}

uint16_t
gate_port(const struct gate *g)
{
	return g->own.port;
}

bool
gate_holds_known_port(const struct gate *g)
{
	return g->own.port == gate_known_port(g) || g->known.count > 0;
}

/* ---- accepting ---- */

static void
doors_watch(struct gate *g, struct doors *d, bool watch)
{
	size_t i;

	for (i = 0; i < d->count; i++) {
		if (!watch)
			loop_remove(g->s->loop, &d->door[i].source);
		else if (loop_add(g->s->loop, &d->door[i].source) < 0)
			log_error("listen failed port=%u", d->port);
	}
}

static void
gate_accept_again(struct timer *timer)
{
	struct gate *g = loop_owner(timer, struct gate, again);

	doors_watch(g, &g->own, true);
	doors_watch(g, &g->known, true);
}

static void
gate_failed(struct gate *g)
{
	if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS &&
	    errno != ENOMEM)
		return; /* the one who called has gone */
	if (!g->logged)
		(void)err_system("accept", "peer");
	g->logged = true;
	doors_watch(g, &g->own, false);
	doors_watch(g, &g->known, false);
	loop_timer_set(g->s->loop, &g->again,
	    loop_now(g->s->loop) + GATE_BACK_OFF_NS);
}

static void
gate_ready(struct loop_source *source, uint32_t events)
{
	struct gate *g = loop_owner(source, struct door, source)->gate;
	int fd;

	(void)events;
	fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		gate_failed(g);
		return;
	}
	g->logged = false;
	guests_enter(g->guests, fd);
}

/* ---- doors ---- */

static void
doors_close(struct gate *g, struct doors *d)
{
	size_t i;

	doors_watch(g, d, false);
	for (i = 0; i < d->count; i++)
		close(d->door[i].source.fd);
	d->count = 0;
	d->port = 0;
}

static int
doors_add(struct gate *g, struct doors *d, const char *address, uint16_t port)
{
	struct door *door = &d->door[d->count];
	int fd, rc;

	if (d->count == GATE_ADDRESSES_MAX)
		return KV_ETOOBIG;
	if ((rc = sock_listen_tcp(address, port, GATE_BACKLOG, &fd)) < 0)
		return rc;
	door->gate = g;
	door->source = (struct loop_source){ .ready = gate_ready,
		.fd = fd,
		.events = EPOLLIN };
	d->count++;
	d->port = sock_port(fd);
	return loop_add(g->s->loop, &door->source);
}

/* A host without IPv6 is none the worse for "::". */
static bool
doors_may_miss(int rc, struct kv_slice address)
{
	return rc == KV_ENOTFOUND && slice_equal(address, slice_of("::"));
}

/* The port on all addresses, or on none; 0: any.  failed: which address. */
static int
doors_open(struct gate *g, struct doors *d, uint16_t port,
    char failed[SOCK_TEXT_MAX])
{
	struct kv_slice list = slice_of(conf_text(g->s->conf, CONF_SYNC_BIND));
	struct kv_slice item;
	int rc = KV_OK;

	while (rc == KV_OK && value_next(&list, &item)) {
		snprintf(failed, SOCK_TEXT_MAX, "%.*s", (int)item.len,
		    item.data);
		rc = doors_add(g, d, failed, d->count > 0 ? d->port : port);
		if (doors_may_miss(rc, item))
			rc = KV_OK;
	}
	if (rc == KV_OK && d->count == 0)
		rc = KV_ENOTFOUND;
	if (rc < 0)
		doors_close(g, d);
	return rc;
}

static int
doors_open_any(struct gate *g, struct doors *d, char failed[SOCK_TEXT_MAX])
{
	int i, rc = KV_EBUSY;

	for (i = 0; i < GATE_TRIES && rc == KV_EBUSY; i++)
		rc = doors_open(g, d, 0, failed);
	return rc;
}

/* ---- the well-known port ---- */

static void
gate_try_again(struct gate *g)
{
	uint64_t now = loop_now(g->s->loop), pause = GATE_TAKE_OVER_NS;

	if (g->ends.fd < 0)
		pause = GATE_BLIND_NS;
	else if (now < g->hurry_until_ns)
		pause = GATE_HURRY_NS;
	pause += rng_next(&g->s->seed) % pause;
	loop_timer_set(g->s->loop, &g->take_over, now + pause);
}

/* The port is free in a moment, if it was that one's. */
static void
gate_node_ended(struct loop_source *source, uint32_t events)
{
	struct gate *g = loop_owner(source, struct gate, ends);

	(void)events;
	rundir_watched(source->fd);
	g->hurry_until_ns = loop_now(g->s->loop) + GATE_HURRY_FOR_NS;
	loop_timer_set(g->s->loop, &g->renew,
	    loop_now(g->s->loop) + GATE_RENEW_SOON_NS);
	if (g->own.count > 0 && !gate_holds_known_port(g))
		gate_try_again(g);
}

static void
gate_unwatch_ends(struct gate *g)
{
	if (g->ends.fd < 0)
		return;
	loop_remove(g->s->loop, &g->ends);
	close(g->ends.fd);
	g->ends.fd = -1;
}

static void
gate_watch_ends(struct gate *g)
{
	g->ends = (struct loop_source){ .ready = gate_node_ended,
		.fd = rundir_watch(g->s->rundir),
		.events = EPOLLIN };
	if (g->ends.fd >= 0 && loop_add(g->s->loop, &g->ends) < 0) {
		close(g->ends.fd);
		g->ends.fd = -1;
	}
}

static void
gate_take_over(struct timer *timer)
{
	struct gate *g = loop_owner(timer, struct gate, take_over);
	char failed[SOCK_TEXT_MAX];

	if (doors_open(g, &g->known, gate_known_port(g), failed) < 0)
		gate_try_again(g);
	else
		log_info("listen sync_port=%u for=\"all nodes of this host\"",
		    g->known.port);
}

/* ---- opening ---- */

static void
gate_publish(struct gate *g)
{
	struct kv_slice list = slice_of(conf_text(g->s->conf, CONF_SYNC_BIND));
	char address[RUNDIR_ADDRESS_TEXT] = "127.0.0.1";
	struct kv_slice first, item;
	bool loopback = false;

	first = (struct kv_slice){ NULL, 0 };
	while (value_next(&list, &item)) {
		if (first.len == 0)
			first = item;
		loopback |= slice_equal(item, slice_of("0.0.0.0")) ||
		    slice_equal(item, slice_of("127.0.0.1"));
	}
	if (!loopback && slice_equal(first, slice_of("::")))
		snprintf(address, sizeof(address), "::1");
	else if (!loopback)
		snprintf(address, sizeof(address), "%.*s", (int)first.len,
		    first.data);
	if (g->s->rundir != NULL &&
	    rundir_publish(g->s->rundir, address, g->own.port) < 0)
		log_warn("nodes of this host do not find this one");
}

static void
gate_renew(struct timer *timer)
{
	struct gate *g = loop_owner(timer, struct gate, renew);

	if (g->own.count == 0) /* we end */
		return;
	if (rundir_renew(g->s->rundir)) {
		gate_publish(g);
		gate_unwatch_ends(g);
		gate_watch_ends(g);
	}
	loop_timer_set(g->s->loop, timer, loop_now(g->s->loop) + GATE_RENEW_NS);
}

static int
gate_refuse(const struct gate *g, int rc, const char *failed, char *why,
    size_t size)
{
	snprintf(why, size, "sync_bind: \"%s\": \"%s\": %s",
	    conf_text(g->s->conf, CONF_SYNC_BIND), failed,
	    rc == KV_ENOTFOUND ? "expected an address of this host"
			       : err_text(rc));
	return rc;
}

/* preferred: 0 for none. */
static int
gate_listen(struct gate *g, uint16_t preferred, char *why, size_t size)
{
	uint16_t wanted = preferred != 0 ? preferred : gate_known_port(g);
	char failed[SOCK_TEXT_MAX] = "";
	int rc;

	rc = doors_open(g, &g->own, wanted, failed);
	if (rc == KV_EBUSY || rc == KV_EACCESS) {
		if (preferred != 0)
			log_warn("sync port taken port=%u effect=\"another "
				 "one is used\"",
			    preferred);
		rc = doors_open_any(g, &g->own, failed);
	}
	if (rc < 0)
		return gate_refuse(g, rc, failed, why, size);
	log_info("listen sync port=%u address=%s", g->own.port,
	    conf_text(g->s->conf, CONF_SYNC_BIND));
	gate_publish(g);
	loop_timer_set(g->s->loop, &g->renew,
	    loop_now(g->s->loop) + GATE_RENEW_NS);
	if (g->own.port != gate_known_port(g))
		gate_take_over(&g->take_over);
	return KV_OK;
}

int
gate_open(struct syncd *s, struct gate **out, char *why, size_t size)
{
	struct gate *g = calloc(1, sizeof(*g));
	int rc;

	if (g == NULL)
		return KV_ENOMEM;
	g->s = s;
	g->again.expired = gate_accept_again;
	g->take_over.expired = gate_take_over;
	g->renew.expired = gate_renew;
	gate_watch_ends(g);
	if ((rc = guests_new(s, &g->guests)) < 0 ||
	    (rc = gate_listen(g, members_own_port(s->members), why, size)) < 0)
		gate_close(g);
	else
		*out = g;
	return rc;
}

void
gate_shut(struct gate *g)
{
	loop_timer_clear(g->s->loop, &g->again);
	loop_timer_clear(g->s->loop, &g->take_over);
	loop_timer_clear(g->s->loop, &g->renew);
	doors_close(g, &g->own);
	doors_close(g, &g->known);
}

int
gate_rebind(struct gate *g, char *why, size_t size)
{
	uint16_t port = g->own.port;

	gate_shut(g);
	return gate_listen(g, port, why, size);
}

void
gate_close(struct gate *g)
{
	if (g == NULL)
		return;
	gate_shut(g);
	gate_unwatch_ends(g);
	guests_free(g->guests);
	free(g);
}
