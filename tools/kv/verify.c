/* SPDX-License-Identifier: ISC */

/* verify: does everything in the store agree? */

#include <stdio.h>

#include "print.h"
#include "tool.h"

struct verification {
	const struct tool *tool;
	struct print_progress progress;
};

static void
report(void *user, const char *line)
{
	struct verification *v = user;

	print_progress_end(&v->progress);
	if (v->tool->json)
		print_json(json_pack("{s:s}", "finding", line));
	else
		printf("%s\n", line);
}

static void
progress(void *user, uint64_t done, uint64_t of)
{
	struct verification *v = user;

	print_progress(&v->progress, done, of);
}

static int
verify_over_store(struct tool *t)
{
	struct verification v = { .tool = t };
	int found;

	print_progress_begin(&v.progress, "verify");
	found = kv_verify(t->store, report, progress, &v);
	print_progress_end(&v.progress);
	if (found < 0)
		return tool_failed(t, "verify", found);
	if (t->json)
		print_json(json_pack("{s:i}", "findings", found));
	else if (found == 0)
		puts("everything agrees");
	return found > 0 ? EXIT_TROUBLE : EXIT_FINE;
}

static const struct verb peers_verb = {
	.name = "verify --peers",
	.over_port = peers_verify,
};

static const struct verb verbs[] = {
	{
	    .name = "verify",
	    .args = "[--peers]",
	    .summary = "check that log, tree, sums and digests agree",
	    .help =
		"Reads the whole store, beside its daemon if there is one. Each\n"
		"finding is a line; exits with 4 when there are any.\n"
		"\n"
		"With --peers asks a server and, through it, all other nodes for\n"
		"the digests of their buckets, and names those that differ, and\n"
		"nodes that cannot be asked. What differs is looked at again for\n"
		"the time that -t says (10s): changes may be on their way.\n"
		"\n"
		"  kv -d /var/lib/kv/shop verify\n"
		"  kv -p 4050 verify --peers\n",
	    .least = 0,
	    .most = 0,
	    .over_store = verify_over_store,
	    .with_peers = &peers_verb,
	},
	{ .name = NULL },
};

const struct verb *
verify_verbs(void)
{
	return verbs;
}
