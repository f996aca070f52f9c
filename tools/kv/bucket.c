/* SPDX-License-Identifier: ISC */

/* create, drop, count, buckets: buckets as such. */

#include <stdio.h>
#include <stdlib.h>

#include "ask.h"
#include "print.h"
#include "tool.h"

/* ---- create ---- */

/* What --ttl-max says, in ms; 0: nothing.  False after saying what is wrong. */
static bool
take_ttl_max(const struct tool *t, uint64_t *ms)
{
	*ms = 0;
	if (t->ttl_max == NULL)
		return true;
	if (!tool_duration("--ttl-max", t->ttl_max, ms))
		return false;
	if (*ms >= 1000 && *ms % 1000 == 0)
		return true;
	tool_say("--ttl-max: \"%s\": expected whole seconds", t->ttl_max);
	return false;
}

static int
create_over_store(struct tool *t)
{
	struct kv_bucket_options options = { .local = t->local,
		.conflict_log = t->conflict_log };
	int i, rc;

	if (!take_ttl_max(t, &options.ttl_max_ms))
		return EXIT_USAGE;
	for (i = 0; i < t->argc; i++) {
		rc = kv_create_with(t->store, tool_arg(t, i), &options);
		if (rc == KV_EEXIST) {
			tool_say("%s: the bucket is there with keys and"
				 " without this --ttl-max",
			    t->argv[i]);
			return EXIT_TROUBLE;
		}
		if (rc < 0)
			return tool_failed(t, t->argv[i], rc);
	}
	return EXIT_FINE;
}

static int
create_over_port(struct tool *t)
{
	const struct kv_value *reply;
	struct kv_slice args[6] = { kv_text("KV.CREATE") };
	char number[32];
	size_t n = 2;
	uint64_t ms;
	int i, code;

	if (!take_ttl_max(t, &ms))
		return EXIT_USAGE;
	if (t->local)
		args[n++] = kv_text("LOCAL");
	snprintf(number, sizeof(number), "%llu", (unsigned long long)ms);
	if (ms != 0) {
		args[n++] = kv_text("TTLMAX");
		args[n++] = kv_text(number);
	}
	if (t->conflict_log)
		args[n++] = kv_text("CONFLICTS");
	for (i = 0; i < t->argc; i++) {
		args[1] = tool_arg(t, i);
		if ((code = ask(t, &reply, n, args)) != EXIT_FINE)
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
show_bucket(const struct tool *t, struct kv_slice name,
    const struct kv_bucket_info *info)
{
	json_t *o;

	if (t->json) {
		o = json_pack("{s:o, s:I}", "bucket", print_to_json(name),
		    "keys", (json_int_t)info->keys);
		if (info->local)
			json_object_set_new(o, "local", json_true());
		if (info->shadows)
			json_object_set_new(o, "shadows", json_true());
		if (info->ttl_max_ms != 0)
			json_object_set_new(o, "ttl_max_ms",
			    json_integer((json_int_t)info->ttl_max_ms));
		if (info->conflict_log)
			json_object_set_new(o, "conflict_log", json_true());
		print_json(o);
		return;
	}
	print_bytes(name);
	if (t->values)
		printf("\t%llu", (unsigned long long)info->keys);
	if (t->values && info->local)
		printf("\tlocal%s",
		    info->shadows ? ", hides a shared one" : "");
	putchar('\n');
}

static int
buckets_over_store(struct tool *t)
{
	struct kv_range range = { .prefix = { NULL, 0 } };
	struct kv_cursor *c = NULL;
	struct kv_bucket_info info;
	struct kv_entry entry;
	int rc;

	if (t->argc > 0)
		range.prefix = tool_arg(t, 0);
	if ((rc = kv_buckets(t->store, &range, &c)) < 0)
		return tool_failed(t, "buckets", rc);
	while ((rc = kv_cursor_next(c, &entry)) == KV_OK) {
		/* Dropped meanwhile: not there any more. */
		if (kv_bucket_info(t->store, entry.key, &info) == KV_OK)
			show_bucket(t, entry.key, &info);
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

/* The number behind a word in pairs; 0 from a server that does not tell. */
static uint64_t
pair_of(const struct kv_value *pairs, const char *word)
{
	const struct kv_value *v = kv_value_first(pairs);
	struct kv_slice text;

	while (v != NULL) {
		text = kv_value_text(v);
		v = kv_value_next(pairs, v);
		if (v == NULL)
			break;
		if (text.len == strlen(word) &&
		    memcmp(text.data, word, text.len) == 0)
			return (uint64_t)kv_value_integer(v);
		v = kv_value_next(pairs, v);
	}
	return 0;
}

static int
send_page(struct tool *t, const struct name_list *list)
{
	size_t i;
	int rc = KV_OK;

	for (i = 0; i < list->count && rc == KV_OK; i++) {
		rc = kv_client_send(t->client,
		    KV_ARGS(kv_text("HLEN"), list->names[i]));
		if (rc == KV_OK && (t->json || t->values))
			rc = kv_client_send(t->client,
			    KV_ARGS(kv_text("KV.BUCKET"), list->names[i]));
	}
	return rc;
}

static int
show_page(struct tool *t, const struct name_list *list)
{
	const struct kv_value *reply;
	size_t i;
	int rc = send_page(t, list);

	for (i = 0; i < list->count && rc == KV_OK; i++) {
		struct kv_bucket_info info = { .keys = 0 };

		if ((rc = kv_client_receive(t->client, &reply)) < 0)
			break;
		info.keys = (uint64_t)kv_value_integer(reply);
		if ((t->json || t->values) &&
		    (rc = kv_client_receive(t->client, &reply)) == KV_OK &&
		    kv_value_type(reply) == KV_ARRAY) {
			info.ttl_max_ms = pair_of(reply, "ttlmax");
			info.local = pair_of(reply, "local") != 0;
			info.conflict_log = pair_of(reply, "conflicts") != 0;
			info.shadows = pair_of(reply, "shadows") != 0;
		}
		if (rc == KV_OK)
			show_bucket(t, list->names[i], &info);
	}
	return rc < 0 ? tool_failed(t, "HLEN", rc) : EXIT_FINE;
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
		"  --local          of this host alone; hosts may share another one\n"
		"                   of that name, which is not seen here until this\n"
		"                   one is dropped\n"
		"  --ttl-max TIME   keys go by themselves after so long at the\n"
		"                   latest: 30s, 5m, 2h, 7d; for sessions, caches\n"
		"  --conflict-log   keep what is lost when two hosts write a key\n"
		"                   at once; see kv conflicts\n"
		"\n"
		"  kv create shopping\n"
		"  kv -d /var/lib/kv/shop create shopping photos\n"
		"  kv create sessions --ttl-max 1h\n",
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
	    .help =
		"  --values   with the number of keys in each, and what is local\n"
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
