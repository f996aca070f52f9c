/* SPDX-License-Identifier: ISC */
/* Looking ahead in the input for keys. */

#include "worker/prefetch.h"

#include "engine/prefetch.h"
#include "worker/commands.h"
#include "worker/keyspace.h"
#include "worker/run.h"

/* A key of the session's strings, or a field of a hash; one per request: the
 * next requests matter more than the rest of a long one. */
static void
prefetch_add(struct prefetch *p, struct call *c, const struct bucket *strings)
{
	const struct command_info *info = &c->command->info;
	const struct bucket *b = strings;
	struct kv_slice key;

	if (info->first_key <= 0 || (size_t)info->first_key >= c->argc)
		return;
	key = c->args[info->first_key];
	if (info->group == COMMAND_GROUP_HASH) {
		if (c->argc < 3 || engine_bucket(c->engine, c->args[1], &b) < 0)
			return;
		key = c->args[2];
	}
	if (b == NULL || key.len > KV_KEY_MAX)
		return;
	p->bid[p->count] = b->bid;
	p->key[p->count++] = key;
}

void
prefetch_requests(struct run *r)
{
	struct worker *w = r->worker;
	struct resp_parser parser = { 0, 0, 0, 0, 0, 0 };
	struct call c = { .worker = w,
		.session = r->session,
		.engine = w->engine,
		.reply = &w->reply };
	const struct bucket *strings = NULL;
	struct prefetch p = { .count = 0 };
	size_t n;

	for (n = 0; n < PREFETCH_MAX; n++) {
		struct kv_slice rest = { r->in.data + r->ahead,
			r->in.len - r->ahead };

		if (rest.len == 0 || *rest.data != '*' ||
		    resp_parse(&parser, rest, &w->limits, &w->ahead) < 0) {
			r->ahead = r->in.len; /* nothing more to see */
			break;
		}
		r->ahead += w->ahead.used;
		if (n == 0 && r->ahead == r->in.len)
			return; /* the only one */
		c.args = w->ahead.args;
		c.argc = w->ahead.count;
		c.command = commands_find(c.args[0]);
		if (c.command == NULL)
			continue;
		if (strings == NULL && keyspace_strings(&c, &strings) < 0)
			strings = NULL;
		prefetch_add(&p, &c, strings);
	}
	if (p.count > 1)
		engine_prefetch(w->engine, &p);
}
