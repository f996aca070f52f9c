/* SPDX-License-Identifier: ISC */
/* COMMAND: the table, as clients ask for it. */

#include <stdio.h>

#include "proto/glob.h"
#include "worker/cmd.h"
#include "worker/commands.h"

#define COMMAND_SUB_MAX (2 * COMMAND_NAME_MAX + 2) /* "config|get" */

static void
command_flags(struct call *c, uint32_t flags)
{
	unsigned bit;

	reply_set(c->reply, (size_t)__builtin_popcount(flags));
	for (bit = 0; bit < 16; bit++)
		if (flags & 1u << bit)
			reply_simple(c->reply,
			    command_flag_name((enum command_flag)(1u << bit)));
}

/* What Redis derives for ACLs: enough for clients that sort by it. */
static void
command_categories(struct call *c, const struct command_info *info)
{
	size_t n = 1;

	n += (info->flags & COMMAND_WRITE) != 0;
	n += (info->flags & COMMAND_READONLY) != 0;
	reply_set(c->reply, n);
	reply_simple(c->reply, info->flags & COMMAND_FAST ? "@fast" : "@slow");
	if (info->flags & COMMAND_WRITE)
		reply_simple(c->reply, "@write");
	if (info->flags & COMMAND_READONLY)
		reply_simple(c->reply, "@read");
}

/* name: "get", or "config|get" of config's row. */
static void
command_head(struct call *c, const struct command_info *info, const char *name,
    int arity)
{
	reply_array(c->reply, 10);
	reply_text(c->reply, name);
	reply_integer(c->reply, arity);
	command_flags(c, info->flags);
	reply_integer(c->reply, info->first_key);
	reply_integer(c->reply, info->last_key);
	reply_integer(c->reply, info->key_step);
	command_categories(c, info);
	reply_set(c->reply, 0); /* tips */
	reply_set(c->reply, 0); /* key specifications */
}

static const char *
command_sub_name(const struct command *of, const struct call_sub *sub,
    char to[COMMAND_SUB_MAX])
{
	snprintf(to, COMMAND_SUB_MAX, "%s|%s", of->info.name, sub->name);
	return to;
}

static void
command_row(struct call *c, const struct command *row)
{
	struct call_sub sub = { .at = 0 };
	char name[COMMAND_SUB_MAX];
	size_t n = 0;

	command_head(c, &row->info, row->info.name, row->info.arity);
	while (commands_next_sub(row, &sub))
		n++;
	reply_array(c->reply, n);
	for (sub.at = 0; commands_next_sub(row, &sub);) {
		command_head(c, &row->info, command_sub_name(row, &sub, name),
		    sub.arity);
		reply_array(c->reply, 0);
	}
}

/* "get", or "config|get". */
static void
command_row_of(struct call *c, struct kv_slice asked)
{
	const char *bar = memchr(asked.data, '|', asked.len);
	struct kv_slice container = asked;
	const struct command *row;
	struct call_sub sub = { .at = 0 };
	char name[COMMAND_SUB_MAX];

	if (bar != NULL)
		container.len = (size_t)(bar - asked.data);
	row = commands_find(container);
	if (row != NULL && bar == NULL) {
		command_row(c, row);
		return;
	}
	while (row != NULL && commands_next_sub(row, &sub)) {
		if (!slice_is_word(asked, command_sub_name(row, &sub, name)))
			continue;
		command_head(c, &row->info, name, sub.arity);
		reply_array(c->reply, 0);
		return;
	}
	reply_null(c->reply);
}

static int
command_count(struct call *c)
{
	size_t n;

	(void)commands_all(&n);
	reply_integer(c->reply, (int64_t)n);
	return KV_OK;
}

static int
command_info(struct call *c)
{
	const struct command *all;
	size_t n, i;

	all = commands_all(&n);
	if (c->argc <= 2) {
		reply_array(c->reply, n);
		for (i = 0; i < n; i++)
			command_row(c, &all[i]);
		return KV_OK;
	}
	reply_array(c->reply, c->argc - 2);
	for (i = 2; i < c->argc; i++)
		command_row_of(c, c->args[i]);
	return KV_OK;
}

static void
command_doc(struct call *c, const struct command_info *info)
{
	reply_text(c->reply, info->name);
	reply_map(c->reply, 4);
	reply_text(c->reply, "summary");
	reply_text(c->reply, info->summary);
	reply_text(c->reply, "since");
	reply_text(c->reply, info->since);
	reply_text(c->reply, "group");
	reply_text(c->reply, command_group_name(info->group));
	reply_text(c->reply, "syntax");
	reply_text(c->reply, info->args);
}

static int
command_docs(struct call *c)
{
	const struct command *all, *one;
	struct call_place place = call_open(c);
	size_t n, i, known = 0;

	all = commands_all(&n);
	for (i = 0; c->argc == 2 && i < n; i++, known++)
		command_doc(c, &all[i].info);
	for (i = 2; i < c->argc; i++) {
		if ((one = commands_find(c->args[i])) != NULL) {
			command_doc(c, &one->info);
			known++;
		}
	}
	call_close_map(c, place, known);
	return KV_OK;
}

/* One of the categories that COMMAND INFO tells, or a group. */
static bool
command_is_in(const struct command_info *info, struct kv_slice category)
{
	if (slice_is_word(category, "fast"))
		return info->flags & COMMAND_FAST;
	if (slice_is_word(category, "slow"))
		return !(info->flags & COMMAND_FAST);
	if (slice_is_word(category, "write"))
		return info->flags & COMMAND_WRITE;
	if (slice_is_word(category, "read"))
		return info->flags & COMMAND_READONLY;
	if (slice_is_word(category, "admin"))
		return info->flags & COMMAND_ADMIN;
	return slice_is_word(category, command_group_name(info->group));
}

static bool
command_is_listed(struct call *c, const struct command_info *info,
    const char *name)
{
	if (c->argc == 2)
		return true;
	if (slice_is_word(c->args[3], "pattern"))
		return glob_match(c->args[4], slice_of(name), true);
	return slice_is_word(c->args[3], "aclcat") &&
	    command_is_in(info, c->args[4]);
}

static size_t
command_list_one(struct call *c, const struct command *row)
{
	struct call_sub sub = { .at = 0 };
	char name[COMMAND_SUB_MAX];
	size_t listed = 0;

	if (command_is_listed(c, &row->info, row->info.name)) {
		reply_text(c->reply, row->info.name);
		listed++;
	}
	while (commands_next_sub(row, &sub)) {
		command_sub_name(row, &sub, name);
		if (command_is_listed(c, &row->info, name)) {
			reply_text(c->reply, name);
			listed++;
		}
	}
	return listed;
}

/* [FILTERBY PATTERN | ACLCAT | MODULE name]; there are no modules. */
static bool
command_list_fits(const struct call *c)
{
	return c->argc == 2 ||
	    (c->argc == 5 && slice_is_word(c->args[2], "filterby") &&
		(slice_is_word(c->args[3], "pattern") ||
		    slice_is_word(c->args[3], "aclcat") ||
		    slice_is_word(c->args[3], "module")));
}

static int
command_list(struct call *c)
{
	const struct command *all;
	struct call_place place = call_open(c);
	size_t n, i, listed = 0;

	if (!command_list_fits(c))
		return call_error(c, "ERR syntax error");
	all = commands_all(&n);
	for (i = 0; i < n; i++)
		listed += command_list_one(c, &all[i]);
	call_close_array(c, place, listed);
	return KV_OK;
}

static int
command_getkeys(struct call *c)
{
	const struct command *asked = commands_find(c->args[2]);
	struct command_keys keys;
	size_t argc = c->argc - 2, i;

	if (asked == NULL)
		return call_error(c, "ERR Invalid command specified");
	if (!command_arity_fits(&asked->info, argc))
		return call_error(c,
		    "ERR Invalid number of arguments specified for command");
	keys = command_keys(&asked->info, argc);
	if (keys.count == 0)
		return call_error(c, "ERR The command has no key arguments");
	reply_array(c->reply, keys.count);
	for (i = 0; i < keys.count; i++)
		reply_bulk(c->reply, c->args[2 + keys.first + i * keys.step]);
	return KV_OK;
}

int
cmd_command(struct call *c)
{
	static const struct cmd_sub subs[] = {
		{ "count", 2, command_count },
		{ "info", -2, command_info },
		{ "docs", -2, command_docs },
		{ "list", -2, command_list },
		{ "getkeys", -3, command_getkeys },
		{ NULL, 0, NULL },
	};

	return c->argc == 1 ? command_info(c) : cmd_dispatch(c, subs);
}
