/* SPDX-License-Identifier: ISC */
/* Other hosts, and whether they hold the same. */

#include <inttypes.h>
#include <stdio.h>

#include "engine/nodes.h"
#include "engine/scan.h"
#include "tree/schema.h"
#include "worker/cmd.h"
#include "worker/keyspace.h"

uint64_t
cmd_nodes_lost(const struct call *c)
{
	struct nodes n;
	uint64_t lost = nodes_read(c->engine, &n) == KV_OK ? n.lost : 0;

	nodes_fini(&n);
	return lost;
}

/* name state [N behind] [(why)] */
static int
nodes_write_line(struct buf *to, const struct nodes_row *node)
{
	struct kv_slice name = node->field[NODES_NAME],
			state = node->field[NODES_STATE],
			behind = node->field[NODES_BEHIND],
			why = node->field[NODES_REASON];
	int rc;

	rc = buf_printf(to, "%.*s %.*s", (int)name.len, name.data,
	    (int)state.len, state.data);
	if (rc == KV_OK && slice_equal(state, slice_of("catching up")) &&
	    !slice_equal(behind, slice_of("0")))
		rc = buf_printf(to, " %.*s behind", (int)behind.len,
		    behind.data);
	if (rc == KV_OK && !slice_equal(why, slice_of("-")))
		rc = buf_printf(to, " (%.*s)", (int)why.len, why.data);
	return rc;
}

static void
nodes_put(struct call *c, const struct nodes_row *node)
{
	struct buf *text = &c->worker->scratch;
	enum nodes_field i;

	if (c->command == NULL) {
		text->len = 0;
		if (nodes_write_line(text, node) == KV_OK)
			line_item(c->reply, buf_slice(text));
		return;
	}
	reply_array(c->reply, 2 * NODES_FIELDS - 2);
	for (i = NODES_NAME; i < NODES_FIELDS; i++) {
		if (i > NODES_STATE)
			reply_text(c->reply, nodes_field_text(i));
		reply_bulk(c->reply, node->field[i]);
	}
}

static void
nodes_put_all(struct call *c, struct nodes *all)
{
	struct call_place place = { 0 };
	struct nodes_row node;
	size_t n = 0;

	if (c->command != NULL)
		place = call_open(c);
	while (nodes_next(all, &node)) {
		if (all->is_old)
			node.field[NODES_REASON] =
			    slice_of("kv-syncd does not answer");
		if (all->is_old && n > 0)
			node.field[NODES_STATE] = slice_of("unknown");
		nodes_put(c, &node);
		n++;
	}
	if (c->command != NULL)
		call_close_array(c, place, n);
}

/* A node by itself, or with a kv-syncd that has not written yet. */
static void
nodes_put_self(struct call *c)
{
	const struct control *k = engine_control(c->engine);
	char uid[NODES_ID_TEXT], inc[NODES_ID_TEXT];
	struct nodes_row node;
	enum nodes_field i;

	for (i = NODES_NAME; i < NODES_FIELDS; i++)
		node.field[i] = slice_of("0");
	nodes_put_id(uid, k->store_id);
	nodes_put_id(inc, atomic_load(&k->inc));
	node.field[NODES_NAME] = slice_of(c->worker->node);
	node.field[NODES_STATE] = slice_of("self");
	node.field[NODES_ADDRESS] = slice_of("-");
	node.field[NODES_UID] = slice_of(uid);
	node.field[NODES_INC] = slice_of(inc);
	node.field[NODES_REASON] =
	    slice_of(c->worker->has_sync ? "kv-syncd does not answer" : "-");
	if (c->command != NULL)
		reply_array(c->reply, 1);
	nodes_put(c, &node);
}

int
cmd_kv_nodes(struct call *c)
{
	struct nodes all;

	if (nodes_read(c->engine, &all) == KV_OK)
		nodes_put_all(c, &all);
	else
		nodes_put_self(c);
	if (c->command == NULL)
		line_ok(c->reply);
	nodes_fini(&all);
	return KV_OK;
}

static void
digest_reply(struct call *c, const struct totals *sums)
{
	char text[33];

	snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64,
	    sums->digest[0], sums->digest[1]);
	reply_text(c->reply, text);
}

static int
digest_of(struct call *c, struct kv_slice name)
{
	const struct bucket *b;
	struct totals sums;
	int rc;

	rc = keyspace_bucket(c, name, &b);
	if (rc == KV_ENOTFOUND) {
		reply_null(c->reply);
		return KV_OK;
	}
	if (rc == KV_OK && (rc = engine_totals(c->engine, b, &sums)) == KV_OK)
		digest_reply(c, &sums);
	return rc;
}

/* One of all buckets that other nodes have, too: name, digest, keys. */
static int
digest_item(struct call *c, const struct record *row, size_t *n)
{
	struct totals sums;
	struct bucket b;
	int rc;

	if ((rc = schema_get_bucket(row->value, &b)) < 0)
		return rc;
	if (b.options & BUCKET_LOCAL || bucket_is_hidden(row->key))
		return KV_OK;
	if ((rc = engine_totals(c->engine, &b, &sums)) < 0)
		return rc;
	reply_array(c->reply, 3);
	reply_bulk(c->reply, row->key);
	digest_reply(c, &sums);
	reply_integer(c->reply, (int64_t)sums.keys);
	(*n)++;
	return call_overflows(c) ? KV_ETOOBIG : KV_OK;
}

static int
digest_of_all(struct call *c)
{
	struct call_place place = call_open(c);
	struct scan *s;
	struct record r;
	size_t n = 0;
	int rc;

	if ((rc = scan_open_buckets(c->engine, &s)) < 0)
		return rc;
	scan_also_shadowed(s);
	while ((rc = scan_next(s, &r)) == KV_OK &&
	    (rc = digest_item(c, &r, &n)) == KV_OK)
		;
	scan_close(s);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	call_close_array(c, place, n);
	return KV_OK;
}

int
cmd_kv_digest(struct call *c)
{
	if (c->argc > 2)
		return call_error(c, "ERR syntax error");
	return c->argc == 2 ? digest_of(c, c->args[1]) : digest_of_all(c);
}
