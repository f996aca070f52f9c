/* SPDX-License-Identifier: ISC */

/* verify --peers: do all nodes hold the same? */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "node.h"
#include "print.h"
#include "tool.h"

#define LOOK_STEP_MS 200 /* what is on its way arrives meanwhile */

/* A bucket as a node has it; both texts are ours. */
struct sum {
	char *name;
	size_t len;
	char digest[64];
};

struct sums {
	struct sum *of;
	size_t count;
};

static void
sums_free(struct sums *s)
{
	size_t i;

	for (i = 0; i < s->count; i++)
		free(s->of[i].name);
	free(s->of);
	*s = (struct sums){ NULL, 0 };
}

static int
sum_compare(const void *a, const void *b)
{
	const struct sum *x = a, *y = b;
	size_t n = x->len < y->len ? x->len : y->len;
	int d = n == 0 ? 0 : memcmp(x->name, y->name, n);

	return d != 0 ? d : (x->len > y->len) - (x->len < y->len);
}

/* One [name, digest, keys]. */
static bool
sums_add(struct sums *s, const struct kv_value *v)
{
	const struct kv_value *name = kv_value_first(v), *digest;
	struct sum *sum = &s->of[s->count];
	struct kv_slice text;

	if (name == NULL || (digest = kv_value_next(v, name)) == NULL)
		return false;
	text = kv_value_text(digest);
	if (text.len == 0 || text.len >= sizeof(sum->digest))
		return false;
	memcpy(sum->digest, text.data, text.len);
	sum->digest[text.len] = '\0';
	text = kv_value_text(name);
	if ((sum->name = malloc(text.len + 1)) == NULL)
		return false;
	memcpy(sum->name, text.data, text.len);
	sum->len = text.len;
	s->count++;
	return true;
}

/* What KV.DIGEST answered, here or there. */
static int
sums_take(struct tool *t, const struct kv_value *reply, struct sums *s)
{
	const struct kv_value *v;

	s->of = calloc(kv_value_count(reply) + 1, sizeof(*s->of));
	if (s->of == NULL)
		return tool_failed(t, "KV.DIGEST", KV_ENOMEM);
	for (v = kv_value_first(reply); v != NULL; v = kv_value_next(reply, v))
		if (!sums_add(s, v))
			return tool_failed(t, "KV.DIGEST", KV_EPROTO);
	if (s->count > 0)
		qsort(s->of, s->count, sizeof(*s->of), sum_compare);
	return EXIT_FINE;
}

static void
finding(const struct tool *t, const char *node, const struct sum *bucket,
    const char *what)
{
	if (t->json && bucket != NULL) {
		print_json(json_pack("{s:s, s:o, s:s}", "node", node, "bucket",
		    print_to_json(
			(struct kv_slice){ bucket->name, bucket->len }),
		    "finding", what));
	} else if (t->json) {
		print_json(
		    json_pack("{s:s, s:s}", "node", node, "finding", what));
	} else {
		printf("%s: ", node);
		if (bucket != NULL) {
			printf("bucket ");
			print_bytes(
			    (struct kv_slice){ bucket->name, bucket->len });
			printf(": ");
		}
		puts(what);
	}
}

/* Walk both in order; tell: say each difference.  How many there are. */
static int
sums_differ(const struct tool *t, const char *node, const struct sums *here,
    const struct sums *there, bool tell)
{
	size_t i = 0, j = 0;
	int found = 0, d;

	while (i < here->count || j < there->count) {
		d = i == here->count ? 1
		    : j == there->count
		    ? -1
		    : sum_compare(&here->of[i], &there->of[j]);
		if (d == 0 &&
		    strcmp(here->of[i].digest, there->of[j].digest) == 0) {
			i++;
			j++;
			continue;
		}
		found++;
		if (tell)
			finding(t, node, d <= 0 ? &here->of[i] : &there->of[j],
			    d == 0	? "differs"
				: d < 0 ? "is missing there"
					: "is missing here");
		i += d <= 0;
		j += d >= 0;
	}
	return found;
}

/* *found: differences with the node, -1 when it could not be asked. */
static int
peer_look(struct tool *t, const char *node, bool tell, int *found)
{
	const struct kv_value *reply;
	struct sums here = { NULL, 0 }, there = { NULL, 0 };
	struct kv_slice why;
	char text[256], limit[16];
	int code, rc;

	/* It answers, or says why not, before we give up. */
	snprintf(limit, sizeof(limit), "%d", t->timeout_ms / 4 * 3 + 1);
	*found = -1;
	if ((code = ASK(t, &reply, kv_text("KV.DIGEST"))) != EXIT_FINE ||
	    (code = sums_take(t, reply, &here)) != EXIT_FINE)
		goto out;
	rc = kv_client_call(t->client,
	    KV_ARGS(kv_text("KV.CALL"), kv_text(node), kv_text("TIMEOUT"),
		kv_text(limit), kv_text("KV.DIGEST")),
	    &reply);
	if (rc < 0) {
		code = tool_failed(t, "KV.CALL", rc);
	} else if (kv_value_type(reply) == KV_FAILURE) {
		why = kv_value_text(reply);
		snprintf(text, sizeof(text), "not compared: %.*s", (int)why.len,
		    why.data);
		if (tell)
			finding(t, node, NULL, text);
	} else if ((code = sums_take(t, reply, &there)) == EXIT_FINE) {
		*found = sums_differ(t, node, &here, &there, tell);
	}
out:
	sums_free(&here);
	sums_free(&there);
	return code;
}

/* A difference counts when it stays: writes are always on their way. */
static int
peer_verify(struct tool *t, const char *node, int64_t end, int *findings)
{
	int code, found;

	for (;;) {
		code = peer_look(t, node, false, &found);
		if (code != EXIT_FINE || found <= 0 || tool_now_ms() >= end)
			break;
		poll(NULL, 0, LOOK_STEP_MS);
	}
	if (code == EXIT_FINE && found != 0)
		code = peer_look(t, node, true, &found);
	*findings += found < 0 ? 1 : found;
	return code;
}

/* The names of the others. */
struct names {
	const struct tool *tool;
	char **of;
	size_t count, room;
};

static int
names_add(void *user, const struct kv_node *n)
{
	struct names *s = user;
	size_t room = s->room == 0 ? 16 : 2 * s->room;
	char **more;

	if (node_is(n->state, "self"))
		return EXIT_FINE;
	if (s->count == s->room) {
		if ((more = reallocarray(s->of, room, sizeof(*more))) == NULL)
			return tool_failed(s->tool, "KV.NODES", KV_ENOMEM);
		s->of = more;
		s->room = room;
	}
	if ((s->of[s->count] = strndup(n->name.data, n->name.len)) == NULL)
		return tool_failed(s->tool, "KV.NODES", KV_ENOMEM);
	s->count++;
	return EXIT_FINE;
}

int
peers_verify(struct tool *t)
{
	struct names others = { .tool = t };
	int findings = 0, code = node_each(t, names_add, &others);
	int64_t end = tool_now_ms() + t->timeout_ms;
	size_t i;

	for (i = 0; i < others.count && code == EXIT_FINE; i++)
		code = peer_verify(t, others.of[i], end, &findings);
	for (i = 0; i < others.count; i++)
		free(others.of[i]);
	free(others.of);
	if (code != EXIT_FINE)
		return code;
	if (t->json)
		print_json(json_pack("{s:i, s:i}", "nodes", (int)others.count,
		    "findings", findings));
	else if (findings == 0)
		printf("%zu other node%s: everything agrees\n", others.count,
		    others.count == 1 ? "" : "s");
	return findings > 0 ? EXIT_TROUBLE : EXIT_FINE;
}
