/* SPDX-License-Identifier: ISC */
/* CONFIG: what clients written for Redis ask and set.  kvd's own options are
 * its configuration's business (kvd.conf(5)), so nothing here changes any. */

#include <stdio.h>

#include "base/num.h"
#include "engine/channel.h"
#include "proto/glob.h"
#include "worker/cmd.h"
#include "worker/measure.h"
#include "worker/notify.h"

/* Parameters and what they are; settable: accepted and forgotten, because
 * clients set them at their start and ours does the same without. */
static const struct config_row {
	const char *name;
	const char *value; /* NULL: computed */
	bool settable;
} config_rows[] = {
	{ "activedefrag", "no", true },
	{ "appendfsync", "always", false },
	{ "appendonly", "yes", false },
	{ "bind", "127.0.0.1", false },
	{ "client-output-buffer-limit",
	    "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608"
	    " 60",
	    true },
	{ "cluster-enabled", "no", false },
	{ "databases", NULL, false },
	{ "dir", ".", false },
	{ "hash-max-listpack-entries", "512", true },
	{ "hash-max-listpack-value", "64", true },
	{ "hash-max-ziplist-entries", "512", true },
	{ "hash-max-ziplist-value", "64", true },
	{ "hz", "10", true },
	{ "latency-monitor-threshold", NULL, true },
	{ "latency-tracking", "yes", true },
	{ "lazyfree-lazy-expire", "yes", true },
	{ "lua-time-limit", "5000", true },
	{ "maxclients", NULL, false },
	{ "maxmemory", "0", true },
	{ "maxmemory-policy", "noeviction", true },
	{ "notify-keyspace-events", NULL, true },
	{ "port", NULL, false },
	{ "proto-max-bulk-len", NULL, false },
	{ "requirepass", "", false },
	{ "save", "", true },
	{ "slowlog-log-slower-than", NULL, true },
	{ "slowlog-max-len", NULL, true },
	{ "tcp-keepalive", "0", true },
	{ "timeout", NULL, true },
};

#define CONFIG_ROWS (sizeof(config_rows) / sizeof(*config_rows))

/* The one that does something: for all workers of the host. */
static bool
config_is_notify(const struct config_row *row)
{
	return strcmp(row->name, "notify-keyspace-events") == 0;
}

static void
config_value(struct call *c, const struct config_row *row)
{
	const struct worker *w = c->worker;
	const struct computed {
		const char *name;
		uint64_t value;
	} computed[] = {
		{ "databases", w->databases },
		{ "maxclients", w->serve.limits.connections },
		{ "port", w->port },
		{ "proto-max-bulk-len", w->limits.bulk },
		{ "timeout", w->serve.limits.idle_ns / 1000000000u },
	};
	int64_t *setting, least;
	char letters[NOTIFY_TEXT_MAX];
	size_t i;

	setting = measure_setting(c->worker, row->name, &least);
	if (setting != NULL) {
		reply_bulk_integer(c->reply, *setting);
		return;
	}
	if (row->value != NULL) {
		reply_text(c->reply, row->value);
		return;
	}
	if (config_is_notify(row)) {
		reply_bulk(c->reply,
		    notify_format(channel_notify(c->engine), letters));
		return;
	}
	for (i = 0; i < sizeof(computed) / sizeof(*computed); i++)
		if (strcmp(computed[i].name, row->name) == 0)
			reply_bulk_integer(c->reply,
			    (int64_t)computed[i].value);
}

static bool
config_is_asked(struct call *c, const char *name)
{
	size_t i;

	for (i = 2; i < c->argc; i++)
		if (glob_match(c->args[i], slice_of(name), true))
			return true;
	return false;
}

static int
config_get(struct call *c)
{
	struct call_place place = call_open(c);
	size_t i, n = 0;

	for (i = 0; i < CONFIG_ROWS; i++) {
		if (!config_is_asked(c, config_rows[i].name))
			continue;
		reply_text(c->reply, config_rows[i].name);
		config_value(c, &config_rows[i]);
		n++;
	}
	call_close_map(c, place, n);
	return KV_OK;
}

static const struct config_row *
config_find(struct kv_slice name)
{
	size_t i;

	for (i = 0; i < CONFIG_ROWS; i++)
		if (slice_is_word(name, config_rows[i].name))
			return &config_rows[i];
	return NULL;
}

/* Of the settings that are ours to change; true for all others. */
static bool
config_number(struct call *c, const struct config_row *row,
    struct kv_slice text, bool set)
{
	int64_t *setting, least, value;

	if (row == NULL ||
	    (setting = measure_setting(c->worker, row->name, &least)) == NULL)
		return true;
	if (num_parse_i64(text, &value) < 0 || value < least)
		return false;
	if (set) {
		*setting = value;
		measure_trim(c->worker->measure,
		    (size_t)c->worker->measure->slow_max);
	}
	return true;
}

static int
config_set(struct call *c)
{
	uint32_t notify = channel_notify(c->engine);
	const struct config_row *row;
	size_t i;

	if (c->argc % 2 != 0)
		return call_error(c,
		    "ERR wrong number of arguments for 'config|set' command");
	for (i = 2; i < c->argc; i += 2) {
		int len = (int)(c->args[i].len < 128 ? c->args[i].len : 128);

		if ((row = config_find(c->args[i])) == NULL)
			return call_errorf(c,
			    "ERR Unknown option or number of arguments for"
			    " CONFIG SET - '%.*s'",
			    len, c->args[i].data);
		if (!row->settable)
			return call_errorf(c,
			    "ERR CONFIG SET failed (possibly related to"
			    " argument '%.*s') - can't set immutable config",
			    len, c->args[i].data);
		if (!config_number(c, row, c->args[i + 1], false))
			return call_errorf(c,
			    "ERR CONFIG SET failed (possibly related to"
			    " argument '%.*s') - argument couldn't be parsed"
			    " into an integer",
			    len, c->args[i].data);
		if (config_is_notify(row) &&
		    !notify_parse(c->args[i + 1], &notify))
			return call_errorf(c,
			    "ERR CONFIG SET failed (possibly related to"
			    " argument '%s') - Invalid event class character."
			    " Use 'Ag$lshzxeKEtmdnF'.",
			    row->name);
	}
	for (i = 2; i < c->argc; i += 2)
		(void)config_number(c, config_find(c->args[i]), c->args[i + 1],
		    true);
	channel_set_notify(c->engine, notify);
	reply_ok(c->reply);
	return KV_OK;
}

static int
config_resetstat(struct call *c)
{
	struct worker *w = c->worker;

	w->hits = w->misses = w->errors = w->subscribers_lost = 0;
	w->serve.accepted = w->serve.refused = 0;
	measure_reset(w);
	reply_ok(c->reply);
	return KV_OK;
}

static int
config_rewrite(struct call *c)
{
	return call_error(c, "ERR The server is running without a config file");
}

int
cmd_config(struct call *c)
{
	static const struct cmd_sub subs[] = {
		{ "get", -3, config_get },
		{ "set", -4, config_set },
		{ "resetstat", 2, config_resetstat },
		{ "rewrite", 2, config_rewrite },
		{ NULL, 0, NULL },
	};

	return cmd_dispatch(c, subs);
}
