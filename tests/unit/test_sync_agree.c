/* SPDX-License-Identifier: ISC */
/* GLOBAL compare-and-set on the real replication: set a key that is not there,
 * pass a barrier, look whether it is still mine.  Whatever is cut, late or dies
 * meanwhile, of all who try nobody wins a key that another one has won. */

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "sync/services.h"
#include "sync_nodes.h"

#define NODES 3
#define KEYS 6
#define TRIES 8 /* of a node, at once */
#define STEPS 1500
#define RUNS 300

struct
try {
	uint64_t wait; /* 0: none */
	unsigned key;
	struct stamp mine;
};

struct agent {
	struct services *services;
	struct try tries[TRIES];
};

/* The world of one run; the services' callbacks find it here. */
static struct {
	struct nodes *nodes;
	struct agent agents[NODES];
	unsigned winners[KEYS];
	unsigned attempts, won;
} w;

static size_t
index_of(const struct agent *a)
{
	return (size_t)(a - w.agents);
}

static const struct record *
record_at(size_t i, unsigned key)
{
	char name[2] = { (char)('a' + key), '\0' };

	return sim_find(&w.nodes->node[i].store.now,
	    sim_bucket_id(slice_of("b")), slice_of(name));
}

static void
agent_look(void *user, const struct replica_link *l, struct replica_status *out)
{
	size_t i = index_of(user);

	replica_status(w.nodes->node[i].replica, l, out);
}

static void
agent_settled(void *user, uint64_t wait, unsigned count, const char *missing)
{
	struct agent *a = user;
	size_t i = index_of(a), t;
	const struct record *r;

	(void)count;
	for (t = 0; t < TRIES; t++) {
		struct try *try = &a->tries[t];

		if (try->wait != wait)
			continue;
		try->wait = 0;
		r = record_at(i, try->key);
		if (missing != NULL || r == NULL ||
		    stamp_compare(r->stamp, try->mine) != 0)
			return;
		/* Its answer waits for the disk. */
		sim_sync(&w.nodes->node[i].store);
		w.winners[try->key]++;
		w.won++;
		return;
	}
	fail_msg("%s", "an answer to no question");
}

static void
agent_turn(struct nodes *n, size_t i)
{
	struct sim_store *store = &n->node[i].store;
	uint64_t next;

	if (store->wants_tree) {
		sim_sync(store);
		sim_checkpoint(store, UINT_MAX);
	}
	assert_int_equal(services_turn(w.agents[i].services, n->now_ms, &next),
	    KV_OK);
}

/* A process with services begins; its store is there. */
static void
agent_start(size_t i)
{
	static const struct services_ops ops = {
		.look = agent_look,
		.settled = agent_settled,
	};
	struct node *a = &w.nodes->node[i];
	struct services_config config = {
		.inc = w.nodes->next_inc, /* that the node will have */
		.store = sim_store_ops(&a->store),
		.ops = &ops,
		.user = &w.agents[i],
	};

	memset(&w.agents[i], 0, sizeof(w.agents[i]));
	assert_int_equal(services_new(&config, &w.agents[i].services), KV_OK);
	a->config.tuning.credit = 256; /* streams stall, as large ones do */
	a->config.tuning.mark_ops = 2;
	a->config.services = services_hooks(w.agents[i].services);
	nodes_start(w.nodes, i);
}

static void
agent_dies(size_t i, bool power)
{
	nodes_stop(w.nodes, i);
	services_free(w.agents[i].services);
	sim_crash(&w.nodes->node[i].store, power);
	agent_start(i);
}

static void
agent_tries(size_t i, unsigned key)
{
	static const struct kv_slice all[] = { { "n0", 2 }, { "n1", 2 },
		{ "n2", 2 } };
	struct kv_slice others[NODES];
	char name[2] = { (char)('a' + key), '\0' }, value[16];
	struct agent *a = &w.agents[i];
	size_t t = 0, j, count = 0;

	while (t < TRIES && a->tries[t].wait != 0)
		t++;
	if (t == TRIES || record_at(i, key) != NULL)
		return;
	snprintf(value, sizeof(value), "%zu.%u", i, w.attempts++);
	nodes_put(w.nodes, i, name, value);
	for (j = 0; j < NODES; j++)
		if (j != i)
			others[count++] = all[j];
	a->tries[t].key = key;
	a->tries[t].mine = record_at(i, key)->stamp;
	assert_int_equal(services_barrier(a->services, a->tries[t].mine.tick,
			     others, count, w.nodes->now_ms + 2000,
			     &a->tries[t].wait),
	    KV_OK);
}

/* Writes that nobody competes for, for the streams to be busy with. */
static void
agent_noise(size_t i, uint64_t random)
{
	static const char value[] =
	    "a value that is long beside the credit of a stream";
	char name[] = { 'z', (char)('a' + random % 8), '\0' };

	nodes_put(w.nodes, i, name, value);
}

/* Of a thousand steps; the rest are turns.  Each run has its own weather: how
 * fast time goes and disks are, how often links and processes fail. */
struct weather {
	unsigned syncs, tries, parts, joins, deaths, moments, noise;
};

static struct weather
any_weather(uint64_t *seed)
{
	return (struct weather){
		.syncs = (unsigned)(20 + rng_next(seed) % 200),
		.tries = (unsigned)(10 + rng_next(seed) % 100),
		.parts = (unsigned)(rng_next(seed) % 40),
		.joins = (unsigned)(30 + rng_next(seed) % 60),
		.deaths = (unsigned)(rng_next(seed) % 10),
		.moments = (unsigned)(5 + rng_next(seed) % 100),
		.noise = (unsigned)(rng_next(seed) % 200),
	};
}

static void
any_step(const struct weather *v, uint64_t *seed)
{
	size_t i = rng_next(seed) % NODES, j = (i + 1) % NODES;
	unsigned what = (unsigned)(rng_next(seed) % 1000);

	if (what < v->syncs)
		sim_sync(&w.nodes->node[i].store);
	else if ((what -= v->syncs) < v->tries)
		agent_tries(i, (unsigned)(rng_next(seed) % KEYS));
	else if ((what -= v->tries) < v->parts)
		nodes_part(w.nodes, i, j);
	else if ((what -= v->parts) < v->joins) {
		if (w.nodes->node[i].ends[j].link == NULL)
			nodes_join(w.nodes, i, j);
	} else if ((what -= v->joins) < v->deaths)
		agent_dies(i, rng_next(seed) % 2);
	else if ((what -= v->deaths) < v->moments)
		w.nodes->now_ms += rng_next(seed) % 20;
	else if ((what -= v->moments) < v->noise)
		agent_noise(i, rng_next(seed));
	else
		nodes_turn(w.nodes, i);
}

static void
one_run(uint64_t seed)
{
	struct weather weather = any_weather(&seed);
	size_t i, key;

	memset(w.winners, 0, sizeof(w.winners));
	w.nodes = nodes_new(NODES);
	w.nodes->in_turn = agent_turn;
	for (i = 0; i < NODES; i++) {
		nodes_stop(w.nodes, i);
		agent_start(i);
	}
	sim_checkpoint(&w.nodes->node[0].store, UINT_MAX);
	for (i = 0; i < NODES; i++)
		nodes_join(w.nodes, i, (i + 1) % NODES);
	nodes_pass(w.nodes, 1000); /* all have the bucket */
	for (i = 0; i < NODES; i++)
		sim_sync(&w.nodes->node[i].store);
	for (i = 0; i < STEPS; i++)
		any_step(&weather, &seed);
	nodes_pass(w.nodes, 3000);
	for (key = 0; key < KEYS; key++)
		if (w.winners[key] > 1)
			fail_msg("key %zu has %u winners", key, w.winners[key]);
	for (i = 0; i < NODES; i++) {
		nodes_stop(w.nodes, i);
		services_free(w.agents[i].services);
	}
	nodes_free(w.nodes);
}

static void
nobody_wins_what_another_one_has_won(void **state)
{
	const char *text = getenv("KV_SEED"), *runs = getenv("KV_RUNS");
	uint64_t seed = text == NULL ? rng_u64() : strtoull(text, NULL, 10);
	unsigned i, n = runs == NULL ? RUNS : (unsigned)atoi(runs);

	(void)state;
	for (i = 0; i < n; i++) {
		print_message("KV_SEED=%llu KV_RUNS=1\n",
		    (unsigned long long)seed);
		one_run(seed);
		seed = rng_next(&seed);
	}
	print_message("%u attempts, %u won\n", w.attempts, w.won);
	assert_true(w.won > 0 || n < RUNS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_wins_what_another_one_has_won),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
