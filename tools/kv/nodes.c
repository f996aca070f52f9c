/* SPDX-License-Identifier: ISC */

/* nodes: the hosts that share buckets with a server, and how each is. */

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ask.h"
#include "print.h"
#include "tool.h"

#define WAIT_STEP_MS 50
#define WAIT_QUIET_MS 1000 /* before progress shows */

/* As KV.NODES tells it: two texts, then pairs. */
struct node {
	struct kv_slice name, state, address, since, behind, unacked, rtt,
	    offset, sent, received, tries, reason, left;
};

static bool
equal(struct kv_slice a, const char *b)
{
	return a.len == strlen(b) && memcmp(a.data, b, a.len) == 0;
}

static void
take_pair(struct node *n, struct kv_slice name, struct kv_slice value)
{
	const struct {
		const char *name;
		struct kv_slice *to;
	} fields[] = { { "address", &n->address }, { "since_ms", &n->since },
		{ "behind_ms", &n->behind }, { "behind_records", &n->left },
		{ "unacked_bytes", &n->unacked }, { "rtt_us", &n->rtt },
		{ "offset_ms", &n->offset }, { "sent_bytes", &n->sent },
		{ "received_bytes", &n->received }, { "tries", &n->tries },
		{ "reason", &n->reason } };
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (equal(name, fields[i].name))
			*fields[i].to = value;
	}
}

static bool
take_node(const struct kv_value *v, struct node *n)
{
	const struct kv_value *key, *value;

	memset(n, 0, sizeof(*n));
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

/* ---- showing ---- */

static json_int_t
number(struct kv_slice s)
{
	char text[32];

	snprintf(text, sizeof(text), "%.*s", (int)s.len, s.data);
	return (json_int_t)strtoll(text, NULL, 10);
}

static bool
is_there(struct kv_slice s)
{
	return s.len > 0 && !equal(s, "-");
}

static json_t *
text_or_null(struct kv_slice s)
{
	return is_there(s) ? print_to_json(s) : json_null();
}

static void
show_json(const struct node *n)
{
	print_json(json_pack(
	    "{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
	    "name", print_to_json(n->name), "state", print_to_json(n->state),
	    "address", text_or_null(n->address), "since_ms", number(n->since),
	    "behind_ms", number(n->behind), "behind_records", number(n->left),
	    "unacked_bytes", number(n->unacked), "rtt_us", number(n->rtt),
	    "offset_ms", number(n->offset), "sent_bytes", number(n->sent),
	    "received_bytes", number(n->received), "tries", number(n->tries),
	    "reason", text_or_null(n->reason)));
}

static void
show_text(const struct node *n)
{
	bool up = equal(n->state, "up"), self = equal(n->state, "self");

	print_bytes(n->name);
	printf("  ");
	fflush(stdout);
	if (up || self)
		print_coloured(up ? PRINT_GREEN : PRINT_DIM,
		    up ? "up" : "self");
	else
		print_bytes(n->state);
	if (number(n->left) > 0)
		printf("  %lld records behind", (long long)number(n->left));
	if (is_there(n->address)) {
		printf("  ");
		print_bytes(n->address);
	}
	if (number(n->since) >= 1000) {
		printf("  since ");
		print_time((uint64_t)number(n->since));
	}
	if (number(n->behind) > 0)
		printf("  %lld ms behind", (long long)number(n->behind));
	if (number(n->unacked) > 0)
		printf("  %lld bytes on their way",
		    (long long)number(n->unacked));
	if (number(n->rtt) > 0)
		printf("  rtt %.1f ms  offset %lld ms",
		    (double)number(n->rtt) / 1000,
		    (long long)number(n->offset));
	if (is_there(n->reason)) {
		printf("  ");
		print_bytes(n->reason);
	}
	if (number(n->tries) > 1)
		printf("  (%lld tries)", (long long)number(n->tries));
	putchar('\n');
}

/* ---- waiting ---- */

/* Connected and in step; ourselves count when our kv-syncd works. */
static bool
is_fine(const struct node *n)
{
	return equal(n->state, "up") ||
	    (equal(n->state, "self") && !is_there(n->reason));
}

/* What was seen of all of them. */
struct sight {
	bool is_fine;
	long long left, most; /* records; and when that was most */
	bool is_shown;
};

static int
look(struct tool *t, bool show, struct sight *s)
{
	const struct kv_value *reply, *v;
	struct node n;
	int code;

	s->is_fine = true;
	s->left = 0;
	if ((code = ASK(t, &reply, kv_text("KV.NODES"))) != EXIT_FINE)
		return code;
	for (v = kv_value_first(reply); v != NULL;
	     v = kv_value_next(reply, v)) {
		if (!take_node(v, &n))
			return tool_failed(t, "KV.NODES", KV_EPROTO);
		s->is_fine &= is_fine(&n);
		s->left += (long long)number(n.left);
		if (show && t->json)
			show_json(&n);
		else if (show)
			show_text(&n);
	}
	return EXIT_FINE;
}

/* For who watches: how much of what was missing when it was most is here. */
static void
show_progress(struct sight *s)
{
	if (s->most < s->left)
		s->most = s->left;
	if (s->most == 0)
		return;
	s->is_shown = true;
	fprintf(stderr, "\r\033[Kcatching up %3lld %%, %lld records behind",
	    (s->most - s->left) * 100 / s->most, s->left);
}

static int
nodes(struct tool *t)
{
	int64_t begin = tool_now_ms(), end = begin + t->timeout_ms;
	bool watched = isatty(STDERR_FILENO);
	struct sight s = { .is_fine = false };
	int code = EXIT_FINE;

	while (
	    t->wait && !s.is_fine && code == EXIT_FINE && tool_now_ms() < end) {
		code = look(t, false, &s);
		if (watched && tool_now_ms() >= begin + WAIT_QUIET_MS)
			show_progress(&s);
		if (!s.is_fine)
			poll(NULL, 0, WAIT_STEP_MS);
	}
	if (s.is_shown)
		fputs("\r\033[K", stderr);
	if (code != EXIT_FINE || (code = look(t, true, &s)) != EXIT_FINE)
		return code;
	return t->wait && !s.is_fine ? EXIT_ABSENT : EXIT_FINE;
}

/* ---- kick ---- */

static int
kick(struct tool *t)
{
	const char *node = t->argc > 0 ? t->argv[0] : NULL;
	const struct kv_value *reply;
	long long closed;
	int code;

	if ((node == NULL) != t->all) {
		tool_say("kick: name a node, or --all");
		return EXIT_USAGE;
	}
	code = node == NULL ? ASK(t, &reply, kv_text("KV.KICK"))
			    : ASK(t, &reply, kv_text("KV.KICK"), kv_text(node));
	if (code != EXIT_FINE)
		return code;
	closed = (long long)kv_value_integer(reply);
	if (t->json)
		print_json(json_pack("{s:I}", "closed", (json_int_t)closed));
	else if (closed > 0)
		printf("%lld link%s closed\n", closed, closed == 1 ? "" : "s");
	else
		tool_say("no link to %s", node == NULL ? "any node" : node);
	return closed > 0 ? EXIT_FINE : EXIT_ABSENT;
}

static const struct verb verbs[] = {
	{
	    .name = "kick",
	    .args = "NODE | --all",
	    .summary = "close links to other nodes; they are made anew",
	    .help =
		"Closes the link to a node, or all of them. Both ends dial again at\n"
		"once, and shake hands with the cookie that they have now: the last\n"
		"step when a cookie was changed because somebody knows it. Changes\n"
		"go on where they were. NODE is a name as kv nodes shows it, or what\n"
		"stands before the @. Exits with 1 when there is no such link.\n"
		"\n"
		"  kv kick bar\n"
		"  kv kick --all\n",
	    .least = 0,
	    .most = 1,
	    .over_port = kick,
	},
	{
	    .name = "nodes",
	    .args = "[--wait]",
	    .summary = "the nodes that share buckets, and how each is",
	    .help =
		"A line for each node: its name; its state, which is self, up,\n"
		"catching up, connecting, down or unknown; its address; since\n"
		"when; how far it is behind; how long an answer takes and how far\n"
		"its clock is off; and why it is down.\n"
		"\n"
		"With --wait, waits until all are up and in step, for the time\n"
		"that -t says (10s), and exits with 1 if they are not.\n"
		"\n"
		"  kv nodes\n"
		"  kv -p 4051 -t 30s nodes --wait\n",
	    .least = 0,
	    .most = 0,
	    .over_port = nodes,
	},
	{ .name = NULL },
};

const struct verb *
nodes_verbs(void)
{
	return verbs;
}
