/* SPDX-License-Identifier: ISC */
/* What CREATE is asked for, and doing it. */

#include "worker/create.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "tree/schema.h"
#include "worker/cmd.h"
#include "worker/global.h"
#include "worker/keyspace.h"

struct create {
	uint32_t options;
	bool all;
	uint64_t ms; /* of ALL */
};

/* Capitals in the line protocol, any case in RESP; `word` is in small letters,
 * `verb` the same in capitals. */
static bool
create_is(const struct call *c, size_t i, const char *word, const char *verb)
{
	if (i >= c->argc)
		return false;
	return c->command == NULL ? slice_equal(c->args[i], slice_of(verb))
				  : slice_is_word(c->args[i], word);
}

/* Of where the bucket is to be; *i goes behind it.  False: answered. */
static bool
create_place(struct call *c, size_t *i, struct create *out)
{
	uint64_t ms;

	if (create_is(c, *i, "local", "LOCAL")) {
		out->options |= BUCKET_LOCAL;
		++*i;
	} else if (create_is(c, *i, "all", "ALL")) {
		out->all = true;
		++*i;
		if (*i == c->argc || create_is(c, *i, "ttlmax", "TTLMAX"))
			return true;
		/* The line protocol does not know a command of such words. */
		if (c->command != NULL ||
		    num_parse_u64(c->args[*i], &ms) == KV_OK)
			return cmd_peers_limit(c, c->args[(*i)++], &out->ms);
	}
	return true;
}

/* False: answered. */
static bool
create_ttl(struct call *c, uint64_t ms, struct create *out)
{
	if (bucket_put_ttl(ms, &out->options))
		return true;
	call_errorf(c,
	    "%sTTLMAX is in milliseconds, whole seconds of them, up to"
	    " 16777215000",
	    c->command == NULL ? "" : "ERR ");
	return false;
}

/* *known false: not such words.  False: answered, or not known. */
static bool
create_parse(struct call *c, struct create *out, bool *known)
{
	size_t i = 2;
	uint64_t ms;

	*known = true;
	if (!create_place(c, &i, out))
		return false;
	while (i < c->argc) {
		if (create_is(c, i, "conflicts", "CONFLICTS")) {
			out->options |= BUCKET_CONFLICTS;
			i++;
			continue;
		}
		*known = create_is(c, i, "ttlmax", "TTLMAX") &&
		    out->options >> BUCKET_TTL_SHIFT == 0 && i + 1 < c->argc &&
		    num_parse_u64(c->args[i + 1], &ms) == KV_OK;
		if (!*known || !create_ttl(c, ms, out))
			return false;
		i += 2;
	}
	return true;
}

int
create_tell(struct call *c, const struct record *row)
{
	char text[KV_BUCKET_MAX + 64];
	struct bucket b;
	int n, rc;

	if ((rc = schema_get_bucket(row->value, &b)) < 0)
		return rc;
	memcpy(text, row->key.data, row->key.len);
	n = (int)row->key.len;
	if (b.options & BUCKET_LOCAL)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " LOCAL");
	if (bucket_ttl_ms(&b) != 0)
		n += snprintf(text + n, sizeof(text) - (size_t)n,
		    " TTLMAX %llu", (unsigned long long)bucket_ttl_ms(&b));
	if (b.options & BUCKET_CONFLICTS)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " CONFLICTS");
	line_item(c->reply, (struct kv_slice){ text, (size_t)n });
	return KV_OK;
}

static void
create_pair(struct call *c, const char *what, uint64_t value)
{
	reply_text(c->reply, what);
	reply_integer(c->reply, (int64_t)value);
}

int
cmd_kv_bucket(struct call *c)
{
	const struct bucket *b;
	struct totals sums;
	bool shadows;
	int rc = keyspace_bucket(c, c->args[1], &b);

	if (rc == KV_OK)
		rc = engine_totals(c->engine, b, &sums);
	if (rc == KV_OK)
		rc = engine_shadows(c->engine, c->args[1], b, &shadows);
	if (rc == KV_ENOTFOUND) {
		reply_null_array(c->reply);
		return KV_OK;
	}
	if (rc < 0)
		return rc;
	reply_array(c->reply, 12);
	create_pair(c, "keys", sums.keys);
	create_pair(c, "bytes", sums.bytes);
	create_pair(c, "conflicts", (b->options & BUCKET_CONFLICTS) != 0);
	create_pair(c, "local", (b->options & BUCKET_LOCAL) != 0);
	create_pair(c, "ttlmax", bucket_ttl_ms(b));
	create_pair(c, "shadows", shadows);
	return KV_OK;
}

static int
create_blame(struct call *c)
{
	const struct bucket *b;
	bool there = engine_bucket(c->engine, c->args[1], &b) == KV_OK;

	return call_errorf(c, "%s%s", c->command == NULL ? "" : "ERR ",
	    there ? "the bucket is there with keys and without this TTLMAX"
		  : "another bucket has the id of this name, take another one");
}

int
create_run(struct call *c, bool *known)
{
	struct create want = { .ms = GLOBAL_MS };
	struct kv_slice name = c->args[1];
	int rc;

	if (!create_parse(c, &want, known))
		return KV_OK;
	want.options |= keyspace_options(c->worker, name) | BUCKET_STAYS;
	if (want.all)
		rc = global_create(c, name, want.options, want.ms);
	else if ((rc = keyspace_create(c, name, want.options)) == KV_OK) {
		if (c->command == NULL)
			line_ok(c->reply);
		else
			reply_ok(c->reply);
	}
	return rc == KV_EEXIST ? create_blame(c) : rc;
}
