/* SPDX-License-Identifier: ISC */
/* CLIENTS of a node that is alone: those of all its workers, whom it asks
 * itself (worker/round.h). */

#include "base/num.h"
#include "worker/clients.h"
#include "worker/cmd.h"
#include "worker/listing.h"
#include "worker/round.h"

/* The value of "name=value" in a line of CLIENT LIST; empty without one. */
static struct kv_slice
presence_field(struct kv_slice line, const char *name)
{
	size_t len = strlen(name), n;
	const char *at = line.data, *end = line.data + line.len, *blank;

	while (at < end) {
		blank = memchr(at, ' ', (size_t)(end - at));
		n = (size_t)((blank == NULL ? end : blank) - at);
		if (n > len && memcmp(at, name, len) == 0)
			return (struct kv_slice){ at + len, n - len };
		at += n + 1;
	}
	return (struct kv_slice){ "", 0 };
}

static void
presence_client(struct call *c, struct kv_slice line)
{
	struct kv_slice name = presence_field(line, "name=");
	uint64_t id = 0;

	if (name.len == 0)
		name = presence_field(line, "addr=");
	if (num_parse_u64(presence_field(line, "id="), &id) < 0)
		return;
	if (c->command == NULL) {
		if (c->reply->rc == KV_OK)
			c->reply->rc = buf_printf(c->reply->out,
			    "%s %llu %.*s\r\n", c->worker->node,
			    (unsigned long long)id, (int)name.len, name.data);
		return;
	}
	reply_array(c->reply, 3);
	reply_text(c->reply, c->worker->node);
	reply_integer(c->reply, (int64_t)id);
	reply_bulk(c->reply, name);
}

static bool
presence_line_of(struct kv_slice *text, struct kv_slice *line)
{
	const char *end = memchr(text->data, '\n', text->len);

	if (text->len == 0 || end == NULL)
		return false;
	*line = (struct kv_slice){ text->data, (size_t)(end - text->data) };
	text->data += line->len + 1;
	text->len -= line->len + 1;
	return true;
}

/* Of those who have the name the line of who took it first (sync/services.h);
 * the lines are in the order of ids.  len 0: nobody. */
static struct kv_slice
presence_holder(struct kv_slice text, struct kv_slice name)
{
	struct kv_slice line, best = { "", 0 };
	uint64_t since, least = UINT64_MAX;

	while (presence_line_of(&text, &line)) {
		if (!slice_equal(presence_field(line, "name="), name) ||
		    num_parse_u64(presence_field(line, "named="), &since) < 0 ||
		    since >= least)
			continue;
		least = since;
		best = line;
	}
	return best;
}

static void
presence_list(struct call *c, struct kv_slice text)
{
	struct call_place place = call_open(c);
	struct kv_slice line;
	size_t n = 0;

	if (c->argc > 1 && (line = presence_holder(text, c->args[1])).len > 0) {
		presence_client(c, line);
		n++;
	}
	while (c->argc == 1 && presence_line_of(&text, &line)) {
		presence_client(c, line);
		n++;
	}
	if (c->command == NULL)
		line_ok(c->reply);
	else
		call_close_array(c, place, n);
}

int
cmd_kv_clients_here(struct call *c)
{
	const struct filter any = { .type = FILTER_ANY };
	char body[FILTER_BYTES_MAX];
	struct round_use *u;
	struct kv_slice theirs;
	struct buf all, sorted;
	int rc;

	rc = round_use(c, ASK_CLIENTS,
	    (struct kv_slice){ body, filter_encode(&any, body) }, &u);
	if (rc < 0 || round_holds(c, u))
		return rc;
	buf_init(&all);
	buf_init(&sorted);
	if ((rc = clients_list(c->worker, &any, &all)) == KV_OK &&
	    (rc = round_text(u, &theirs)) == KV_OK &&
	    (rc = buf_append(&all, theirs.data, theirs.len)) == KV_OK &&
	    (rc = listing_merge(buf_slice(&all), NULL, 0, &sorted)) == KV_OK)
		presence_list(c, buf_slice(&sorted));
	buf_fini(&all);
	buf_fini(&sorted);
	return rc;
}
