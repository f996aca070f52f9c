/* SPDX-License-Identifier: ISC */
/* Nodes, wires and a clock. */

#include "sync_nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START_MS 1000000000000u /* wall */
#define STEP_MS 5

struct nodes *
nodes_new(size_t count)
{
	struct nodes *n = calloc(1, sizeof(*n));
	size_t i;

	assert_non_null(n);
	n->count = count;
	n->now_ms = 1;
	n->next_inc = 100;
	for (i = 0; i < count; i++) {
		sim_store_init(&n->node[i].store, &n->arena, 10 + i);
		n->node[i].config.tuning.has_no_digests = true;
		nodes_start(n, i);
	}
	assert_int_equal(sim_create(&n->node[0].store, slice_of("b"), 0),
	    KV_OK);
	sim_sync(&n->node[0].store);
	return n;
}

void
nodes_free(struct nodes *n)
{
	size_t i;

	for (i = 0; i < n->count; i++)
		nodes_stop(n, i);
	arena_fini(&n->arena);
	free(n);
}

int
nodes_two(void **state)
{
	*state = nodes_new(2);
	return 0;
}

int
nodes_three(void **state)
{
	*state = nodes_new(3);
	return 0;
}

int
nodes_done(void **state)
{
	nodes_free(*state);
	return 0;
}

static uint64_t
wall(const struct nodes *n, size_t i)
{
	return START_MS + n->now_ms + (uint64_t)n->node[i].skew_ms;
}

void
nodes_start(struct nodes *n, size_t i)
{
	struct node *a = &n->node[i];
	struct sim_store *s = &a->store;
	struct buf lineage;
	unsigned j;

	sim_store_start(s, n->next_inc++, wall(n, i));
	buf_init(&lineage);
	for (j = 0; j < s->lineage_count; j++)
		assert_int_equal(item_put_row(&lineage,
				     (struct item_row){ s->lineage[j].inc,
					 s->lineage[j].tick }),
		    KV_OK);
	snprintf(a->name, sizeof(a->name), "n%zu@host", i);
	a->config.uid = s->uid;
	a->config.inc = s->inc;
	a->config.start = s->start;
	a->config.name = a->name;
	a->config.timeout_ms = 10000;
	if (a->config.value_max == 0)
		a->config.value_max = 1u << 20;
	a->config.lineage = buf_slice(&lineage);
	a->config.seed = i + 1;
	assert_int_equal(replica_new(&a->config, sim_store_ops(s), &a->replica),
	    KV_OK);
	buf_fini(&lineage);
}

static void
clear_end(struct wire_end *e)
{
	while (e->count > 0) {
		buf_fini(&e->queue[e->first]);
		e->first = (e->first + 1) % NODES_QUEUE;
		e->count--;
	}
	e->link = NULL;
	e->is_cut = false;
}

void
nodes_part(struct nodes *n, size_t i, size_t j)
{
	struct wire_end *a = &n->node[i].ends[j], *b = &n->node[j].ends[i];

	if (a->link != NULL)
		replica_close(n->node[i].replica, a->link);
	if (b->link != NULL)
		replica_close(n->node[j].replica, b->link);
	clear_end(a);
	clear_end(b);
}

void
nodes_stop(struct nodes *n, size_t i)
{
	size_t j;

	for (j = 0; j < n->count; j++)
		nodes_part(n, i, j);
	replica_free(n->node[i].replica);
	n->node[i].replica = NULL;
}

void
nodes_join(struct nodes *n, size_t i, size_t j)
{
	struct kv_slice any = { "", 0 };

	nodes_part(n, i, j);
	assert_int_equal(replica_open(n->node[i].replica, true, any,
			     &n->node[i].ends[j].link),
	    KV_OK);
	assert_int_equal(replica_open(n->node[j].replica, false, any,
			     &n->node[j].ends[i].link),
	    KV_OK);
}

/* ---- turns ---- */

static void
receive(struct nodes *n, size_t i, size_t j)
{
	struct node *a = &n->node[i];
	struct wire_end *e = &a->ends[j];
	struct buf *f;

	while (e->count > 0 && !e->is_cut && e->link != NULL &&
	    replica_wants_input(a->replica, e->link)) {
		f = &e->queue[e->first];
		if (replica_receive(a->replica, e->link, buf_slice(f)) < 0)
			e->is_cut = true;
		buf_fini(f);
		e->first = (e->first + 1) % NODES_QUEUE;
		e->count--;
	}
}

static void
send_frames(struct nodes *n, size_t i, size_t j)
{
	struct node *a = &n->node[i];
	struct wire_end *e = &a->ends[j], *to = &n->node[j].ends[i];
	struct buf *f;
	int rc = KV_OK;

	while (e->link != NULL && to->count < NODES_QUEUE && rc == KV_OK) {
		f = &to->queue[(to->first + to->count) % NODES_QUEUE];
		buf_init(f);
		rc = replica_send(a->replica, e->link, f);
		if (rc < 0) {
			buf_fini(f);
			break;
		}
		n->frames++;
		n->by_type[(unsigned char)f->data[0]]++;
		if (to->link == NULL ||
		    (n->filter != NULL && !n->filter(n, i, j, buf_slice(f))))
			buf_fini(f);
		else
			to->count++;
	}
	if (rc == KV_ECLOSED)
		e->is_cut = true;
	else if (rc < 0)
		assert_int_equal(rc, KV_EAGAIN);
}

static void
take_events(struct node *a)
{
	struct replica_event e;

	while (replica_take_event(a->replica, &e))
		if (a->event_count < NODES_EVENTS)
			a->events[a->event_count++] = e;
}

void
nodes_turn(struct nodes *n, size_t i)
{
	struct node *a = &n->node[i];
	struct replica_time now = { n->now_ms, wall(n, i) };
	size_t j;

	if (a->replica == NULL)
		return;
	a->store.wall_ms = wall(n, i);
	assert_int_equal(replica_begin(a->replica, now), KV_OK);
	for (j = 0; j < n->count; j++)
		receive(n, i, j);
	assert_int_equal(replica_end(a->replica, &a->next_ms), KV_OK);
	if (n->in_turn != NULL)
		n->in_turn(n, i);
	for (j = 0; j < n->count; j++)
		send_frames(n, i, j);
	replica_release(a->replica);
	take_events(a);
	for (j = 0; j < n->count; j++)
		if (a->ends[j].is_cut) {
			replica_close(a->replica, a->ends[j].link);
			clear_end(&a->ends[j]);
		}
	take_events(a);
}

/* What came over a wire whose other end is gone is the end of this one. */
static void
hang_up(struct nodes *n)
{
	size_t i, j;

	for (i = 0; i < n->count; i++)
		for (j = 0; j < n->count; j++)
			if (n->node[i].ends[j].link != NULL &&
			    n->node[j].ends[i].link == NULL &&
			    n->node[i].ends[j].count == 0)
				nodes_part(n, i, j);
}

void
nodes_settle(struct nodes *n)
{
	size_t before, i, rounds = 0;

	do {
		before = n->frames;
		for (i = 0; i < n->count; i++)
			nodes_turn(n, i);
		hang_up(n);
		assert_true(++rounds < 10000);
	} while (n->frames != before);
}

void
nodes_pass(struct nodes *n, uint64_t ms)
{
	uint64_t end = n->now_ms + ms;

	nodes_settle(n);
	while (n->now_ms < end) {
		n->now_ms += STEP_MS;
		nodes_settle(n);
	}
}

/* ---- looking in ---- */

bool
nodes_are_up(const struct nodes *n, size_t i, size_t j)
{
	struct replica_status s;
	const struct wire_end *e = &n->node[i].ends[j];

	if (e->link == NULL)
		return false;
	replica_status(n->node[i].replica, e->link, &s);
	return s.is_up;
}

size_t
nodes_events(const struct nodes *n, size_t i, enum replica_event_kind kind)
{
	size_t k, count = 0;

	for (k = 0; k < n->node[i].event_count; k++)
		count += n->node[i].events[k].kind == kind;
	return count;
}

void
nodes_put(struct nodes *n, size_t i, const char *key, const char *value)
{
	n->node[i].store.wall_ms = wall(n, i);
	assert_int_equal(sim_put(&n->node[i].store, slice_of("b"),
			     slice_of(key), slice_of(value), 0),
	    KV_OK);
}

void
nodes_put_large(struct nodes *n, size_t i, const char *key, size_t size)
{
	char *value = malloc(size);

	assert_non_null(value);
	memset(value, key[0], size);
	n->node[i].store.wall_ms = wall(n, i);
	assert_int_equal(sim_put(&n->node[i].store, slice_of("b"),
			     slice_of(key), (struct kv_slice){ value, size },
			     0),
	    KV_OK);
	free(value);
}

void
nodes_del(struct nodes *n, size_t i, const char *key)
{
	n->node[i].store.wall_ms = wall(n, i);
	assert_int_equal(sim_del(&n->node[i].store, slice_of("b"),
			     slice_of(key)),
	    KV_OK);
}

bool
nodes_has(const struct nodes *n, size_t i, const char *key)
{
	return sim_find(&n->node[i].store.now, sim_bucket_id(slice_of("b")),
		   slice_of(key)) != NULL;
}

const char *
nodes_get(struct nodes *n, size_t i, const char *key)
{
	static char text[4][256];
	static unsigned which;
	const struct record *r;

	r = sim_find(&n->node[i].store.now, sim_bucket_id(slice_of("b")),
	    slice_of(key));
	if (r == NULL || r->type != RECORD_PUT || r->value.len > 255)
		return NULL;
	which = (which + 1) % 4;
	memcpy(text[which], r->value.data, r->value.len);
	text[which][r->value.len] = '\0';
	return text[which];
}
