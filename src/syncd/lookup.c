/* SPDX-License-Identifier: ISC */
/* Looking hosts up with c-ares.
 *
 * Each look-up has a channel of its own: it reads resolv.conf and hosts afresh,
 * and cancelling is destroying.  Nothing is freed within c-ares' callbacks;
 * what is over is told from a timer. */

#include "syncd/lookup.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define LOOKUP_SOCKETS 16
#define LOOKUP_TRY_MS 1500
#define LOOKUP_TRIES 2
#define LOOKUP_SERVICES_MAX 16
/* An address is known, the service record is not: servers that drop questions
 * they do not like exist. */
#define LOOKUP_GRACE_NS 500000000u

struct lookup_socket {
	struct loop_source source;
	struct lookup *l;
};

struct lookup {
	struct loop *loop;
	ares_channel channel;
	struct lookup_socket sockets[LOOKUP_SOCKETS];
	struct timer timeout; /* of c-ares */
	struct timer over;
	struct lookup **self;
	lookup_done *done;
	void *arg;
	uint16_t port;
	unsigned asked; /* questions out */
	unsigned services;
	bool has_channel;
	struct lookup_answer by_host, by_service;
};

/* ---- sockets and time ---- */

static void
lookup_arm(struct lookup *l)
{
	struct timeval tv, *left = ares_timeout(l->channel, NULL, &tv);
	uint64_t ns;

	if (left == NULL) {
		loop_timer_clear(l->loop, &l->timeout);
		return;
	}
	ns = (uint64_t)left->tv_sec * 1000000000 +
	    (uint64_t)left->tv_usec * 1000;
	loop_timer_set(l->loop, &l->timeout, loop_now(l->loop) + ns);
}

static void
lookup_timed_out(struct timer *timer)
{
	struct lookup *l = loop_owner(timer, struct lookup, timeout);

	ares_process_fd(l->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	lookup_arm(l);
}

static void
lookup_ready(struct loop_source *source, uint32_t events)
{
	struct lookup *l = loop_owner(source, struct lookup_socket, source)->l;
	int fd = source->fd;

	ares_process_fd(l->channel,
	    events & ~(uint32_t)EPOLLOUT ? fd : ARES_SOCKET_BAD,
	    events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
	lookup_arm(l);
}

static struct lookup_socket *
lookup_find(struct lookup *l, int fd)
{
	size_t i;

	for (i = 0; i < LOOKUP_SOCKETS; i++) {
		if (l->sockets[i].source.fd == fd)
			return &l->sockets[i];
	}
	return NULL;
}

/* c-ares opens, uses or closes a socket.  One too many is not watched: its
 * question runs into the timeout. */
static void
lookup_socket_changed(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct lookup *l = arg;
	struct lookup_socket *s = lookup_find(l, fd);
	uint32_t events = (readable ? (uint32_t)EPOLLIN : 0) |
	    (writable ? (uint32_t)EPOLLOUT : 0);

	if (s != NULL && events == 0) {
		loop_remove(l->loop, &s->source);
		s->source.fd = -1;
	} else if (s != NULL) {
		(void)!loop_modify(l->loop, &s->source, events);
	} else if (events != 0 && (s = lookup_find(l, -1)) != NULL) {
		s->source.fd = fd;
		s->source.ready = lookup_ready;
		s->source.events = events;
		(void)!loop_add(l->loop, &s->source);
	}
}

/* ---- the end ---- */

void
lookup_cancel(struct lookup *l)
{
	if (l == NULL)
		return;
	*l->self = NULL;
	l->done = NULL; /* c-ares calls back what it gives up */
	if (l->has_channel)
		ares_destroy(l->channel);
	loop_timer_clear(l->loop, &l->timeout);
	loop_timer_clear(l->loop, &l->over);
	free(l);
}

static void
lookup_over(struct timer *timer)
{
	struct lookup *l = loop_owner(timer, struct lookup, over);
	struct lookup_answer answer;
	lookup_done *done = l->done;
	void *arg = l->arg;

	answer = l->by_service.count > 0 ? l->by_service : l->by_host;
	lookup_cancel(l);
	done(arg, &answer);
}

/* One question less. */
static void
lookup_answered(struct lookup *l)
{
	l->asked--;
	if (l->asked == 0)
		loop_timer_set(l->loop, &l->over, 0);
	else if (l->by_host.count > 0 && l->services == 0)
		loop_timer_set(l->loop, &l->over,
		    loop_now(l->loop) + LOOKUP_GRACE_NS);
}

/* ---- answers ---- */

static void
lookup_add(struct lookup_answer *to, const struct sockaddr *from, uint16_t port)
{
	union lookup_address *a = &to->address[to->count];

	if (to->count == LOOKUP_MAX)
		return;
	memset(a, 0, sizeof(*a));
	if (from->sa_family == AF_INET) {
		memcpy(&a->in4, from, sizeof(a->in4));
		a->in4.sin_port = htons(port);
	} else if (from->sa_family == AF_INET6) {
		memcpy(&a->in6, from, sizeof(a->in6));
		a->in6.sin6_port = htons(port);
	} else {
		return;
	}
	to->count++;
}

static void
lookup_take(struct lookup_answer *to, int status, struct ares_addrinfo *info,
    uint16_t port)
{
	struct ares_addrinfo_node *node;

	if (status != ARES_SUCCESS)
		snprintf(to->why, sizeof(to->why), "%s", ares_strerror(status));
	if (info == NULL)
		return;
	for (node = info->nodes; node != NULL; node = node->ai_next)
		lookup_add(to, node->ai_addr, port);
	ares_freeaddrinfo(info);
}

static void
lookup_host_done(void *arg, int status, int timeouts,
    struct ares_addrinfo *info)
{
	struct lookup *l = arg;

	(void)timeouts;
	lookup_take(&l->by_host, status, info, l->port);
	if (l->done != NULL)
		lookup_answered(l);
}

struct lookup_target {
	struct lookup *l;
	uint16_t port;
};

static void
lookup_target_done(void *arg, int status, int timeouts,
    struct ares_addrinfo *info)
{
	struct lookup_target *t = arg;
	struct lookup *l = t->l;

	(void)timeouts;
	lookup_take(&l->by_service, status, info, t->port);
	free(t);
	if (l->done != NULL)
		lookup_answered(l);
}

static void
lookup_ask_host(struct lookup *l, const char *host, ares_addrinfo_callback done,
    void *arg)
{
	struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM };

	l->asked++;
	ares_getaddrinfo(l->channel, host, NULL, &hints, done, arg);
}

/* The targets of a service record, as they stand in the answer: which of them
 * is preferred matters little to who wants to know them all. */
static void
lookup_services_done(void *arg, int status, int timeouts, unsigned char *bytes,
    int len)
{
	struct ares_srv_reply *list = NULL, *srv;
	struct lookup *l = arg;
	unsigned n = 0;

	(void)timeouts;
	if (status == ARES_SUCCESS && l->done != NULL &&
	    ares_parse_srv_reply(bytes, len, &list) != ARES_SUCCESS)
		list = NULL;
	for (srv = list; srv != NULL && n < LOOKUP_SERVICES_MAX;
	     srv = srv->next, n++) {
		struct lookup_target *t = malloc(sizeof(*t));

		if (t == NULL)
			break;
		*t = (struct lookup_target){ l, srv->port };
		l->services++;
		lookup_ask_host(l, srv->host, lookup_target_done, t);
	}
	if (list != NULL)
		ares_free_data(list);
	if (l->done != NULL)
		lookup_answered(l);
}

/* ---- asking ---- */

static bool
lookup_is_number(struct lookup *l, const char *host)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *list;

	if (getaddrinfo(host, NULL, &hints, &list) != 0)
		return false;
	lookup_add(&l->by_host, list->ai_addr, l->port);
	freeaddrinfo(list);
	return true;
}

static int
lookup_open(struct lookup *l)
{
	struct ares_options options = { .timeout = LOOKUP_TRY_MS,
		.tries = LOOKUP_TRIES,
		.sock_state_cb = lookup_socket_changed,
		.sock_state_cb_data = l };
	int rc;

	/* It fails without memory only. */
	rc = ares_init_options(&l->channel, &options,
	    ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
	l->has_channel = rc == ARES_SUCCESS;
	return l->has_channel ? KV_OK : KV_ENOMEM;
}

static void
lookup_ask(struct lookup *l, const char *host, bool services)
{
	char service[300];

	l->asked++; /* so that no answer is the last one yet */
	lookup_ask_host(l, host, lookup_host_done, l);
	if (services && strchr(host, '.') != NULL) {
		snprintf(service, sizeof(service), "%s%s",
		    host[0] == '_' ? "" : "_kv._tcp.", host);
		l->asked++;
		ares_query(l->channel, service, ns_c_in, ns_t_srv,
		    lookup_services_done, l);
	}
	lookup_arm(l);
	lookup_answered(l);
}

int
lookup_start(struct loop *loop, const struct lookup_question *q,
    struct lookup **out)
{
	struct lookup *l = calloc(1, sizeof(*l));
	size_t i;
	int rc;

	if (l == NULL)
		return KV_ENOMEM;
	l->loop = loop;
	l->timeout.expired = lookup_timed_out;
	l->over.expired = lookup_over;
	l->done = q->done;
	l->arg = q->arg;
	l->port = q->port;
	l->self = out;
	*out = l;
	for (i = 0; i < LOOKUP_SOCKETS; i++)
		l->sockets[i] =
		    (struct lookup_socket){ .source = { .fd = -1 }, .l = l };
	if (lookup_is_number(l, q->host)) {
		loop_timer_set(loop, &l->over, 0);
		return KV_OK;
	}
	if ((rc = lookup_open(l)) < 0) {
		lookup_cancel(l);
		return rc;
	}
	lookup_ask(l, q->host, q->services);
	return KV_OK;
}

/* ---- texts ---- */

socklen_t
lookup_size(const union lookup_address *a)
{
	return a->any.sa_family == AF_INET ? sizeof(a->in4) : sizeof(a->in6);
}

void
lookup_text(const union lookup_address *a, char to[LOOKUP_TEXT])
{
	char host[INET6_ADDRSTRLEN];

	if (a->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a->in4.sin_addr, host, sizeof(host));
		snprintf(to, LOOKUP_TEXT, "%s:%u", host,
		    ntohs(a->in4.sin_port));
	} else {
		inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof(host));
		snprintf(to, LOOKUP_TEXT, "[%s]:%u", host,
		    ntohs(a->in6.sin6_port));
	}
}
