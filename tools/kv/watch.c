/* SPDX-License-Identifier: ISC */

/* watch: the changes of a bucket, as they are made. */

#include <stdio.h>

#include "print.h"
#include "tool.h"

static const char *const types[] = {
	[KV_CHANGE_PUT] = "put",
	[KV_CHANGE_DELETE] = "delete",
	[KV_CHANGE_EXPIRE] = "expire",
	[KV_CHANGE_CREATE] = "create",
	[KV_CHANGE_DROP] = "drop",
};

static void
show_json(const struct kv_change *c)
{
	json_t *o = json_pack("{s:s}", "type", types[c->type]);

	if (c->key.len > 0 || c->type == KV_CHANGE_PUT ||
	    c->type == KV_CHANGE_DELETE || c->type == KV_CHANGE_EXPIRE)
		json_object_set_new(o, "key", print_to_json(c->key));
	if (c->type == KV_CHANGE_PUT)
		json_object_set_new(o, "value", print_to_json(c->value));
	if (c->seq != 0)
		json_object_set_new(o, "seq", print_number_to_json(c->seq));
	if (c->deadline_ms != 0)
		json_object_set_new(o, "deadline_ms",
		    json_integer((json_int_t)c->deadline_ms));
	print_json(o);
}

static void
show_change(const struct tool *t, const struct kv_change *c)
{
	if (t->json) {
		show_json(c);
	} else {
		print_bytes(c->key);
		switch (c->type) {
		case KV_CHANGE_PUT:
			print_coloured(PRINT_GREEN, " SET TO ");
			print_bytes(c->value);
			break;
		case KV_CHANGE_DELETE:
			print_coloured(PRINT_RED, " DELETED");
			break;
		case KV_CHANGE_EXPIRE:
			print_coloured(PRINT_RED, " DELETED");
			print_coloured(PRINT_DIM, " (expired)");
			break;
		case KV_CHANGE_CREATE:
			print_coloured(PRINT_DIM, "(bucket made)");
			break;
		case KV_CHANGE_DROP:
			print_coloured(PRINT_RED, "(bucket dropped)");
			break;
		}
		putchar('\n');
	}
	fflush(stdout);
}

/* --from and --count; from stays KV_FROM_NOW, count UINT64_MAX when not
 * given. */
static bool
limits(const struct tool *t, uint64_t *from, uint64_t *count)
{
	*from = KV_FROM_NOW;
	*count = UINT64_MAX;
	return (t->from == NULL || tool_number("--from", t->from, from)) &&
	    (t->count == NULL || tool_number("--count", t->count, count));
}

static int
too_late(struct tool *t)
{
	tool_say("%s: changes were missed: the log does not reach back that "
		 "far",
	    t->argv[0]);
	return EXIT_TROUBLE;
}

static int
watch_over_store(struct tool *t)
{
	struct kv_change change;
	struct kv_watch *w = NULL;
	uint64_t from, left;
	int rc;

	if (!limits(t, &from, &left))
		return EXIT_USAGE;
	rc = kv_watch_open(t->store, tool_arg(t, 0), from, &w);
	if (rc == KV_ENOTFOUND)
		return tool_no_bucket(t);
	while (rc == KV_OK && left > 0 && !ferror(stdout)) {
		if ((rc = kv_watch_next(w, &change)) == KV_OK) {
			show_change(t, &change);
			left--;
		} else if (rc == KV_EAGAIN) {
			rc = kv_watch_wait(w, -1);
			if (rc == KV_EAGAIN)
				rc = KV_OK;
		}
	}
	kv_watch_close(w);
	if (rc == KV_ESTALE)
		return too_late(t);
	return rc < 0 ? tool_failed(t, "watch", rc) : EXIT_FINE;
}

static int
watch_over_port(struct tool *t)
{
	struct kv_change change;
	struct kv_slice said;
	uint64_t from, left;
	int rc;

	if (!limits(t, &from, &left))
		return EXIT_USAGE;
	rc = kv_client_watch(t->client, tool_arg(t, 0), from);
	if (rc == KV_EINVAL) {
		tool_say("over a port a bucket's name cannot have white "
			 "space; use -d");
		return EXIT_USAGE;
	}
	kv_client_set_timeout(t->client, -1);
	while (rc == KV_OK && left > 0 && !ferror(stdout)) {
		rc = kv_client_next_change(t->client, &change);
		if (rc == KV_OK) {
			show_change(t, &change);
			left--;
		}
	}
	if (rc == KV_ENOTFOUND)
		return tool_no_bucket(t);
	if (rc == KV_ESTALE)
		return too_late(t);
	if (rc == KV_EPROTO) {
		said = kv_client_said(t->client);
		tool_say("%s: %.*s", t->where, (int)said.len, said.data);
		return EXIT_TROUBLE;
	}
	return rc < 0 ? tool_failed(t, "watch", rc) : EXIT_FINE;
}

static const struct verb verbs[] = {
	{
	    .name = "watch",
	    .args = "BUCKET",
	    .summary = "print every change of a bucket as it is made",
	    .help =
		"Changes by any client, process or host, in one order. Ends when\n"
		"the server does, or when it could not keep up.\n"
		"\n"
		"  --from SEQ    begin behind this change (--json shows seq)\n"
		"  --count N     end after so many\n"
		"\n"
		"  kv watch shopping\n"
		"  kv -d /var/lib/kv/shop watch shopping --json\n",
	    .least = 1,
	    .most = 1,
	    .over_port = watch_over_port,
	    .over_store = watch_over_store,
	},
	{ .name = NULL },
};

const struct verb *
watch_verbs(void)
{
	return verbs;
}
