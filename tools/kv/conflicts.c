/* SPDX-License-Identifier: ISC */

/* conflicts: what lost against a write that did not know of it. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ask.h"
#include "print.h"
#include "tool.h"

/* The value behind a word in pairs; NULL: none. */
static const struct kv_value *
pair_of(const struct kv_value *pairs, const char *word)
{
	const struct kv_value *v = kv_value_first(pairs);
	struct kv_slice text;

	while (v != NULL) {
		text = kv_value_text(v);
		if ((v = kv_value_next(pairs, v)) == NULL)
			break;
		if (text.len == strlen(word) &&
		    memcmp(text.data, word, text.len) == 0)
			return v;
		v = kv_value_next(pairs, v);
	}
	return NULL;
}

static struct kv_slice
text_of(const struct kv_value *pairs, const char *word)
{
	const struct kv_value *v = pair_of(pairs, word);

	return v == NULL ? (struct kv_slice){ "", 0 } : kv_value_text(v);
}

static uint64_t
number_of(const struct kv_value *pairs, const char *word)
{
	const struct kv_value *v = pair_of(pairs, word);

	return v == NULL ? 0 : (uint64_t)kv_value_integer(v);
}

/* "tick-incarnation", 16 digits each. */
static void
take_stamp(struct kv_slice text, uint64_t *tick, uint64_t *incarnation)
{
	char digits[40], *end;

	snprintf(digits, sizeof(digits), "%.*s", (int)text.len, text.data);
	*tick = strtoull(digits, &end, 16);
	*incarnation = *end == '-' ? strtoull(end + 1, NULL, 16) : 0;
}

static void
take_reply(const struct kv_value *o, struct kv_conflict *c)
{
	const struct kv_value *lost = pair_of(o, "lost");

	*c = (struct kv_conflict){ .bucket = text_of(o, "bucket"),
		.key = text_of(o, "key"),
		.lost = text_of(o, "lost"),
		.lost_bytes = number_of(o, "lost_bytes"),
		.lost_here = number_of(o, "lost_here") != 0,
		.was_deletion = lost == NULL || kv_value_type(lost) == KV_NULL,
		.is_deletion = number_of(o, "won_deletes") != 0,
		.lost_ms = number_of(o, "lost_ms"),
		.won_ms = number_of(o, "won_ms"),
		.noticed_ms = number_of(o, "noticed_ms") };
	take_stamp(text_of(o, "lost_stamp"), &c->lost_tick,
	    &c->lost_incarnation);
	take_stamp(text_of(o, "won_stamp"), &c->won_tick, &c->won_incarnation);
}

/* ---- showing ---- */

static json_t *
stamp_to_json(uint64_t tick, uint64_t incarnation)
{
	return json_sprintf("%016" PRIx64 "-%016" PRIx64, tick, incarnation);
}

static void
show_json(const struct kv_conflict *c)
{
	print_json(
	    json_pack("{s:o, s:o, s:o, s:I, s:I, s:o, s:b, s:I, s:o, s:b,"
		      " s:I}",
		"bucket", print_to_json(c->bucket), "key",
		print_to_json(c->key), "lost",
		c->was_deletion ? json_null() : print_to_json(c->lost),
		"lost_bytes", (json_int_t)c->lost_bytes, "lost_ms",
		(json_int_t)c->lost_ms, "lost_stamp",
		stamp_to_json(c->lost_tick, c->lost_incarnation), "lost_here",
		(int)c->lost_here, "won_ms", (json_int_t)c->won_ms, "won_stamp",
		stamp_to_json(c->won_tick, c->won_incarnation), "won_deletes",
		(int)c->is_deletion, "noticed_ms", (json_int_t)c->noticed_ms));
}

static void
show_line(const struct kv_conflict *c)
{
	print_bytes(c->bucket);
	putchar('\t');
	print_bytes(c->key);
	putchar('\t');
	print_time(c->lost_ms);
	printf("\t%s\t", c->lost_here ? "here" : "elsewhere");
	if (c->was_deletion)
		fputs("(a deletion)", stdout);
	else
		print_bytes(c->lost);
	putchar('\n');
}

struct shown {
	const struct tool *tool;
	size_t count;
};

static void
show(void *user, const struct kv_conflict *c)
{
	struct shown *s = user;

	if (s->tool->json)
		show_json(c);
	else
		show_line(c);
	s->count++;
}

/* None are there of a bucket: is it there itself? */
static int
check_bucket(struct tool *t)
{
	struct kv_bucket_info info;
	int rc;

	if (t->argc == 0 || t->argv[0][0] == '\0')
		return EXIT_FINE;
	if (t->client != NULL)
		return ask_bucket(t);
	rc = kv_bucket_info(t->store, tool_arg(t, 0), &info);
	if (rc == KV_ENOTFOUND)
		return tool_no_bucket(t);
	return rc < 0 ? tool_failed(t, "conflicts", rc) : EXIT_FINE;
}

static int
cleared(struct tool *t, uint64_t count)
{
	int code = count == 0 ? check_bucket(t) : EXIT_FINE;

	if (code != EXIT_FINE)
		return code;
	if (t->json)
		print_json(json_pack("{s:I}", "cleared", (json_int_t)count));
	else
		printf("%" PRIu64 " conflict%s cleared\n", count,
		    count == 1 ? "" : "s");
	return EXIT_FINE;
}

/* ---- ways ---- */

/* Empty: all of them. */
static struct kv_slice
bucket_of(const struct tool *t)
{
	return t->argc > 0 ? tool_arg(t, 0) : kv_text("");
}

static int
conflicts_over_port(struct tool *t)
{
	struct shown shown = { t, 0 };
	const struct kv_value *reply, *o;
	struct kv_conflict c;
	int code;

	if (t->clear) {
		code = ASK(t, &reply, kv_text("KV.CONFLICTS"), bucket_of(t),
		    kv_text("CLEAR"));
		return code != EXIT_FINE
		    ? code
		    : cleared(t, (uint64_t)kv_value_integer(reply));
	}
	code = t->argc > 0
	    ? ASK(t, &reply, kv_text("KV.CONFLICTS"), bucket_of(t))
	    : ASK(t, &reply, kv_text("KV.CONFLICTS"));
	if (code != EXIT_FINE)
		return code;
	for (o = kv_value_first(reply); o != NULL;
	     o = kv_value_next(reply, o)) {
		take_reply(o, &c);
		show(&shown, &c);
	}
	return shown.count == 0 ? check_bucket(t) : EXIT_FINE;
}

static int
conflicts_over_store(struct tool *t)
{
	struct shown shown = { t, 0 };
	size_t count;
	int rc;

	rc = t->clear ? kv_conflicts_clear(t->store, bucket_of(t), &count)
		      : kv_conflicts(t->store, bucket_of(t), show, &shown);
	if (rc < 0)
		return tool_failed(t, "conflicts", rc);
	if (t->clear)
		return cleared(t, count);
	return shown.count == 0 ? check_bucket(t) : EXIT_FINE;
}

static const struct verb verbs[] = {
	{
	    .name = "conflicts",
	    .args = "[BUCKET] [--clear]",
	    .summary = "what was lost to a write elsewhere",
	    .help =
		"Of buckets that have a conflict log: bucket, key, when it was\n"
		"written, where (here or elsewhere), and what it was. The last\n"
		"1000 are kept, 4 MiB of them, and 64 KiB of a value.\n"
		"\n"
		"With --clear, removes them from the list of this host, those of\n"
		"BUCKET or all, and prints how many. Exits with 1 when there are\n"
		"none and no such bucket.\n"
		"\n"
		"  kv conflicts\n"
		"  kv conflicts lists --json\n"
		"  kv -d /var/lib/kv/shop conflicts lists --clear\n",
	    .least = 0,
	    .most = 1,
	    .over_port = conflicts_over_port,
	    .over_store = conflicts_over_store,
	},
	{ .name = NULL },
};

const struct verb *
conflicts_verbs(void)
{
	return verbs;
}
