/* SPDX-License-Identifier: ISC */
/* Nodes out of DNS. */

#include "syncd/watch.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/rng.h"
#include "syncd/lookup.h"

#define WATCH_NS 4000000000u /* and up to half as much again, at random */

struct watch {
	struct syncd *s;
	struct lookup *lookup; /* NULL: none is under way */
	struct timer timer;
	bool has_failed;
	bool was_full;
};

static void
watch_later(struct watch *w)
{
	loop_timer_set(w->s->loop, &w->timer,
	    loop_now(w->s->loop) + WATCH_NS +
		rng_next(&w->s->seed) % (WATCH_NS / 2));
}

static void
watch_failed(struct watch *w, const char *why)
{
	if (!w->has_failed)
		log_warn("dns failed name=%s reason=\"%s\" effect=\"the last "
			 "answer counts\"",
		    conf_text(w->s->conf, CONF_DNS), why);
	w->has_failed = true;
}

static void
watch_answered(void *arg, const struct lookup_answer *answer)
{
	struct watch *w = arg;
	struct syncd *s = w->s;
	char host[INET6_ADDRSTRLEN];
	bool full = false;
	size_t i;

	watch_later(w);
	if (answer->count == 0) {
		watch_failed(w, answer->why);
		return;
	}
	if (w->has_failed)
		log_info("dns answers name=%s addresses=%zu",
		    conf_text(s->conf, CONF_DNS), answer->count);
	w->has_failed = false;
	members_begin(s->members, MEMBER_OF_DNS);
	for (i = 0; i < answer->count; i++) {
		const union lookup_address *a = &answer->address[i];
		bool v4 = a->any.sa_family == AF_INET;
		const void *bytes = v4 ? (const void *)&a->in4.sin_addr
				       : (const void *)&a->in6.sin6_addr;

		inet_ntop(a->any.sa_family, bytes, host, sizeof(host));
		full |= members_add(s->members, MEMBER_OF_DNS, host,
			    ntohs(v4 ? a->in4.sin_port : a->in6.sin6_port),
			    syncd_now(s)) < 0;
	}
	members_end(s->members, MEMBER_OF_DNS);
	if (full && !w->was_full)
		log_warn("dns ignored in part name=%s reason=\"more than %d\"",
		    conf_text(s->conf, CONF_DNS), MEMBERS_MAX);
	w->was_full = full;
	syncd_look(s);
}

static void
watch_ask(struct timer *timer)
{
	struct watch *w = loop_owner(timer, struct watch, timer);
	struct syncd *s = w->s;
	const struct lookup_question q = {
		.host = conf_text(s->conf, CONF_DNS),
		.port = (uint16_t)conf_u64(s->conf, CONF_SYNC_PORT),
		.services = true,
		.done = watch_answered,
		.arg = w,
	};

	if (lookup_start(s->loop, &q, &w->lookup) < 0)
		watch_later(w);
}

int
watch_open(struct syncd *s, struct watch **out)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return KV_ENOMEM;
	w->s = s;
	w->timer.expired = watch_ask;
	loop_timer_set(s->loop, &w->timer, 0);
	*out = w;
	return KV_OK;
}

void
watch_close(struct watch *w)
{
	if (w == NULL)
		return;
	lookup_cancel(w->lookup);
	loop_timer_clear(w->s->loop, &w->timer);
	members_begin(w->s->members, MEMBER_OF_DNS);
	members_end(w->s->members, MEMBER_OF_DNS);
	free(w);
}
