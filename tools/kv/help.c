/* SPDX-License-Identifier: ISC */

/* What a server says of its commands. */

#include "help.h"

#include <ctype.h>
#include <stdio.h>

#include "passwd.h"
#include "reach.h"

/* The text behind a name in a flat list of names and texts. */
static struct kv_slice
field(const struct kv_value *doc, const char *name)
{
	const struct kv_value *v, *text;
	size_t len = strlen(name);
	struct kv_slice key;

	for (v = kv_value_first(doc); v != NULL; v = kv_value_next(doc, text)) {
		if ((text = kv_value_next(doc, v)) == NULL)
			break;
		key = kv_value_text(v);
		if (key.len == len && memcmp(key.data, name, len) == 0)
			return kv_value_text(text);
	}
	return kv_text("");
}

static void
show(const char *name, const struct kv_value *doc)
{
	struct kv_slice args = field(doc, "syntax");
	struct kv_slice summary = field(doc, "summary");
	struct kv_slice group = field(doc, "group");
	struct kv_slice since = field(doc, "since");

	printf("usage: ");
	for (; *name != '\0'; name++)
		putchar(toupper((unsigned char)*name));
	printf("%s%.*s\n\n%.*s\ngroup %.*s, since %.*s\n",
	    args.len > 0 ? " " : "", (int)args.len, args.data, (int)summary.len,
	    summary.data, (int)group.len, group.data, (int)since.len,
	    since.data);
}

static int
help_over_port(struct tool *t)
{
	const struct kv_value *reply, *doc = NULL;
	int rc;

	if ((rc = passwd_say(t)) != EXIT_FINE)
		return rc;
	rc = kv_client_call(t->client,
	    KV_ARGS(kv_text("COMMAND"), kv_text("DOCS"), tool_arg(t, 0)),
	    &reply);
	if (rc < 0)
		return tool_failed(t, "COMMAND DOCS", rc);
	if (kv_value_first(reply) != NULL)
		doc = kv_value_next(reply, kv_value_first(reply));
	if (doc == NULL) {
		tool_say("no verb and no command \"%s\"; kv help shows verbs",
		    t->argv[0]);
		return EXIT_USAGE;
	}
	show(t->argv[0], doc);
	return EXIT_FINE;
}

int
help_command(struct tool *t, char **name)
{
	static const struct verb verb = {
		.name = "help COMMAND",
		.over_port = help_over_port,
	};
	bool named = t->port != 0 || t->host != NULL || t->socket != NULL;
	int code;

	/* A misspelt verb is not worth a connection. */
	if (!named && !isupper((unsigned char)(*name)[0])) {
		tool_say("no verb \"%s\"; kv help shows them, commands have"
			 " capitals",
		    *name);
		return EXIT_USAGE;
	}
	t->argc = 1;
	t->argv = name;
	if ((code = reach_open(t, &verb)) == EXIT_FINE)
		code = help_over_port(t);
	reach_close(t);
	return code;
}
