/* SPDX-License-Identifier: ISC */

/* What a server, or the kv-syncd of a store, tells of all nodes. */

#include "node.h"

#include <stdio.h>
#include <stdlib.h>

#include "ask.h"

bool
node_is(struct kv_slice text, const char *word)
{
	return text.len == strlen(word) &&
	    memcmp(text.data, word, text.len) == 0;
}

/* ---- over a port ---- */

/* As KV.NODES tells it: two texts, then pairs. */
static void
take_number(void *to, struct kv_slice text)
{
	char digits[32];

	snprintf(digits, sizeof(digits), "%.*s", (int)text.len, text.data);
	*(uint64_t *)to = strtoull(digits, NULL, 10);
}

static void
take_offset(void *to, struct kv_slice text)
{
	char digits[32];

	snprintf(digits, sizeof(digits), "%.*s", (int)text.len, text.data);
	*(int64_t *)to = strtoll(digits, NULL, 10);
}

static void
take_id(void *to, struct kv_slice text)
{
	char digits[32];

	snprintf(digits, sizeof(digits), "%.*s", (int)text.len, text.data);
	*(uint64_t *)to = strtoull(digits, NULL, 16);
}

static void
take_text(void *to, struct kv_slice text)
{
	*(struct kv_slice *)to = node_is(text, "-") ? kv_text("") : text;
}

static void
take_pair(struct kv_node *n, struct kv_slice name, struct kv_slice value)
{
	const struct {
		const char *name;
		void (*take)(void *to, struct kv_slice text);
		void *to;
	} fields[] = { { "address", take_text, &n->address },
		{ "since_ms", take_number, &n->since_ms },
		{ "behind_ms", take_number, &n->behind_ms },
		{ "behind_records", take_number, &n->behind_records },
		{ "unacked_bytes", take_number, &n->unacked_bytes },
		{ "rtt_us", take_number, &n->rtt_us },
		{ "offset_ms", take_offset, &n->offset_ms },
		{ "sent_bytes", take_number, &n->sent_bytes },
		{ "received_bytes", take_number, &n->received_bytes },
		{ "tries", take_number, &n->tries },
		{ "seen_ms", take_number, &n->seen_ms },
		{ "uid", take_id, &n->uid },
		{ "incarnation", take_id, &n->incarnation },
		{ "reason", take_text, &n->reason } };
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (node_is(name, fields[i].name))
			fields[i].take(fields[i].to, value);
	}
}

static bool
take_node(const struct kv_value *v, struct kv_node *n)
{
	const struct kv_value *key, *value;

	*n = (struct kv_node){ .was = kv_text(""),
		.address = kv_text(""),
		.reason = kv_text("") };
	if ((key = kv_value_first(v)) == NULL ||
	    (value = kv_value_next(v, key)) == NULL)
		return false;
	n->name = kv_value_text(key);
	n->state = kv_value_text(value);
	while ((key = kv_value_next(v, value)) != NULL &&
	    (value = kv_value_next(v, key)) != NULL)
		take_pair(n, kv_value_text(key), kv_value_text(value));
	return true;
}

static int
each_over_port(struct tool *t,
    int (*each)(void *user, const struct kv_node *node), void *user)
{
	const struct kv_value *reply, *v;
	struct kv_node n;
	int code = ASK(t, &reply, kv_text("KV.NODES"));

	if (code != EXIT_FINE)
		return code;
	for (v = kv_value_first(reply); v != NULL && code == EXIT_FINE;
	     v = kv_value_next(reply, v)) {
		if (!take_node(v, &n))
			return tool_failed(t, "KV.NODES", KV_EPROTO);
		code = each(user, &n);
	}
	return code;
}

/* ---- on a folder ---- */

struct walk {
	int (*each)(void *user, const struct kv_node *node);
	void *user;
	int code;
};

static void
walk_one(void *user, const struct kv_node *n)
{
	struct walk *w = user;

	if (w->code == EXIT_FINE)
		w->code = w->each(w->user, n);
}

int
node_each(struct tool *t, int (*each)(void *user, const struct kv_node *node),
    void *user)
{
	struct walk w = { each, user, EXIT_FINE };
	int rc;

	if (t->store == NULL)
		return each_over_port(t, each, user);
	rc = kv_nodes(t->store, walk_one, &w);
	return rc < 0 ? tool_failed(t, "nodes", rc) : w.code;
}
