/* SPDX-License-Identifier: ISC */
/* SUBSCRIBE and its kin, PUBLISH, PUBSUB. */

#include <stdlib.h>
#include <uthash.h>

#include "proto/glob.h"
#include "worker/cmd.h"
#include "worker/pubsub.h"

static int64_t
pubsub_all(const struct call *c)
{
	return (int64_t)(pubsub_count(c->session, CHANNEL_NAME) +
	    pubsub_count(c->session, CHANNEL_PATTERN));
}

static int
pubsub_check(struct call *c, enum channel_kind kind, struct kv_slice name)
{
	return name.len > 0 && name.len <= KV_KEY_MAX
	    ? KV_OK
	    : call_blame(c, kind == CHANNEL_NAME ? "channel" : "pattern",
		  name.len, KV_KEY_MAX);
}

static int
pubsub_add(struct call *c, enum channel_kind kind, const char *what)
{
	size_t i;
	int rc;

	for (i = 1; i < c->argc; i++)
		if ((rc = pubsub_check(c, kind, c->args[i])) < 0)
			return rc;
	for (i = 1; i < c->argc; i++) {
		rc = pubsub_subscribe(c->session, kind, c->args[i]);
		if (rc < 0)
			return rc;
		reply_push(c->reply, 3);
		reply_text(c->reply, what);
		reply_bulk(c->reply, c->args[i]);
		reply_integer(c->reply, pubsub_all(c));
	}
	return KV_OK;
}

int
cmd_subscribe(struct call *c)
{
	return pubsub_add(c, CHANNEL_NAME, "subscribe");
}

int
cmd_psubscribe(struct call *c)
{
	return pubsub_add(c, CHANNEL_PATTERN, "psubscribe");
}

static void
pubsub_remove(struct call *c, enum channel_kind kind, const char *what,
    struct kv_slice name)
{
	reply_push(c->reply, 3);
	reply_text(c->reply, what);
	reply_bulk(c->reply, name); /* may go with the subscription */
	pubsub_unsubscribe(c->session, kind, name);
	reply_integer(c->reply, pubsub_all(c));
}

static int
pubsub_remove_all(struct call *c, enum channel_kind kind, const char *what)
{
	struct kv_slice name;
	size_t i;

	for (i = 1; i < c->argc; i++)
		pubsub_remove(c, kind, what, c->args[i]);
	if (c->argc > 1)
		return KV_OK;
	if (!pubsub_any(c->session, kind, &name)) {
		reply_push(c->reply, 3);
		reply_text(c->reply, what);
		reply_null(c->reply);
		reply_integer(c->reply, pubsub_all(c));
	}
	while (pubsub_any(c->session, kind, &name))
		pubsub_remove(c, kind, what, name);
	return KV_OK;
}

int
cmd_unsubscribe(struct call *c)
{
	return pubsub_remove_all(c, CHANNEL_NAME, "unsubscribe");
}

int
cmd_punsubscribe(struct call *c)
{
	return pubsub_remove_all(c, CHANNEL_PATTERN, "punsubscribe");
}

/* Clients of all workers that will get it, as far as the table tells. */
static uint64_t
publish_receivers(struct call *c, struct kv_slice channel)
{
	uint64_t n = pubsub_receivers(c->worker, channel);
	struct channel_item item;
	uint32_t at = 0;

	if (!channel_has_others(c->engine))
		return n;
	n += channel_others(c->engine, channel);
	while (channel_next(c->engine, CHANNEL_PATTERN, &at, &item))
		if (glob_match((struct kv_slice){ item.name, item.len },
			channel, false))
			n += item.count;
	return n;
}

int
cmd_publish(struct call *c)
{
	struct kv_slice channel = c->args[1], payload = c->args[2];
	int rc;

	if ((rc = pubsub_check(c, CHANNEL_NAME, channel)) < 0 ||
	    (rc = call_check_value(c, payload)) < 0)
		return rc;
	if (!channel_has_any(c->engine)) {
		reply_integer(c->reply, 0);
		return KV_OK;
	}
	if ((rc = engine_publish(c->engine, MESSAGE_CHANNEL, channel,
		 payload)) < 0)
		return rc;
	reply_integer(c->reply, (int64_t)publish_receivers(c, channel));
	return KV_OK;
}

/* ---- PUBSUB ---- */

/* Names of other processes that were told already. */
struct told {
	UT_hash_handle hh;
	size_t len;
	char name[];
};

/* True when it was not told; KV_ENOMEM counts as told. */
static bool
told_add(struct told **all, const struct channel_item *item)
{
	struct told *t;

	HASH_FIND(hh, *all, item->name, item->len, t);
	if (t != NULL || (t = calloc(1, sizeof(*t) + item->len)) == NULL)
		return false;
	t->len = item->len;
	memcpy(t->name, item->name, item->len);
	HASH_ADD_KEYPTR(hh, *all, t->name, t->len, t);
	return true;
}

static void
told_free(struct told *all)
{
	struct told *t, *next;

	HASH_ITER(hh, all, t, next) {
		HASH_DEL(all, t);
		free(t);
	}
}

/* Names of a kind that match, each once; write: as elements of a reply. */
static size_t
pubsub_names(struct call *c, enum channel_kind kind,
    const struct kv_slice *pattern, bool write)
{
	const struct pubsub_topic *t = NULL;
	struct channel_item item;
	struct told *told = NULL;
	struct kv_slice name;
	uint32_t at = 0;
	size_t n = 0;

	while ((t = pubsub_next(c->worker, kind, t)) != NULL) {
		name = pubsub_name(t);
		if (pattern != NULL && !glob_match(*pattern, name, false))
			continue;
		if (write)
			reply_bulk(c->reply, name);
		n++;
	}
	while (channel_next(c->engine, kind, &at, &item)) {
		name = (struct kv_slice){ item.name, item.len };
		if ((pattern != NULL && !glob_match(*pattern, name, false)) ||
		    pubsub_find(c->worker, kind, name) != NULL ||
		    !told_add(&told, &item))
			continue;
		if (write)
			reply_bulk(c->reply, name);
		n++;
	}
	told_free(told);
	return n;
}

static int
pubsub_channels(struct call *c)
{
	struct call_place place = call_open(c);
	size_t n;

	if (c->argc > 3)
		return call_error(c,
		    "ERR unknown subcommand or wrong number of arguments for"
		    " 'channels'. Try PUBSUB HELP.");
	n = pubsub_names(c, CHANNEL_NAME, c->argc == 3 ? &c->args[2] : NULL,
	    true);
	if (call_overflows(c))
		return KV_ETOOBIG;
	call_close_array(c, place, n);
	return KV_OK;
}

static int
pubsub_numsub(struct call *c)
{
	const struct pubsub_topic *t;
	uint64_t n;
	size_t i;

	reply_array(c->reply, (c->argc - 2) * 2);
	for (i = 2; i < c->argc; i++) {
		t = pubsub_find(c->worker, CHANNEL_NAME, c->args[i]);
		n = t == NULL ? 0 : pubsub_subscribers(t);
		n += channel_others(c->engine, c->args[i]);
		reply_bulk(c->reply, c->args[i]);
		reply_integer(c->reply, (int64_t)n);
	}
	return KV_OK;
}

static int
pubsub_numpat(struct call *c)
{
	reply_integer(c->reply,
	    (int64_t)pubsub_names(c, CHANNEL_PATTERN, NULL, false));
	return KV_OK;
}

int
cmd_pubsub(struct call *c)
{
	static const struct cmd_sub subs[] = {
		{ "channels", -2, pubsub_channels },
		{ "numsub", -2, pubsub_numsub },
		{ "numpat", 2, pubsub_numpat },
		{ NULL, 0, NULL },
	};

	return cmd_dispatch(c, subs);
}
