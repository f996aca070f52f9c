/* SPDX-License-Identifier: ISC */

/* create, drop, count, buckets: buckets as such. */

#include <stdio.h>
#include <stdlib.h>

#include "ask.h"
#include "print.h"
#include "tool.h"

/* ---- create ---- */

static int
create_over_store(struct tool *t)
{
	int i, rc;

	for (i = 0; i < t->argc; i++)
		if ((rc = kv_create(t->store, tool_arg(t, i))) < 0)
			return tool_failed(t, t->argv[i], rc);
	return EXIT_FINE;
}

static int
create_over_port(struct tool *t)
{
	const struct kv_value *reply;
	int i, code;

	for (i = 0; i < t->argc; i++) {
		code = ASK(t, &reply, kv_text("KV.CREATE"), tool_arg(t, i));
		if (code != EXIT_FINE)
			return code;
	}
	return EXIT_FINE;
}

/* ---- drop ---- */

static int
drop_over_store(struct tool *t)
{
	int rc = kv_drop(t->store, tool_arg(t, 0));

	if (rc == KV_ENOTFOUND)
		return tool_no_bucket(t);
	return rc < 0 ? tool_failed(t, "drop", rc) : EXIT_FINE;
}

static int
drop_over_port(struct tool *t)
{
	const struct kv_value *reply;
	int code;

	if ((code = ask_bucket(t)) != EXIT_FINE)
		return code;
	return ASK(t, &reply, kv_text("DEL"), tool_arg(t, 0));
}

/* ---- count ---- */

static int
show_count(const struct tool *t, uint64_t keys)
{
	if (t->json)
		print_json(json_pack("{s:o, s:I}", "bucket",
		    print_to_json(tool_arg(t, 0)), "keys", (json_int_t)keys));
	else
		printf("%llu\n", (unsigned long long)keys);
	return EXIT_FINE;
}

static int
count_over_store(struct tool *t)
{
	uint64_t keys;
	int rc;

	if ((rc = kv_count(t->store, tool_arg(t, 0), &keys)) == KV_ENOTFOUND)
		return tool_no_bucket(t);
	return rc < 0 ? tool_failed(t, "count", rc) : show_count(t, keys);
}

static int
count_over_port(struct tool *t)
{
	const struct kv_value *reply;
	int64_t keys;
	int code;

	code = ASK(t, &reply, kv_text("HLEN"), tool_arg(t, 0));
	if (code != EXIT_FINE)
		return code;
	keys = kv_value_integer(reply);
	if (keys == 0 && (code = ask_bucket(t)) != EXIT_FINE)
		return code;
	return show_count(t, (uint64_t)keys);
}

/* ---- buckets ---- */

static void
show_bucket(const struct tool *t, struct kv_slice name, uint64_t keys)
{
	if (t->json) {
		print_json(json_pack("{s:o, s:I}", "bucket",
		    print_to_json(name), "keys", (json_int_t)keys));
		return;
	}
	print_bytes(name);
	if (t->values)
		printf("\t%llu", (unsigned long long)keys);
	putchar('\n');
}

static int
buckets_over_store(struct tool *t)
{
	struct kv_range range = { .prefix = { NULL, 0 } };
	struct kv_cursor *c = NULL;
	struct kv_entry entry;
	uint64_t keys;
	int rc;

	if (t->argc > 0)
		range.prefix = tool_arg(t, 0);
	if ((rc = kv_buckets(t->store, &range, &c)) < 0)
		return tool_failed(t, "buckets", rc);
	while ((rc = kv_cursor_next(c, &entry)) == KV_OK) {
		/* Dropped meanwhile: not there any more. */
		if (kv_count(t->store, entry.key, &keys) == KV_OK)
			show_bucket(t, entry.key, keys);
	}
	kv_cursor_close(c);
	return rc == KV_ENOTFOUND ? EXIT_FINE : tool_failed(t, "buckets", rc);
}

/* The names of a page of SCAN, and their counts in one pipeline. */
struct name_list {
	char *bytes;
	struct kv_slice *names;
	size_t count;
};

static bool
copy_names(const struct kv_value *array, struct name_list *out)
{
	const struct kv_value *v;
	size_t size = 1, n = kv_value_count(array);
	char *to;

	for (v = kv_value_first(array); v != NULL; v = kv_value_next(array, v))
		size += kv_value_text(v).len;
	out->count = 0;
	out->bytes = to = malloc(size);
	out->names = calloc(n + 1, sizeof(*out->names));
	if (out->bytes == NULL || out->names == NULL)
		return false;
	for (v = kv_value_first(array); v != NULL;
	     v = kv_value_next(array, v)) {
		struct kv_slice s = kv_value_text(v);

		if (s.len > 0)
			memcpy(to, s.data, s.len);
		out->names[out->count++] = kv_bytes(to, s.len);
		to += s.len;
	}
	return true;
}

static int
show_page(struct tool *t, const struct name_list *list)
{
	const struct kv_value *reply;
	size_t i;
	int rc;

	for (i = 0; i < list->count; i++)
		if ((rc = kv_client_send(t->client,
			 KV_ARGS(kv_text("HLEN"), list->names[i]))) < 0)
			return tool_failed(t, "HLEN", rc);
	for (i = 0; i < list->count; i++) {
		if ((rc = kv_client_receive(t->client, &reply)) < 0)
			return tool_failed(t, "HLEN", rc);
		show_bucket(t, list->names[i],
		    (uint64_t)kv_value_integer(reply));
	}
	return EXIT_FINE;
}

static bool
has_prefix(struct kv_slice name, struct kv_slice prefix)
{
	return name.len >= prefix.len &&
	    memcmp(name.data, prefix.data, prefix.len) == 0;
}

static void
keep_prefix(const struct tool *t, struct name_list *list)
{
	size_t i, n = 0;

	if (t->argc == 0)
		return;
	for (i = 0; i < list->count; i++)
		if (has_prefix(list->names[i], tool_arg(t, 0)))
			list->names[n++] = list->names[i];
	list->count = n;
}

static int
buckets_over_port(struct tool *t)
{
	struct name_list list;
	const struct kv_value *reply, *next;
	char cursor[32] = "0";
	int code;

	do {
		code = ASK(t, &reply, kv_text("SCAN"), kv_text(cursor),
		    kv_text("COUNT"), kv_text("1000"), kv_text("TYPE"),
		    kv_text("hash"));
		if (code != EXIT_FINE)
			return code;
		if ((next = kv_value_first(reply)) == NULL)
			return tool_failed(t, "SCAN", KV_EPROTO);
		snprintf(cursor, sizeof(cursor), "%.*s",
		    (int)kv_value_text(next).len, kv_value_text(next).data);
		if ((next = kv_value_next(reply, next)) == NULL)
			return tool_failed(t, "SCAN", KV_EPROTO);
		code = EXIT_TROUBLE;
		if (copy_names(next, &list)) {
			keep_prefix(t, &list);
			code = show_page(t, &list);
		}
		free(list.bytes);
		free(list.names);
	} while (code == EXIT_FINE && strcmp(cursor, "0") != 0);
	return code;
}

/* ---- the table ---- */

static const struct verb verbs[] = {
	{
	    .name = "create",
	    .args = "BUCKET ...",
	    .summary = "make buckets",
	    .help =
		"A bucket that is there already is left as it is. With -d and no\n"
		"store in the folder the store is made, too.\n"
		"\n"
		"  kv create shopping\n"
		"  kv -d /var/lib/kv/shop create shopping photos\n",
	    .least = 1,
	    .most = 1 << 20,
	    .over_port = create_over_port,
	    .over_store = create_over_store,
	    .makes_store = true,
	},
	{
	    .name = "drop",
	    .args = "BUCKET",
	    .summary = "remove a bucket with all that is in it",
	    .help = "Without asking back, and at once however large it is.\n"
		    "\n"
		    "  kv drop shopping\n",
	    .least = 1,
	    .most = 1,
	    .over_port = drop_over_port,
	    .over_store = drop_over_store,
	},
	{
	    .name = "count",
	    .args = "BUCKET",
	    .summary = "print how many keys a bucket has",
	    .help = "At once, however many there are.\n"
		    "\n"
		    "  kv count shopping\n",
	    .least = 1,
	    .most = 1,
	    .over_port = count_over_port,
	    .over_store = count_over_store,
	},
	{
	    .name = "buckets",
	    .args = "[PREFIX]",
	    .summary = "list buckets",
	    .help = "  --values   with the number of keys in each\n"
		    "\n"
		    "  kv buckets\n"
		    "  kv buckets --json | jq -r .bucket\n",
	    .least = 0,
	    .most = 1,
	    .over_port = buckets_over_port,
	    .over_store = buckets_over_store,
	},
	{ .name = NULL },
};

const struct verb *
bucket_verbs(void)
{
	return verbs;
}
