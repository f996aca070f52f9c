/* SPDX-License-Identifier: ISC */

/* Other nodes: what kv-syncd tells, or the last one has told. */

#include "engine/nodes.h"
#include "base/num.h"
#include "engine/host.h"
#include "lib/embed.h"

struct nodes_told {
	void (*each)(void *user, const struct kv_node *node);
	void *user;
	size_t count;
};

static struct kv_slice
nodes_text(const struct nodes_row *row, enum nodes_field field)
{
	return slice_equal(row->field[field], slice_of("-"))
	    ? slice_of("")
	    : row->field[field];
}

static int64_t
nodes_offset(const struct nodes_row *row)
{
	int64_t n;

	return num_parse_i64(row->field[NODES_OFFSET], &n) == KV_OK ? n : 0;
}

static void
nodes_take_row(const struct nodes_row *row, struct kv_node *out)
{
	*out = (struct kv_node){
		.name = nodes_text(row, NODES_NAME),
		.address = nodes_text(row, NODES_ADDRESS),
		.state = nodes_text(row, NODES_STATE),
		.was = slice_of(""),
		.reason = nodes_text(row, NODES_REASON),
		.uid = nodes_id(row, NODES_UID),
		.incarnation = nodes_id(row, NODES_INC),
		.since_ms = nodes_number(row, NODES_SINCE),
		.seen_ms = nodes_number(row, NODES_SEEN),
		.behind_ms = nodes_number(row, NODES_BEHIND_MS),
		.behind_records = nodes_number(row, NODES_BEHIND),
		.unacked_bytes = nodes_number(row, NODES_UNACKED),
		.rtt_us = nodes_number(row, NODES_RTT),
		.offset_ms = nodes_offset(row),
		.sent_bytes = nodes_number(row, NODES_SENT),
		.received_bytes = nodes_number(row, NODES_RECEIVED),
		.tries = nodes_number(row, NODES_TRIES),
	};
}

/* As KV.NODES answers. */
static void
nodes_tell_present(struct nodes_told *t, struct nodes *all)
{
	struct nodes_row row;
	struct kv_node node;

	while (nodes_next(all, &row)) {
		nodes_take_row(&row, &node);
		if (all->is_old)
			node.reason = slice_of("kv-syncd does not answer");
		if (all->is_old && t->count > 0)
			node.state = slice_of("unknown");
		t->each(t->user, &node);
		t->count++;
	}
}

/* Its uid is that of the store, whatever was said: a store may be copied. */
static void
nodes_tell_self(struct nodes_told *t, struct engine *e, struct kv_node *node)
{
	const struct control *c = engine_control(e);

	node->uid = c->store_id;
	/* Without a daemon this very process has begun one. */
	if (host_has_role(e, ROLE_WALWRITER))
		node->incarnation = atomic_load(&c->inc);
	node->state = slice_of("self");
	node->address = slice_of("");
	node->reason =
	    slice_of(host_has_role(e, ROLE_SYNCD) ? "kv-syncd does not answer"
						  : "no kv-syncd runs");
	t->each(t->user, node);
	t->count++;
}

static void
nodes_tell_kept(struct nodes_told *t, struct engine *e, struct nodes *all)
{
	struct nodes_row row;
	struct kv_node node;

	while (nodes_next(all, &row)) {
		nodes_take_row(&row, &node);
		if (t->count == 0) {
			nodes_tell_self(t, e, &node);
			continue;
		}
		node.was = node.state;
		node.state = slice_of("unknown");
		t->each(t->user, &node);
		t->count++;
	}
}

int
kv_nodes(struct kv *kv, void (*each)(void *user, const struct kv_node *node),
    void *user)
{
	struct nodes_told t = { each, user, 0 };
	struct kv_node self = { .name = { "", 0 } };
	struct nodes all;
	int rc = nodes_read(kv->engine, &all);

	if (rc == KV_OK) {
		nodes_tell_present(&t, &all);
	} else {
		nodes_fini(&all);
		rc = nodes_read_kept(kv->engine, &all);
		if (rc == KV_OK)
			nodes_tell_kept(&t, kv->engine, &all);
	}
	nodes_fini(&all);
	if (t.count == 0)
		nodes_tell_self(&t, kv->engine, &self);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}
