/* SPDX-License-Identifier: ISC */

/* ls: the keys of a bucket, as they come. */

#include <stdio.h>
#include <stdlib.h>

#include "ask.h"
#include "print.h"
#include "tool.h"

static void
show_entry(const struct tool *t, struct kv_slice key, struct kv_slice value)
{
	json_t *o;

	if (t->json) {
		o = json_pack("{s:o}", "key", print_to_json(key));
		if (t->values)
			json_object_set_new(o, "value", print_to_json(value));
		print_json(o);
		return;
	}
	print_bytes(key);
	if (t->values) {
		putchar('\t');
		print_bytes(value);
	}
	putchar('\n');
}

static int
ls_over_store(struct tool *t)
{
	struct kv_range range = { .prefix = { NULL, 0 } };
	struct kv_cursor *c = NULL;
	struct kv_entry entry;
	int rc;

	if (t->argc > 1)
		range.prefix = tool_arg(t, 1);
	rc = kv_cursor_open(t->store, tool_arg(t, 0), &range, &c);
	if (rc == KV_ENOTFOUND)
		return tool_no_bucket(t);
	if (rc < 0)
		return tool_failed(t, "ls", rc);
	while ((rc = kv_cursor_next(c, &entry)) == KV_OK && !ferror(stdout))
		show_entry(t, entry.key, entry.value);
	kv_cursor_close(c);
	return rc == KV_OK || rc == KV_ENOTFOUND ? EXIT_FINE
						 : tool_failed(t, "ls", rc);
}

/* A pattern that matches what begins with the prefix, as Redis reads it. */
static char *
pattern_of(const char *prefix)
{
	char *pattern = malloc(2 * strlen(prefix) + 2), *to = pattern;

	if (pattern == NULL)
		return NULL;
	for (; *prefix != '\0'; prefix++) {
		if (strchr("*?[]\\^", *prefix) != NULL)
			*to++ = '\\';
		*to++ = *prefix;
	}
	*to++ = '*';
	*to = '\0';
	return pattern;
}

/* [cursor, [key, value, ...]]; the cursor is copied. */
static int
show_page(struct tool *t, const struct kv_value *reply, char *cursor,
    size_t size, uint64_t *shown)
{
	const struct kv_value *v, *page, *key;

	if ((v = kv_value_first(reply)) == NULL ||
	    (page = kv_value_next(reply, v)) == NULL)
		return tool_failed(t, "HSCAN", KV_EPROTO);
	snprintf(cursor, size, "%.*s", (int)kv_value_text(v).len,
	    kv_value_text(v).data);
	for (key = kv_value_first(page); key != NULL;
	     key = kv_value_next(page, v)) {
		if ((v = kv_value_next(page, key)) == NULL)
			return tool_failed(t, "HSCAN", KV_EPROTO);
		show_entry(t, kv_value_text(key), kv_value_text(v));
		++*shown;
	}
	return EXIT_FINE;
}

static int
ls_over_port(struct tool *t)
{
	const struct kv_value *reply;
	char cursor[32] = "0";
	uint64_t shown = 0;
	char *pattern = NULL;
	int code;

	if ((pattern = pattern_of(t->argc > 1 ? t->argv[1] : "")) == NULL)
		return tool_failed(t, "ls", KV_ENOMEM);
	do {
		code = ASK(t, &reply, kv_text("HSCAN"), tool_arg(t, 0),
		    kv_text(cursor), kv_text("MATCH"), kv_text(pattern),
		    kv_text("COUNT"), kv_text("1000"));
		if (code == EXIT_FINE)
			code =
			    show_page(t, reply, cursor, sizeof(cursor), &shown);
	} while (
	    code == EXIT_FINE && strcmp(cursor, "0") != 0 && !ferror(stdout));
	free(pattern);
	return code == EXIT_FINE && shown == 0 ? ask_bucket(t) : code;
}

static const struct verb verbs[] = {
	{
	    .name = "ls",
	    .args = "BUCKET [PREFIX]",
	    .summary = "list the keys of a bucket, in order",
	    .help =
		"One key a line. Keys come as they are read: the store is not\n"
		"held up by a pager, and keys written meanwhile may show or not.\n"
		"\n"
		"  --values   key, tab, value\n"
		"  --json     one object a line; the way to go when keys may\n"
		"             hold line ends\n"
		"\n"
		"  kv ls shopping\n"
		"  kv ls sessions 7f --values\n",
	    .least = 1,
	    .most = 2,
	    .over_port = ls_over_port,
	    .over_store = ls_over_store,
	},
	{ .name = NULL },
};

const struct verb *
list_verbs(void)
{
	return verbs;
}
