/* SPDX-License-Identifier: ISC */

/* put, get, del: one key. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ask.h"
#include "print.h"
#include "tool.h"

/* ---- put ---- */

/* All of stdin, which is a value. */
static bool
read_stdin(struct tool *t, struct kv_slice *out)
{
	size_t cap = 65536, len = 0, n;
	char *data = malloc(cap), *more;

	while (
	    data != NULL && (n = fread(data + len, 1, cap - len, stdin)) > 0) {
		len += n;
		if (len < cap)
			continue;
		cap *= 2;
		if ((more = realloc(data, cap)) == NULL)
			free(data);
		data = more;
	}
	if (data == NULL || ferror(stdin)) {
		tool_say("cannot read the value: %s", strerror(errno));
		free(data);
		return false;
	}
	t->input = data;
	*out = kv_bytes(data, len);
	return true;
}

static bool
value_of(struct tool *t, struct kv_slice *out)
{
	if (strcmp(t->argv[2], "-") == 0)
		return read_stdin(t, out);
	*out = tool_arg(t, 2);
	return true;
}

static int
put_over_store(struct tool *t)
{
	struct kv_slice value;
	uint64_t deadline = 0;
	struct timespec now;
	int rc;

	if (!value_of(t, &value))
		return EXIT_USAGE;
	if (t->ttl != NULL) {
		if (!tool_duration("--ttl", t->ttl, &deadline))
			return EXIT_USAGE;
		clock_gettime(CLOCK_REALTIME, &now);
		deadline += (uint64_t)now.tv_sec * 1000 +
		    (uint64_t)now.tv_nsec / 1000000;
	}
	rc = kv_put(t->store, tool_arg(t, 0), tool_arg(t, 1), value, deadline);
	if (rc == KV_ENOTFOUND)
		return tool_no_bucket(t);
	return rc < 0 ? tool_failed(t, "put", rc) : EXIT_FINE;
}

static int
put_over_port(struct tool *t)
{
	const struct kv_value *reply;
	struct kv_slice value;
	uint64_t ttl;
	char ms[32];
	int code;

	if (!value_of(t, &value))
		return EXIT_USAGE;
	if (t->ttl != NULL && !tool_duration("--ttl", t->ttl, &ttl))
		return EXIT_USAGE;
	/* HSET would make the bucket. */
	if ((code = ask_bucket(t)) != EXIT_FINE)
		return code;
	if (t->ttl == NULL)
		return ASK(t, &reply, kv_text("HSET"), tool_arg(t, 0),
		    tool_arg(t, 1), value);
	snprintf(ms, sizeof(ms), "%llu", (unsigned long long)ttl);
	return ASK(t, &reply, kv_text("HSETEX"), tool_arg(t, 0), kv_text("PX"),
	    kv_text(ms), kv_text("FIELDS"), kv_text("1"), tool_arg(t, 1),
	    value);
}

/* ---- get ---- */

static int
no_such_key(const struct tool *t, int i)
{
	tool_say("no such key in %s: %s", t->argv[0], t->argv[i]);
	return EXIT_ABSENT;
}

static int
show_value(struct tool *t, const struct kv_entry *e)
{
	json_t *o;

	if (t->json) {
		o = json_pack("{s:o, s:o}", "key", print_to_json(e->key),
		    "value", print_to_json(e->value));
		if (e->seq != 0)
			json_object_set_new(o, "seq",
			    print_number_to_json(e->seq));
		if (e->deadline_ms != 0)
			json_object_set_new(o, "deadline_ms",
			    json_integer((json_int_t)e->deadline_ms));
		print_json(o);
		return EXIT_FINE;
	}
	print_bytes(e->value);
	if (print_is_terminal())
		putchar('\n');
	return EXIT_FINE;
}

static int
get_over_store(struct tool *t)
{
	struct kv_entry entry;
	uint64_t keys;
	int rc;

	rc = kv_get_entry(t->store, tool_arg(t, 0), tool_arg(t, 1), &entry);
	if (rc == KV_OK)
		return show_value(t, &entry);
	if (rc != KV_ENOTFOUND)
		return tool_failed(t, "get", rc);
	rc = kv_count(t->store, tool_arg(t, 0), &keys);
	return rc == KV_ENOTFOUND ? tool_no_bucket(t) : no_such_key(t, 1);
}

static int
get_over_port(struct tool *t)
{
	const struct kv_value *reply;
	struct kv_entry entry = { .key = tool_arg(t, 1) };
	int code;

	code = ASK(t, &reply, kv_text("HGET"), tool_arg(t, 0), tool_arg(t, 1));
	if (code != EXIT_FINE)
		return code;
	if (kv_value_type(reply) != KV_NULL) {
		entry.value = kv_value_text(reply);
		return show_value(t, &entry);
	}
	code = ask_bucket(t);
	return code != EXIT_FINE ? code : no_such_key(t, 1);
}

/* ---- del ---- */

/* Some of the keys may be there and some not: all are tried. */
static int
del_over_store(struct tool *t)
{
	uint64_t keys;
	int i, rc, code = EXIT_FINE;

	if ((rc = kv_count(t->store, tool_arg(t, 0), &keys)) == KV_ENOTFOUND)
		return tool_no_bucket(t);
	for (i = 1; i < t->argc && rc == KV_OK; i++) {
		rc = kv_delete(t->store, tool_arg(t, 0), tool_arg(t, i));
		if (rc == KV_ENOTFOUND) {
			code = no_such_key(t, i);
			rc = KV_OK;
		}
	}
	return rc < 0 ? tool_failed(t, "del", rc) : code;
}

static int
del_over_port(struct tool *t)
{
	const struct kv_value *reply;
	int i, code, result = EXIT_FINE;

	if ((code = ask_bucket(t)) != EXIT_FINE)
		return code;
	for (i = 1; i < t->argc; i++) {
		code = ASK(t, &reply, kv_text("HDEL"), tool_arg(t, 0),
		    tool_arg(t, i));
		if (code != EXIT_FINE)
			return code;
		if (kv_value_integer(reply) == 0)
			result = no_such_key(t, i);
	}
	return result;
}

/* ---- the table ---- */

static const struct verb verbs[] = {
	{
	    .name = "put",
	    .args = "BUCKET KEY VALUE",
	    .summary = "set a key",
	    .help =
		"VALUE may be - for all of stdin. The bucket must be there. Returns\n"
		"when the value is as safe as the store's durability promises.\n"
		"\n"
		"  --ttl TIME   let the key go by itself: 500ms, 90s, 5m, 2h, 7d\n"
		"\n"
		"  kv put shopping milk 1\n"
		"  kv put photos cat.jpg - <cat.jpg\n"
		"  kv put sessions 7f3a alice --ttl 30m\n",
	    .least = 3,
	    .most = 3,
	    .over_port = put_over_port,
	    .over_store = put_over_store,
	},
	{
	    .name = "get",
	    .args = "BUCKET KEY",
	    .summary = "print a key's value",
	    .help =
		"Into a file or a pipe go the bytes of the value and nothing else; on\n"
		"a terminal it ends with a new line, and what is not printable is\n"
		"escaped.\n"
		"\n"
		"  kv get shopping milk\n"
		"  kv get photos cat.jpg >cat.jpg\n"
		"  kv get --json shopping milk\n",
	    .least = 2,
	    .most = 2,
	    .over_port = get_over_port,
	    .over_store = get_over_store,
	},
	{
	    .name = "del",
	    .args = "BUCKET KEY ...",
	    .summary = "delete keys",
	    .help = "Exits with 1 when one of the keys was not there.\n"
		    "\n"
		    "  kv del shopping milk eggs\n",
	    .least = 2,
	    .most = 1 << 20,
	    .over_port = del_over_port,
	    .over_store = del_over_store,
	},
	{ .name = NULL },
};

const struct verb *
key_verbs(void)
{
	return verbs;
}
