/* SPDX-License-Identifier: ISC */

/* repair-clock: stamps of the future, after the clock was set right. */

#include <inttypes.h>
#include <stdio.h>

#include "print.h"
#include "tool.h"

static void
progress(void *user, uint64_t done, uint64_t of)
{
	print_progress(user, done, of);
}

static void
show_time(const char *what, uint64_t ms)
{
	printf("%s ", what);
	print_time(ms);
	putchar('\n');
}

/* "1 h 0 min", of milliseconds. */
static void
show_span(const char *what, uint64_t ms)
{
	uint64_t s = ms / 1000;

	if (s >= 172800)
		printf("%s %" PRIu64 " d %" PRIu64 " h\n", what, s / 86400,
		    s / 3600 % 24);
	else if (s >= 3600)
		printf("%s %" PRIu64 " h %" PRIu64 " min\n", what, s / 3600,
		    s / 60 % 60);
	else
		printf("%s %" PRIu64 " min %" PRIu64 " s\n", what, s / 60,
		    s % 60);
}

static void
show(const struct tool *t, const struct kv_clock_repaired *r)
{
	uint64_t ahead =
	    r->newest_ms > r->now_ms ? r->newest_ms - r->now_ms : 0;

	if (t->json) {
		print_json(json_pack("{s:b, s:b, s:I, s:I, s:I, s:I, s:I}",
		    "due", r->was_due, "repaired", r->was_due && !t->dry,
		    "now_ms", (json_int_t)r->now_ms, "ahead_ms",
		    (json_int_t)ahead, "records", (json_int_t)r->records,
		    "moved", (json_int_t)r->moved, "buckets",
		    (json_int_t)r->buckets));
		return;
	}
	show_time("now:               ", r->now_ms);
	if (!r->was_due) {
		puts("nothing lies more than 5 minutes beyond that; nothing "
		     "was done");
		return;
	}
	show_time("the store had seen:", r->newest_ms);
	show_span("the clock was ahead by at least", ahead);
	printf("%s: %" PRIu64 " records, %" PRIu64 " buckets\n"
	       "given a new place in the order: %" PRIu64 " more records\n",
	    t->dry ? "to be written again" : "written again", r->records,
	    r->buckets, r->moved);
	puts(t->dry ? "nothing was changed (--dry-run)"
		    : "peers take it all in once they have looked through it");
}

static int
failed(const struct tool *t, const struct kv_clock_repaired *r, int rc)
{
	if (rc == KV_ENOTFOUND) {
		tool_say("no store in %s", t->where);
		return EXIT_NOBODY;
	}
	if (r->why[0] == '\0')
		return tool_failed(t, "repair-clock", rc);
	tool_say("repair-clock: %s%s", r->why,
	    rc == KV_EBUSY ? "; stop kvd first" : "");
	if (rc == KV_EINVAL)
		tool_say("set the clock first; --force if it is right");
	return EXIT_TROUBLE;
}

/* Not over_store: it opens the store itself, to be alone with it. */
static int
repair_clock(struct tool *t)
{
	struct kv_clock_repaired repaired;
	struct print_progress shown;
	struct kv_clock_repair how = { .dry = t->dry,
		.force = t->force,
		.progress = progress,
		.user = &shown };
	int rc;

	if (t->port != 0 || t->socket != NULL || t->host != NULL) {
		tool_say("repair-clock works only on a store's folder (-d)");
		return EXIT_USAGE;
	}
	if (t->dir != NULL)
		snprintf(t->where, sizeof(t->where), "%s", t->dir);
	else if ((rc = kv_default_dir(t->where, sizeof(t->where))) < 0) {
		tool_say("no default folder (%s); name one with -d",
		    kv_error(rc));
		return EXIT_NOBODY;
	}
	print_progress_begin(&shown, "repair-clock");
	rc = kv_repair_clock(t->where, NULL, &how, &repaired);
	print_progress_end(&shown);
	if (rc < 0)
		return failed(t, &repaired, rc);
	show(t, &repaired);
	return EXIT_FINE;
}

static const struct verb verbs[] = {
	{
	    .name = "repair-clock",
	    .args = "[--dry-run] [--force]",
	    .summary = "after the clock was far ahead: withdraw its stamps",
	    .help =
		"While a host's clock is more than five minutes ahead, other\n"
		"hosts refuse what is written on it (kv nodes: clock off), and go\n"
		"on refusing that when the clock is right again. This writes it\n"
		"again, in its old order, with stamps of now:\n"
		"\n"
		"  set the clock; stop kvd\n"
		"  kv -d /var/lib/kv/shop repair-clock\n"
		"  start kvd\n"
		"\n"
		"Needs room for a second tree. Can be broken off at any moment\n"
		"and begun again. Sequence numbers go backwards: who watches\n"
		"from one of before is told that there is a gap. --dry-run only\n"
		"says what would be done; --force does it although other hosts\n"
		"wrote later than the clock says now.\n",
	    .least = 0,
	    .most = 0,
	    .alone = repair_clock,
	},
	{ .name = NULL },
};

const struct verb *
repair_clock_verbs(void)
{
	return verbs;
}
