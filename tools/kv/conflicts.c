/* SPDX-License-Identifier: ISC */

/* conflicts: what lost against a write that did not know of it. */

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

static json_int_t
number_of(const struct kv_value *pairs, const char *word)
{
	const struct kv_value *v = pair_of(pairs, word);

	return v == NULL ? 0 : (json_int_t)kv_value_integer(v);
}

static bool
was_deletion(const struct kv_value *pairs)
{
	const struct kv_value *v = pair_of(pairs, "lost");

	return v == NULL || kv_value_type(v) == KV_NULL;
}

static void
show_json(const struct kv_value *o)
{
	print_json(
	    json_pack("{s:o, s:o, s:o, s:I, s:I, s:o, s:b, s:I, s:o, s:b,"
		      " s:I}",
		"bucket", print_to_json(text_of(o, "bucket")), "key",
		print_to_json(text_of(o, "key")), "lost",
		was_deletion(o) ? json_null()
				: print_to_json(text_of(o, "lost")),
		"lost_bytes", number_of(o, "lost_bytes"), "lost_ms",
		number_of(o, "lost_ms"), "lost_stamp",
		print_to_json(text_of(o, "lost_stamp")), "lost_here",
		(int)number_of(o, "lost_here"), "won_ms",
		number_of(o, "won_ms"), "won_stamp",
		print_to_json(text_of(o, "won_stamp")), "won_deletes",
		(int)number_of(o, "won_deletes"), "noticed_ms",
		number_of(o, "noticed_ms")));
}

static void
show_line(const struct kv_value *o)
{
	print_bytes(text_of(o, "bucket"));
	putchar('\t');
	print_bytes(text_of(o, "key"));
	putchar('\t');
	print_time((uint64_t)number_of(o, "lost_ms"));
	printf("\t%s\t", number_of(o, "lost_here") != 0 ? "here" : "elsewhere");
	if (was_deletion(o))
		fputs("(a deletion)", stdout);
	else
		print_bytes(text_of(o, "lost"));
	putchar('\n');
}

static int
conflicts_over_port(struct tool *t)
{
	const struct kv_value *reply, *o;
	int code = t->argc > 0
	    ? ASK(t, &reply, kv_text("KV.CONFLICTS"), tool_arg(t, 0))
	    : ASK(t, &reply, kv_text("KV.CONFLICTS"));

	if (code != EXIT_FINE)
		return code;
	for (o = kv_value_first(reply); o != NULL; o = kv_value_next(reply, o))
		if (t->json)
			show_json(o);
		else
			show_line(o);
	return EXIT_FINE;
}

static const struct verb verbs[] = {
	{
	    .name = "conflicts",
	    .args = "[BUCKET]",
	    .summary = "what was lost to a write elsewhere",
	    .help =
		"Of buckets that have a conflict log: bucket, key, when it was\n"
		"written, where (here or elsewhere), and what it was. The last\n"
		"1000 are kept, 4 MiB of them, and 64 KiB of a value.\n"
		"\n"
		"  kv conflicts\n"
		"  kv conflicts lists --json\n",
	    .least = 0,
	    .most = 1,
	    .over_port = conflicts_over_port,
	},
	{ .name = NULL },
};

const struct verb *
conflicts_verbs(void)
{
	return verbs;
}
