/* SPDX-License-Identifier: ISC */

/* raw: any command, its reply shown as redis-cli does. */

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "print.h"
#include "tool.h"

/* ---- for people ---- */

static void
show_leaf(const struct kv_value *v)
{
	struct kv_slice text = kv_value_text(v);

	switch (kv_value_type(v)) {
	case KV_INTEGER:
		printf("(integer) %lld", (long long)kv_value_integer(v));
		break;
	case KV_NULL:
		fputs("(nil)", stdout);
		break;
	case KV_BOOL:
		fputs(kv_value_integer(v) ? "(true)" : "(false)", stdout);
		break;
	case KV_DOUBLE:
		fputs("(double) ", stdout);
		print_bytes(text);
		break;
	case KV_FAILURE:
		print_coloured(PRINT_RED, "(error) ");
		print_bytes(text);
		break;
	case KV_STRING:
		print_quoted(text);
		break;
	case KV_SIMPLE:
	case KV_BIG:
	case KV_ARRAY:
	case KV_SET:
	case KV_MAP:
	case KV_PUSH:
		print_bytes(text);
		break;
	}
}

static bool
is_tree(const struct kv_value *v)
{
	switch (kv_value_type(v)) {
	case KV_ARRAY:
	case KV_SET:
	case KV_MAP:
	case KV_PUSH:
		return true;
	case KV_SIMPLE:
	case KV_FAILURE:
	case KV_STRING:
	case KV_INTEGER:
	case KV_NULL:
	case KV_BOOL:
	case KV_DOUBLE:
	case KV_BIG:
		break;
	}
	return false;
}

static int
digits_of(size_t n)
{
	int digits = 1;

	while ((n /= 10) > 0)
		digits++;
	return digits;
}

/* NOLINTNEXTLINE(misc-no-recursion): libkv bounds the depth */
static void
show_pretty(const struct kv_value *v, int indent)
{
	const struct kv_value *child;
	bool is_map = kv_value_type(v) == KV_MAP;
	size_t n = kv_value_count(v), i = 0;
	int width = digits_of(is_map ? n / 2 : n);

	if (!is_tree(v)) {
		show_leaf(v);
		putchar('\n');
		return;
	}
	if (n == 0) {
		puts(is_map ? "(empty hash)" : "(empty array)");
		return;
	}
	for (child = kv_value_first(v); child != NULL;
	     child = kv_value_next(v, child)) {
		printf("%*s%*zu%c ", i > 0 ? indent : 0, "", width, i + 1,
		    is_map ? '#' : ')');
		i++;
		if (is_map) {
			show_leaf(child);
			fputs(" => ", stdout);
			child = kv_value_next(v, child);
			if (child == NULL)
				return;
		}
		show_pretty(child, indent + width + 2);
	}
}

/* ---- into a pipe: leaves, one a line ---- */

static void
show_plain_leaf(const struct kv_value *v)
{
	struct kv_slice text = kv_value_text(v);

	if (kv_value_type(v) == KV_INTEGER)
		printf("%lld", (long long)kv_value_integer(v));
	else if (kv_value_type(v) == KV_BOOL)
		fputs(kv_value_integer(v) ? "true" : "false", stdout);
	else if (text.len > 0)
		fwrite(text.data, 1, text.len, stdout);
	putchar('\n');
}

/* NOLINTNEXTLINE(misc-no-recursion): libkv bounds the depth */
static void
show_plain(const struct kv_value *v)
{
	const struct kv_value *child;

	if (!is_tree(v)) {
		show_plain_leaf(v);
		return;
	}
	for (child = kv_value_first(v); child != NULL;
	     child = kv_value_next(v, child))
		show_plain(child);
}

/* ---- JSON ---- */

static json_t *
leaf_to_json(const struct kv_value *v)
{
	switch (kv_value_type(v)) {
	case KV_INTEGER:
		return json_integer(kv_value_integer(v));
	case KV_NULL:
		return json_null();
	case KV_BOOL:
		return json_boolean(kv_value_integer(v));
	case KV_FAILURE:
		return json_pack("{s:o}", "error",
		    print_to_json(kv_value_text(v)));
	case KV_DOUBLE:
	case KV_SIMPLE:
	case KV_STRING:
	case KV_BIG:
	case KV_ARRAY:
	case KV_SET:
	case KV_MAP:
	case KV_PUSH:
		break;
	}
	return print_to_json(kv_value_text(v));
}

/* A map becomes an array of pairs: its keys need not be strings, nor differ. */
/* NOLINTNEXTLINE(misc-no-recursion): libkv bounds the depth */
static json_t *
to_json(const struct kv_value *v)
{
	const struct kv_value *child;
	json_t *array, *pair = NULL, *one;

	if (!is_tree(v))
		return leaf_to_json(v);
	array = json_array();
	for (child = kv_value_first(v); child != NULL;
	     child = kv_value_next(v, child)) {
		one = to_json(child);
		if (kv_value_type(v) != KV_MAP) {
			json_array_append_new(array, one);
		} else if (pair == NULL) {
			pair = json_pack("[o]", one);
		} else {
			json_array_append_new(pair, one);
			json_array_append_new(array, pair);
			pair = NULL;
		}
	}
	return array;
}

/* ---- the verb ---- */

static void
show(const struct tool *t, const struct kv_value *v)
{
	if (t->json)
		print_json(to_json(v));
	else if (print_is_terminal())
		show_pretty(v, 0);
	else
		show_plain(v);
	fflush(stdout);
}

/* After these the server goes on talking. */
static bool
is_stream(const char *name)
{
	return strcasecmp(name, "subscribe") == 0 ||
	    strcasecmp(name, "psubscribe") == 0 ||
	    strcasecmp(name, "monitor") == 0;
}

static int
raw_over_port(struct tool *t)
{
	const struct kv_value *reply;
	struct kv_slice *args;
	bool failed = false;
	int i, rc;

	if ((args = calloc((size_t)t->argc, sizeof(*args))) == NULL)
		return tool_failed(t, "raw", KV_ENOMEM);
	for (i = 0; i < t->argc; i++)
		args[i] = tool_arg(t, i);
	rc = kv_client_call(t->client, (size_t)t->argc, args, &reply);
	free(args);
	if (rc == KV_OK) {
		show(t, reply);
		failed = kv_value_type(reply) == KV_FAILURE;
	}
	if (rc == KV_OK && !failed && is_stream(t->argv[0])) {
		kv_client_set_timeout(t->client, -1);
		while ((rc = kv_client_receive(t->client, &reply)) == KV_OK &&
		    !ferror(stdout))
			show(t, reply);
	}
	if (rc < 0)
		return tool_failed(t, t->argv[0], rc);
	return failed ? EXIT_TROUBLE : EXIT_FINE;
}

static const struct verb verbs[] = {
	{
	    .name = "raw",
	    .args = "COMMAND [ARGUMENT ...]",
	    .summary = "send a Redis command and print its reply",
	    .help =
		"On a terminal the reply is shown as redis-cli shows it; into a\n"
		"pipe go bare values, one a line. All that follows is sent as it\n"
		"is, so --json stands before the verb. Exits with 4 when the\n"
		"reply is an error.\n"
		"\n"
		"  kv raw HGETALL shopping\n"
		"  kv --json raw INFO server\n",
	    .least = 1,
	    .most = -1,
	    .over_port = raw_over_port,
	},
	{ .name = NULL },
};

const struct verb *
raw_verbs(void)
{
	return verbs;
}
