/* SPDX-License-Identifier: ISC */
/* Nodes, links, and what they say. */

#include "services_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"

#define PUT(n, ...) assert_int_equal(buf_printf(&(n)->told, __VA_ARGS__), KV_OK)

/* A link is a place in this table: row has it, column is at its other end. */
static char ends[RIG_NODES][RIG_NODES];

static struct replica_link *
link_of(unsigned at, unsigned to)
{
	return (struct replica_link *)(void *)&ends[at][to];
}

static unsigned
other_end(const struct replica_link *l)
{
	return (unsigned)((const char *)(const void *)l - &ends[0][0]) %
	    RIG_NODES;
}

/* All nodes lie in one rig. */
static struct rig *the_rig;

static void
rig_look(void *user, const struct replica_link *l, struct replica_status *out)
{
	struct rig_node *n = user;
	const struct rig_node *o = &the_rig->nodes[other_end(l)];

	*out = (struct replica_status){
		.inc = o->inc,
		.is_up = true,
		.acked_seq = n->acked[other_end(l)],
	};
	snprintf(out->name, sizeof(out->name), "%s", o->name);
}

static void
rig_answer(void *user, uint64_t ask, struct kv_slice bytes)
{
	struct rig_node *n = user;

	n->answer_bytes += bytes.len;
	if (bytes.len < 64)
		PUT(n, "answer %.*s\n", (int)bytes.len, bytes.data);
	if (n->takes)
		services_taken(n->services, ask, bytes.len);
}

static void
rig_answered(void *user, uint64_t ask, enum services_end end,
    struct kv_slice why)
{
	struct rig_node *n = user;

	(void)ask;
	PUT(n, "end %s%s%.*s\n", services_end_text(end), why.len ? " " : "",
	    (int)why.len, why.data);
}

static void
rig_run_job(void *user, uint64_t job, const char *node,
    const struct kv_slice *argv, size_t argc, uint32_t deadline_ms)
{
	struct rig_node *n = user;
	size_t i;

	n->job = job;
	PUT(n, "run %s", node);
	for (i = 0; i < argc; i++) {
		if (argv[i].len < 64)
			PUT(n, " %.*s", (int)argv[i].len, argv[i].data);
		else
			PUT(n, " %zu", argv[i].len);
		if (n->echoes)
			assert_int_equal(services_reply(n->services, job,
					     argv[i]),
			    KV_OK);
	}
	PUT(n, " in %u\n", deadline_ms);
	if (n->echoes)
		services_finish(n->services, job, REPLY_OK, "");
}

static void
rig_stop(void *user, uint64_t job)
{
	struct rig_node *n = user;

	PUT(n, "stop %s\n", job == n->job ? "it" : "another");
}

static void
rig_room(void *user, uint64_t job)
{
	(void)user;
	(void)job;
}

static void
rig_message(void *user, const struct frame_message *m)
{
	struct rig_node *n = user;

	PUT(n, "%.*s: %.*s\n", (int)m->channel.len, m->channel.data,
	    m->payload.len < 64 ? (int)m->payload.len : 0, m->payload.data);
	n->message_bytes += m->payload.len;
	n->message_hash = hash_bytes(m->payload.data, m->payload.len, 0);
}

static uint64_t
rig_wall_ms(void *user)
{
	(void)user;
	return the_rig->now_ms;
}

static void
rig_settled(void *user, uint64_t wait, unsigned count, const char *missing)
{
	struct rig_node *n = user;

	(void)wait;
	PUT(n, "settled %u%s%s\n", count, missing == NULL ? "" : " without ",
	    missing == NULL ? "" : missing);
}

static int
rig_rows(void *self, bool tree,
    int (*each)(void *user, const struct sync_row *row), void *user)
{
	const struct rig_node *n = self;
	size_t i;
	int rc = KV_OK;

	assert_false(tree);
	for (i = 0; i < n->row_count && rc >= 0; i++)
		rc = each(user, &n->rows[i]);
	return rc;
}

static uint64_t
rig_head(void *self)
{
	const struct rig_node *n = self;

	return n->head;
}

void
rig_init(struct rig *r)
{
	static const struct services_ops ops = {
		.look = rig_look,
		.answer = rig_answer,
		.answered = rig_answered,
		.run = rig_run_job,
		.stop = rig_stop,
		.room = rig_room,
		.message = rig_message,
		.wall_ms = rig_wall_ms,
		.settled = rig_settled,
	};
	static const struct sync_store_ops store = {
		.rows = rig_rows,
		.head = rig_head,
	};
	static const char *const names[] = { "a@host", "b@host", "c@host",
		"d@host" };
	unsigned i;

	memset(r, 0, sizeof(*r));
	the_rig = r;
	r->now_ms = 1000;
	for (i = 0; i < RIG_NODES; i++) {
		struct rig_node *n = &r->nodes[i];
		struct services_config config = {
			.inc = 100 + i,
			.value_max = RIG_VALUE_MAX,
			.store = { &store, n },
			.ops = &ops,
			.user = n,
		};

		n->name = names[i];
		n->inc = config.inc;
		n->takes = n->echoes = true;
		buf_init(&n->told);
		assert_int_equal(services_new(&config, &n->services), KV_OK);
	}
}

void
rig_fini(struct rig *r)
{
	unsigned i;

	for (i = 0; i < RIG_NODES; i++) {
		services_free(r->nodes[i].services);
		buf_fini(&r->nodes[i].told);
	}
}

static void
rig_end(struct rig *r, unsigned at, unsigned to, bool up)
{
	const struct replica_services *h =
	    services_hooks(r->nodes[at].services);

	(up ? h->up : h->down)(h->user, link_of(at, to));
	r->linked[at][to] = up;
}

void
rig_link(struct rig *r, unsigned a, unsigned b)
{
	rig_end(r, a, b, true);
	rig_end(r, b, a, true);
}

void
rig_unlink(struct rig *r, unsigned a, unsigned b)
{
	rig_end(r, a, b, false);
	rig_end(r, b, a, false);
}

int
rig_push(struct rig *r, unsigned a, unsigned b, const struct frame *f)
{
	const struct replica_services *h = services_hooks(r->nodes[b].services);
	int rc = h->receive(h->user, link_of(b, a), f);

	if (rc < 0)
		r->nodes[b].failed = rc;
	return rc;
}

/* As many frames as there are; from memory of their own size. */
static bool
rig_move(struct rig *r, unsigned a, unsigned b)
{
	const struct replica_services *h = services_hooks(r->nodes[a].services);
	struct frame f;
	struct buf plain;
	bool moved = false;
	int rc;

	if (!r->linked[a][b])
		return false;
	buf_init(&plain);
	while ((rc = h->send(h->user, link_of(a, b), &plain)) == KV_OK) {
		assert_int_equal(frame_decode(buf_slice(&plain), &f), KV_OK);
		r->nodes[b].frames[f.type]++;
		rc = rig_push(r, a, b, &f);
		buf_fini(&plain);
		moved = true;
		if (rc < 0 && r->is_lax) {
			rig_unlink(r, a, b);
			rig_link(r, a, b);
			return true;
		}
		assert_int_equal(rc, KV_OK);
	}
	assert_int_equal(rc, KV_EAGAIN);
	buf_fini(&plain);
	return moved;
}

void
rig_send(struct rig *r, unsigned a, unsigned b, enum frame_type type,
    unsigned count)
{
	const struct replica_services *h = services_hooks(r->nodes[a].services);
	struct buf plain;
	struct frame f;

	buf_init(&plain);
	while (count > 0) {
		plain.len = 0;
		assert_int_equal(h->send(h->user, link_of(a, b), &plain),
		    KV_OK);
		assert_int_equal(frame_decode(buf_slice(&plain), &f), KV_OK);
		assert_int_equal(rig_push(r, a, b, &f), KV_OK);
		count -= f.type == type;
	}
	buf_fini(&plain);
}

void
rig_run(struct rig *r)
{
	bool moved = true;
	unsigned a, b;

	while (moved) {
		moved = false;
		r->next_ms = UINT64_MAX;
		for (a = 0; a < RIG_NODES; a++)
			assert_int_equal(services_turn(r->nodes[a].services,
					     r->now_ms, &r->next_ms),
			    KV_OK);
		for (a = 0; a < RIG_NODES; a++)
			for (b = 0; b < RIG_NODES; b++)
				moved |= rig_move(r, a, b);
	}
}

void
rig_told(struct rig *r, unsigned n, const char *expected)
{
	struct buf *told = &r->nodes[n].told;

	assert_int_equal(buf_append(told, "", 1), KV_OK);
	assert_string_equal(told->data, expected);
	told->len = 0;
}

/* ---- for cmocka ---- */

int
rig_alone(void **state)
{
	static struct rig r;

	rig_init(&r);
	*state = &r;
	return 0;
}

int
rig_pair(void **state)
{
	rig_alone(state);
	rig_link(*state, 0, 1);
	rig_run(*state);
	return 0;
}

int
rig_done(void **state)
{
	rig_fini(*state);
	return 0;
}
