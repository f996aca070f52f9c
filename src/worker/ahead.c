/* SPDX-License-Identifier: ISC */
/* What a lock section will need. */

#include "worker/ahead.h"

#include "worker/commands.h"
#include "worker/keyspace.h"
#include "worker/run.h"

#define AHEAD_REQUESTS 64
#define AHEAD_KEYS 16 /* per request: it is a help, not a duty */

void
ahead_touch(struct call *c)
{
	const struct command_info *info = &c->command->info;
	struct command_keys keys = command_keys(info, c->argc);
	size_t i;

	for (i = 0; i < keys.count && i < AHEAD_KEYS; i++) {
		struct kv_slice key = c->args[keys.first + i * keys.step];

		if (info->group == COMMAND_GROUP_HASH)
			keyspace_warm_hash(c, key, c->args + 2,
			    c->argc > 2 ? c->argc - 2 : 0);
		else
			keyspace_warm(c, key);
	}
}

unsigned
ahead_warm(struct run *r, struct call *c)
{
	struct worker *w = r->worker;
	struct resp_parser parser = { 0, 0, 0, 0, 0, 0 };
	struct call next = *c;
	size_t at = r->at;
	unsigned count = 1;

	if (c->command == NULL)
		return 1;
	ahead_touch(c);
	for (; count < AHEAD_REQUESTS; count++) {
		struct kv_slice rest = { r->in.data + at, r->in.len - at };

		if (rest.len == 0 ||
		    resp_parse(&parser, rest, &w->limits, &w->ahead) < 0)
			break;
		next.args = w->ahead.args;
		next.argc = w->ahead.count;
		next.command = commands_find(next.args[0]);
		if (next.command == NULL ||
		    !(commands_needs(&next) & CALL_ATOMIC) ||
		    !command_arity_fits(&next.command->info, next.argc))
			break;
		ahead_touch(&next);
		at += w->ahead.used;
	}
	return count;
}
