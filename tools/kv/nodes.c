/* SPDX-License-Identifier: ISC */

/* nodes: who shares buckets with a server or a store, and how each is; kick. */

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ask.h"
#include "node.h"
#include "print.h"
#include "tool.h"

#define WAIT_STEP_MS 50
#define WAIT_QUIET_MS 1000 /* before progress shows */

/* ---- showing ---- */

static json_t *
text_or_null(struct kv_slice s)
{
	return s.len > 0 ? print_to_json(s) : json_null();
}

static json_t *
id_or_null(uint64_t id)
{
	return id != 0 ? json_sprintf("%016" PRIx64, id) : json_null();
}

static void
show_json(const struct kv_node *n)
{
	json_t *o = json_pack("{s:o, s:o, s:o, s:o}", "name",
	    text_or_null(n->name), "state", print_to_json(n->state), "was",
	    text_or_null(n->was), "address", text_or_null(n->address));
	const struct {
		const char *name;
		int64_t value;
	} figures[] = { { "since_ms", (int64_t)n->since_ms },
		{ "behind_ms", (int64_t)n->behind_ms },
		{ "behind_records", (int64_t)n->behind_records },
		{ "unacked_bytes", (int64_t)n->unacked_bytes },
		{ "rtt_us", (int64_t)n->rtt_us }, { "offset_ms", n->offset_ms },
		{ "sent_bytes", (int64_t)n->sent_bytes },
		{ "received_bytes", (int64_t)n->received_bytes },
		{ "tries", (int64_t)n->tries },
		{ "seen_ms", (int64_t)n->seen_ms } };
	size_t i;

	for (i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		json_object_set_new(o, figures[i].name,
		    json_integer((json_int_t)figures[i].value));
	json_object_set_new(o, "uid", id_or_null(n->uid));
	json_object_set_new(o, "incarnation", id_or_null(n->incarnation));
	json_object_set_new(o, "reason", text_or_null(n->reason));
	print_json(o);
}

static void
show_state(const struct kv_node *n)
{
	bool up = node_is(n->state, "up"), self = node_is(n->state, "self");

	fflush(stdout);
	if (up || self)
		print_coloured(up ? PRINT_GREEN : PRINT_DIM,
		    up ? "up" : "self");
	else
		print_bytes(n->state);
	if (n->was.len > 0) {
		printf(" (was ");
		print_bytes(n->was);
		putchar(')');
	}
}

static void
show_time(const char *what, uint64_t ms)
{
	if (ms < 1000)
		return;
	printf("  %s ", what);
	print_time(ms);
}

/* Who this node is; of others only JSON tells. */
static void
show_ids(const struct kv_node *n)
{
	if (!node_is(n->state, "self") || n->uid == 0)
		return;
	printf("  uid %016" PRIx64, n->uid);
	if (n->incarnation != 0)
		printf("  incarnation %016" PRIx64, n->incarnation);
}

static void
show_figures(const struct kv_node *n)
{
	if (n->behind_ms > 0)
		printf("  %" PRIu64 " ms behind", n->behind_ms);
	if (n->unacked_bytes > 0)
		printf("  %" PRIu64 " bytes on their way", n->unacked_bytes);
	if (n->rtt_us > 0)
		printf("  rtt %.1f ms  offset %" PRId64 " ms",
		    (double)n->rtt_us / 1000, n->offset_ms);
}

static void
show_text(const struct kv_node *n)
{
	bool linked =
	    node_is(n->state, "up") || node_is(n->state, "catching up");

	print_bytes(n->name.len > 0 ? n->name : kv_text("-"));
	printf("  ");
	show_state(n);
	if (n->behind_records > 0)
		printf("  %" PRIu64 " records behind", n->behind_records);
	if (n->address.len > 0) {
		printf("  ");
		print_bytes(n->address);
	}
	if (n->was.len == 0)
		show_time("since", n->since_ms);
	if (!linked)
		show_time("last seen", n->seen_ms);
	show_figures(n);
	show_ids(n);
	if (n->reason.len > 0) {
		printf("  ");
		print_bytes(n->reason);
	}
	if (n->tries > 1)
		printf("  (%" PRIu64 " tries)", n->tries);
	putchar('\n');
}

/* ---- waiting ---- */

/* Connected and in step; ourselves count when our kv-syncd works. */
static bool
is_fine(const struct kv_node *n)
{
	return node_is(n->state, "up") ||
	    (node_is(n->state, "self") && n->reason.len == 0);
}

/* What was seen of all of them. */
struct sight {
	const struct tool *tool;
	bool show;
	bool is_fine;
	uint64_t left, most; /* records; and when that was most */
	bool is_shown;
};

static int
look_at(void *user, const struct kv_node *n)
{
	struct sight *s = user;

	s->is_fine &= is_fine(n);
	s->left += n->behind_records;
	if (s->show && s->tool->json)
		show_json(n);
	else if (s->show)
		show_text(n);
	return EXIT_FINE;
}

static int
look(struct tool *t, bool show, struct sight *s)
{
	s->show = show;
	s->is_fine = true;
	s->left = 0;
	return node_each(t, look_at, s);
}

/* For who watches: how much of what was missing when it was most is here. */
static void
show_progress(struct sight *s)
{
	struct winsize size = { .ws_col = 0 };
	char text[96];

	if (s->most < s->left)
		s->most = s->left;
	if (s->most == 0)
		return;
	s->is_shown = true;
	snprintf(text, sizeof(text),
	    "catching up %3" PRIu64 " %%, %" PRIu64 " records behind",
	    (s->most - s->left) * 100 / s->most, s->left);
	/* What does not fit a line could not be taken back. */
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		size.ws_col = 80;
	fprintf(stderr, "\r\033[K%.*s", size.ws_col - 1, text);
}

static int
nodes(struct tool *t)
{
	int64_t begin = tool_now_ms(), end = begin + t->timeout_ms;
	bool watched = isatty(STDERR_FILENO);
	struct sight s = { .tool = t };
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
		"A line for each node, this one first: its name; its state, which\n"
		"is self, up, catching up, connecting, down or unknown; its\n"
		"address; since when; how far it is behind; how long an answer\n"
		"takes and how far its clock is off; and why it is down.\n"
		"\n"
		"On a folder the same, or where no kv-syncd runs what the last one\n"
		"knew: all nodes it ever had a link to, what they were, and when\n"
		"they were last seen.\n"
		"\n"
		"With --wait, waits until all are up and in step, for the time\n"
		"that -t says (10s), and exits with 1 if they are not.\n"
		"\n"
		"  kv nodes\n"
		"  kv -p 4051 -t 30s nodes --wait\n"
		"  kv -d /var/lib/kv/shop nodes --json\n",
	    .least = 0,
	    .most = 0,
	    .over_port = nodes,
	    .over_store = nodes,
	},
	{ .name = NULL },
};

const struct verb *
nodes_verbs(void)
{
	return verbs;
}
