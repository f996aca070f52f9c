/* SPDX-License-Identifier: ISC */
/* The life of a node's services; messages and lists of clients. */

#include "agent.h"

#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "tick.h"
#include "world.h"

#define MESSAGE_MAX 150000u

static struct node *
node_of(const struct agent *a)
{
	return &a->w->node[a->node];
}

/* ---- messages ---- */

bool
agent_publish(struct world *w, unsigned x, unsigned p)
{
	struct agent *a = &w->node[x].agent;
	struct frame_message m = { .channel = { "c", 1 } };
	struct sim_store *s = &w->node[x].store;
	size_t n =
	    world_random(w, 40) == 0 ? world_random(w, MESSAGE_MAX) + 8 : 8;
	char *bytes;

	(void)p;
	if (a->services == NULL)
		return false;
	s->wall_ms = world_wall(w, x);
	m.inc = s->inc;
	m.tick = tick_next(s);
	bytes = memset(arena_take(&w->arena, n), (int)n, n);
	bytes_put_be64(bytes + n - 8, m.tick);
	m.payload = (struct kv_slice){ bytes, n };
	w->node[x].timer_ms = w->now_ms;
	return services_publish(a->services, &m) == KV_OK;
}

static void
agent_message(void *user, const struct frame_message *m)
{
	struct agent *a = user;
	int o = ghost_number(&a->w->ghost, m->inc);

	a->w->counts.messages++;
	if (o < 0 || m->inc == node_of(a)->store.inc)
		ghost_violation(&a->w->ghost, GHOST_SERVICE,
		    "n%u: a message of nobody, or its own", a->node);
	else if (m->tick <= a->heard[o])
		ghost_violation(&a->w->ghost, GHOST_SERVICE,
		    "n%u: a message of o%d twice or out of order", a->node, o);
	else if (m->payload.len < 8 ||
	    bytes_get_be64(m->payload.data + m->payload.len - 8) != m->tick)
		ghost_violation(&a->w->ghost, GHOST_SERVICE,
		    "n%u: another message than was published", a->node);
	else
		a->heard[o] = m->tick;
}

/* ---- clients ---- */

bool
agent_client(struct world *w, unsigned x, unsigned p)
{
	struct agent *a = &w->node[x].agent;
	uint64_t *at = &a->clients[world_random(w, AGENT_CLIENTS)];
	struct item_client c = { .name = { "somebody", 8 } };

	(void)p;
	if (a->services == NULL)
		return false;
	w->node[x].timer_ms = w->now_ms;
	if (*at != 0 && world_random(w, 2)) {
		services_client_gone(a->services, *at);
		*at = 0;
		return true;
	}
	if (*at == 0)
		*at = ++a->last_client;
	c.id = *at;
	c.tick = w->now_ms;
	c.name.len = 1 + world_random(w, 8);
	return services_client(a->services, &c) == KV_OK;
}

struct list_sum {
	const char *node; /* NULL: its own */
	uint64_t sum;
};

static int
add_client(void *user, const struct services_presence *p)
{
	struct list_sum *s = user;

	if (s->node == NULL ? p->node == NULL
			    : p->node != NULL && strcmp(p->node, s->node) == 0)
		s->sum += hash_u64(hash_u64(p->client.id) ^
		    hash_u64(p->client.tick + p->client.name.len));
	return KV_OK;
}

/* What the first one thinks of who is connected to the other. */
static uint64_t
clients_of(struct world *w, unsigned at, unsigned of)
{
	struct list_sum s = { at == of ? NULL : w->node[of].name, 0 };

	(void)!services_each_client(w->node[at].agent.services, add_client, &s);
	return s.sum;
}

/* ---- life ---- */

static void
agent_look(void *user, const struct replica_link *l, struct replica_status *out)
{
	replica_status(node_of(user)->replica, l, out);
}

static uint64_t
agent_wall_ms(void *user)
{
	const struct agent *a = user;

	return world_wall(a->w, a->node);
}

void
agent_start(struct world *w, unsigned x, struct replica_config *config)
{
	static const struct services_ops ops = {
		.look = agent_look,
		.answer = agent_answer,
		.answered = agent_answered,
		.run = agent_run,
		.stop = agent_job_stop,
		.room = agent_room,
		.message = agent_message,
		.wall_ms = agent_wall_ms,
		.settled = agent_settled,
	};
	struct agent *a = &w->node[x].agent;
	struct services_config own = {
		.inc = config->inc,
		.value_max = config->value_max,
		.store = sim_store_ops(&w->node[x].store),
		.ops = &ops,
		.user = a,
	};

	memset(a, 0, sizeof(*a));
	a->w = w;
	a->node = x;
	if (services_new(&own, &a->services) < 0)
		ghost_violation(&w->ghost, GHOST_ERROR, "n%u: services_new", x);
	else
		config->services = services_hooks(a->services);
}

void
agent_stop(struct world *w, unsigned x)
{
	services_free(w->node[x].agent.services);
	w->node[x].agent.services = NULL;
}

void
agent_turn(struct world *w, unsigned x, uint64_t now_ms, uint64_t *next_ms)
{
	struct agent *a = &w->node[x].agent;

	if (a->services == NULL)
		return;
	agent_work(a);
	if (services_turn(a->services, now_ms, next_ms) < 0)
		ghost_violation(&w->ghost, GHOST_ERROR, "n%u: services", x);
}

void
agent_check_end(struct world *w)
{
	const struct agent *a;
	unsigned x, y, i;

	for (x = 0; x < w->node_count; x++) {
		a = &w->node[x].agent;
		if (a->services == NULL)
			continue;
		for (i = 0; i < AGENT_ASKS; i++) {
			if (a->asks[i].id != 0)
				ghost_violation(&w->ghost, GHOST_SERVICE,
				    "n%u: a call has no end", x);
		}
		for (i = 0; i < AGENT_TRIES; i++) {
			if (a->tries[i].wait != 0)
				ghost_violation(&w->ghost, GHOST_SERVICE,
				    "n%u: a barrier has no end", x);
		}
		for (y = 0; y < w->node_count; y++) {
			if (y == x || link_count(w, x, y) == 0 ||
			    w->node[y].agent.services == NULL ||
			    clients_of(w, x, y) == clients_of(w, y, y))
				continue;
			ghost_violation(&w->ghost, GHOST_SERVICE,
			    "n%u has another list of n%u's clients", x, y);
		}
	}
}
