/* SPDX-License-Identifier: ISC */
/* CONFIG: what clients written for Redis ask and set.  kvd's own options are
 * its configuration's business (kvd.conf(5)), so nothing here changes any.
 * What is set and has no meaning here is kept by the worker, so that whoever
 * looks finds what he set. */

#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "engine/channel.h"
#include "proto/glob.h"
#include "worker/cmd.h"
#include "worker/config_table.h"
#include "worker/measure.h"
#include "worker/notify.h"

/* The one that does something for all workers of the host. */
static bool
config_is_notify(const struct config_row *row)
{
	return strcmp(row->name, "notify-keyspace-events") == 0;
}

static size_t
config_at(const struct config_row *row)
{
	size_t count;

	return (size_t)(row - config_table(&count));
}

/* What it was set to, or what it is from the start; NULL: known elsewhere. */
static const char *
config_kept(const struct worker *w, const struct config_row *row)
{
	if (w->config != NULL && w->config[config_at(row)] != NULL)
		return w->config[config_at(row)];
	return row->value;
}

int64_t
cmd_config_number(const struct worker *w, const char *name)
{
	const struct config_row *row = config_find(slice_of(name));
	const char *text = row == NULL ? NULL : config_kept(w, row);

	return text == NULL ? 0 : strtoll(text, NULL, 10);
}

void
cmd_config_fini(struct worker *w)
{
	size_t i, count;

	(void)config_table(&count);
	for (i = 0; w->config != NULL && i < count; i++)
		free(w->config[i]);
	free(w->config);
	w->config = NULL;
}

/* ---- CONFIG GET ---- */

/* As CONFIG GET shows it. */
static struct kv_slice
config_text(struct call *c, const struct config_row *row,
    char room[CONFIG_VALUE_MAX])
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
	size_t i;

	setting = measure_setting(c->worker, row->name, &least);
	if (setting != NULL)
		return (
		    struct kv_slice){ room, num_format_i64(room, *setting) };
	if (config_is_notify(row))
		return notify_format(channel_notify(c->engine), room);
	for (i = 0; i < sizeof(computed) / sizeof(*computed); i++)
		if (strcmp(computed[i].name, row->name) == 0)
			return (struct kv_slice){ room,
				num_format_u64(room, computed[i].value) };
	return slice_of(config_kept(w, row));
}

static bool
config_is_pattern(struct kv_slice text)
{
	return memchr(text.data, '*', text.len) != NULL ||
	    memchr(text.data, '?', text.len) != NULL ||
	    memchr(text.data, '[', text.len) != NULL;
}

static bool
config_is_asked(struct call *c, const struct config_row *row, const char *name)
{
	size_t i;

	for (i = 2; name != NULL && i < c->argc; i++) {
		if (row->flags & CONFIG_HIDDEN && config_is_pattern(c->args[i]))
			continue;
		if (glob_match(c->args[i], slice_of(name), true))
			return true;
	}
	return false;
}

static int
config_get(struct call *c)
{
	struct call_place place = call_open(c);
	char room[CONFIG_VALUE_MAX];
	const struct config_row *rows;
	size_t i, k, count, n = 0;

	rows = config_table(&count);
	for (i = 0; i < count; i++) {
		const char *names[] = { rows[i].name, rows[i].alias };

		for (k = 0; k < 2; k++) {
			if (!config_is_asked(c, &rows[i], names[k]))
				continue;
			reply_text(c->reply, names[k]);
			reply_bulk(c->reply, config_text(c, &rows[i], room));
			n++;
		}
	}
	call_close_map(c, place, n);
	return KV_OK;
}

/* ---- CONFIG SET ---- */

static int
config_refuse(struct call *c, size_t at, const char *why)
{
	struct kv_slice name = c->args[at];

	return call_errorf(c,
	    "ERR CONFIG SET failed (possibly related to argument '%.*s') - %s",
	    (int)(name.len < 128 ? name.len : 128), name.data, why);
}

/* Are these parameters that can be set, each once?  False: answered. */
static bool
config_check_names(struct call *c)
{
	const struct config_row *row;
	size_t i, k;

	for (i = 2; i < c->argc; i += 2) {
		struct kv_slice name = c->args[i];

		if ((row = config_find(name)) == NULL) {
			call_errorf(c,
			    "ERR Unknown option or number of arguments for"
			    " CONFIG SET - '%.*s'",
			    (int)(name.len < 128 ? name.len : 128), name.data);
			return false;
		}
		if (row->flags & CONFIG_NEVER) {
			config_refuse(c, i, "can't set immutable config");
			return false;
		}
		for (k = 2; k < i; k += 2)
			if (config_find(c->args[k]) == row) {
				config_refuse(c, i, "duplicate parameter");
				return false;
			}
	}
	return true;
}

/* NULL, or why this is no value for it. */
static const char *
config_check(struct call *c, const struct config_row *row, struct kv_slice text,
    char to[CONFIG_VALUE_MAX], char why[CONFIG_WHY_MAX])
{
	char room[CONFIG_VALUE_MAX];
	const char *wrong;
	uint32_t notify;
	int64_t least, *setting;

	if (config_is_notify(row))
		return notify_parse(text, &notify)
		    ? NULL
		    : "Invalid event class character. Use"
		      " 'Ag$lshzxeKEtmdnF'.";
	if ((wrong = config_parse(row, text, to, why)) != NULL)
		return wrong;
	setting = measure_setting(c->worker, row->name, &least);
	if (setting != NULL && strtoll(to, NULL, 10) < least) {
		snprintf(why, CONFIG_WHY_MAX,
		    "argument must be between %lld and %lld inclusive",
		    (long long)least, (long long)INT64_MAX);
		return why;
	}
	if (row->flags & CONFIG_FIXED &&
	    !slice_equal(slice_of(to), config_text(c, row, room)))
		return "can't set immutable config";
	return NULL;
}

static int
config_keep(struct worker *w, const struct config_row *row, const char *text)
{
	size_t count;
	char *copy;

	(void)config_table(&count);
	if (w->config == NULL &&
	    (w->config = calloc(count, sizeof(*w->config))) == NULL)
		return KV_ENOMEM;
	if ((copy = strdup(text)) == NULL)
		return KV_ENOMEM;
	free(w->config[config_at(row)]);
	w->config[config_at(row)] = copy;
	return KV_OK;
}

static int
config_apply(struct call *c, const struct config_row *row, struct kv_slice text)
{
	char to[CONFIG_VALUE_MAX], why[CONFIG_WHY_MAX];
	int64_t least, *setting;
	uint32_t notify;

	if (row->flags & (CONFIG_FIXED | CONFIG_FORGET))
		return KV_OK;
	if (config_is_notify(row)) {
		if (notify_parse(text, &notify))
			channel_set_notify(c->engine, notify);
		return KV_OK;
	}
	if (config_parse(row, text, to, why) != NULL)
		return KV_OK; /* it was checked */
	setting = measure_setting(c->worker, row->name, &least);
	if (setting == NULL)
		return config_keep(c->worker, row, to);
	*setting = strtoll(to, NULL, 10);
	measure_trim(c->worker->measure, (size_t)c->worker->measure->slow_max);
	return KV_OK;
}

/* All or nothing. */
static int
config_set(struct call *c)
{
	char to[CONFIG_VALUE_MAX], why[CONFIG_WHY_MAX];
	const char *wrong;
	size_t i;
	int rc;

	if (c->argc % 2 != 0)
		return call_error(c,
		    "ERR wrong number of arguments for 'config|set' command");
	if (!config_check_names(c))
		return KV_OK;
	for (i = 2; i < c->argc; i += 2) {
		wrong = config_check(c, config_find(c->args[i]), c->args[i + 1],
		    to, why);
		if (wrong != NULL)
			return config_refuse(c, i, wrong);
	}
	for (i = 2; i < c->argc; i += 2) {
		rc = config_apply(c, config_find(c->args[i]), c->args[i + 1]);
		if (rc < 0)
			return rc;
	}
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
