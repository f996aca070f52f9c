/* SPDX-License-Identifier: ISC */
/* The links as the services see them, and whose turn it is. */

#include "sync/services.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "sync/service.h"

static struct service_peer *
service_peer_of(const struct services *s, const struct replica_link *l)
{
	struct service_peer *p;

	DL_FOREACH(s->peers, p)
		if (p->link == l)
			return p;
	return NULL;
}

bool
services_name_fits(const char *name, const char *whole)
{
	size_t n = strlen(name);

	return strncmp(name, whole, n) == 0 &&
	    (whole[n] == '\0' || whole[n] == '@');
}

struct service_peer *
service_peer_named(const struct services *s, const char *name)
{
	struct service_peer *p;

	DL_FOREACH(s->peers, p)
		if (services_name_fits(name, p->name))
			return p;
	return NULL;
}

static void
service_up(void *user, struct replica_link *l)
{
	struct services *s = user;
	struct replica_status status;
	struct service_peer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return; /* replication goes on without us */
	s->config.ops->look(s->config.user, l, &status);
	p->link = l;
	p->services = s;
	memcpy(p->name, status.name, sizeof(p->name));
	p->inc = status.inc;
	p->number = ++s->last_number;
	messages_up(p);
	DL_APPEND(s->peers, p);
	s->peer_count++;
}

static void
service_peer_free(struct service_peer *p)
{
	struct services *s = p->services;

	DL_DELETE(s->peers, p);
	s->peer_count--;
	asks_down(p);
	jobs_down(p);
	presence_down(p);
	parts_end(p);
	buf_fini(&p->args);
	buf_fini(&p->vector);
	free(p);
}

static void
service_down(void *user, struct replica_link *l)
{
	struct service_peer *p = service_peer_of(user, l);

	if (p != NULL)
		service_peer_free(p);
}

static int
service_receive(void *user, struct replica_link *l, const struct frame *f)
{
	static const struct {
		enum frame_type type;
		int (*receive)(struct service_peer *p, const struct frame *f);
	} table[] = {
		{ FRAME_BARRIER, barrier_receive },
		{ FRAME_BARRIER_OK, waits_answer },
		{ FRAME_CALL, jobs_receive },
		{ FRAME_FLOW, jobs_flow },
		{ FRAME_REPLY, asks_receive },
		{ FRAME_PRESENCE, presence_receive },
		{ FRAME_MESSAGE, messages_receive },
		{ FRAME_PART, parts_receive },
	};
	struct service_peer *p = service_peer_of(user, l);
	size_t i;

	for (i = 0; p != NULL && i < sizeof(table) / sizeof(*table); i++)
		if (table[i].type == f->type)
			return table[i].receive(p, f);
	return KV_OK;
}

static int
service_send(void *user, struct replica_link *l, struct buf *out)
{
	static int (*const table[])(struct service_peer * p,
	    struct buf * out) = {
		waits_send,
		barrier_send,
		asks_send,
		messages_send,
		jobs_send,
		presence_send,
	};
	const unsigned count = sizeof(table) / sizeof(*table);
	struct service_peer *p = service_peer_of(user, l);
	unsigned i;
	int rc = KV_EAGAIN;

	for (i = 0; p != NULL && rc == KV_EAGAIN && i < count; i++)
		rc = table[p->turn++ % count](p, out);
	return rc;
}

int
services_new(const struct services_config *config, struct services **out)
{
	struct services *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return KV_ENOMEM;
	s->config = *config;
	s->hooks = (struct replica_services){
		.user = s,
		.up = service_up,
		.down = service_down,
		.receive = service_receive,
		.send = service_send,
	};
	ticks_init(&s->seen);
	if (messages_init(s) < 0) {
		services_free(s);
		return KV_ENOMEM;
	}
	*out = s;
	return KV_OK;
}

void
services_free(struct services *s)
{
	struct service_peer *p, *next;

	if (s == NULL)
		return;
	DL_FOREACH_SAFE(s->peers, p, next)
		service_peer_free(p);
	asks_fini(s);
	presence_fini(s);
	messages_fini(s);
	waits_fini(s);
	ticks_fini(&s->seen);
	free(s);
}

const struct replica_services *
services_hooks(const struct services *s)
{
	return &s->hooks;
}

int
services_turn(struct services *s, uint64_t now_ms, uint64_t *next_ms)
{
	s->now_ms = now_ms;
	asks_turn(s, next_ms);
	jobs_turn(s, next_ms);
	presence_turn(s, next_ms);
	parts_turn(s, next_ms);
	return waits_turn(s, next_ms);
}

bool
services_has_peers(const struct services *s)
{
	return s->peers != NULL;
}

const char *
services_end_text(enum services_end end)
{
	static const char *const texts[] = {
#define X(name, text) [name] = (text),
		SERVICES_ENDS(X)
#undef X
	};

	return texts[end];
}
