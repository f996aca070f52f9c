/* SPDX-License-Identifier: ISC */
/* SWAPDB.  Names of buckets say which database they are of, so all records are
 * written again: one batch, which is refused when no segment can hold it. */

#include <stdlib.h>
#include <utlist.h>

#include "base/num.h"
#include "engine/scan.h"
#include "worker/cmd.h"
#include "worker/deadline.h"
#include "worker/keyspace.h"

/* A bucket of one side, with a walk that began before anything was staged. */
struct swap_bucket {
	struct swap_bucket *next;
	struct scan *scan;
	bool strings;
	enum scope scope;
	uint32_t options;
	uint64_t deadline;
	size_t name_len, key_len; /* the key ends the name */
	char name[];
};

static struct kv_slice
swap_name(const struct swap_bucket *s)
{
	return (struct kv_slice){ s->name, s->name_len };
}

static struct kv_slice
swap_key(const struct swap_bucket *s)
{
	return (
	    struct kv_slice){ s->name + s->name_len - s->key_len, s->key_len };
}

static int
swap_add(struct call *c, struct swap_bucket **list, const struct bucket *b,
    struct kv_slice name, struct kv_slice key)
{
	struct swap_bucket *s;
	int rc;

	if ((s = calloc(1, sizeof(*s) + name.len)) == NULL)
		return KV_ENOMEM;
	s->strings = b->options & BUCKET_DATABASE;
	s->scope = scope_of_id(b->bid);
	s->options = b->options;
	s->name_len = name.len;
	s->key_len = key.len;
	memcpy(s->name, name.data, name.len);
	LL_PREPEND(*list, s);
	if ((rc = deadline_get(c->engine, name, b, &s->deadline)) < 0)
		return rc;
	return scan_open(c->engine, b, &s->scan);
}

/* All buckets of the session's database. */
static int
swap_gather(struct call *c, struct swap_bucket **list)
{
	char room[WORKER_DATABASE_NAME];
	struct kv_slice name, key;
	const struct bucket *b;
	enum scope scope;
	struct scan *s;
	struct record r;
	int rc;

	name = worker_database_name(c->session->database, room);
	for (scope = SCOPE_GLOBAL; scope <= SCOPE_LOCAL; scope++) {
		rc = engine_bucket_in(c->engine, scope, name, &b);
		if (rc == KV_OK)
			rc = swap_add(c, list, b, name, name);
		if (rc < 0 && rc != KV_ENOTFOUND)
			return rc;
	}
	if ((rc = scan_open_buckets(c->engine, &s)) < 0)
		return rc;
	scan_also_shadowed(s);
	while ((rc = scan_next(s, &r)) == KV_OK) {
		rc = engine_bucket_in(c->engine, scope_of_id(r.bid), r.key, &b);
		if (rc == KV_OK && keyspace_is_hash(c, b, r.key, &key))
			rc = swap_add(c, list, b, r.key, key);
		if (rc < 0 && rc != KV_ENOTFOUND)
			break;
	}
	scan_close(s);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
swap_drop(struct call *c, const struct swap_bucket *list)
{
	const struct swap_bucket *s;
	int rc;

	LL_FOREACH(list, s)
		if ((rc = engine_drop_in(c->engine, s->scope, swap_name(s))) <
		    0)
			return rc;
	return KV_OK;
}

static int
swap_put_one(struct call *c, const struct swap_bucket *s)
{
	char room[KEYSPACE_NAME_MAX];
	struct kv_slice name = worker_database_name(c->session->database, room);
	enum scope scope =
	    s->options & BUCKET_LOCAL ? SCOPE_LOCAL : SCOPE_GLOBAL;
	const struct bucket *b;
	struct record r;
	int rc;

	if (!s->strings &&
	    (rc = keyspace_hash_name(c, swap_key(s), room, &name)) < 0)
		return rc;
	if ((rc = engine_create_in(c->engine, scope, name, s->options)) < 0 ||
	    (rc = engine_bucket_in(c->engine, scope, name, &b)) < 0)
		return rc;
	while ((rc = scan_next(s->scan, &r)) == KV_OK) {
		rc = engine_put(c->engine, b, r.key, r.value, r.deadline);
		if (rc == KV_OK && r.deadline != 0 && !s->strings)
			rc = keyspace_field_expires(c, swap_key(s), b,
			    r.deadline);
		if (rc < 0)
			return rc;
	}
	return rc == KV_ENOTFOUND && s->deadline != 0
	    ? deadline_put(c->engine, name, b, s->deadline)
	    : rc;
}

/* As what the session's database has. */
static int
swap_put(struct call *c, const struct swap_bucket *list)
{
	const struct swap_bucket *s;
	int rc;

	LL_FOREACH(list, s) {
		rc = swap_put_one(c, s);
		if (rc < 0 && rc != KV_ENOTFOUND)
			return rc;
	}
	return KV_OK;
}

static void
swap_free(struct swap_bucket *list)
{
	struct swap_bucket *s, *next;

	LL_FOREACH_SAFE(list, s, next) {
		scan_close(s->scan);
		free(s);
	}
}

static int
swap(struct call *c, uint32_t one, uint32_t two)
{
	struct swap_bucket *ones = NULL, *twos = NULL;
	struct session *s = c->session;
	struct session_extra *x = s->extra;
	uint32_t database = s->database;
	size_t bucket_len = x == NULL ? 0 : x->bucket_len;
	int rc;

	if (x != NULL)
		x->bucket_len = 0;
	c->worker->made_bucket = true;
	s->database = one;
	if ((rc = swap_gather(c, &ones)) < 0)
		goto out;
	s->database = two;
	if ((rc = swap_gather(c, &twos)) < 0 || (rc = swap_drop(c, ones)) < 0 ||
	    (rc = swap_drop(c, twos)) < 0 || (rc = swap_put(c, ones)) < 0)
		goto out;
	s->database = one;
	rc = swap_put(c, twos);
	sweep_soon(c->worker, engine_now_ms(c->engine));
out:
	s->database = database;
	if (x != NULL)
		x->bucket_len = bucket_len;
	swap_free(ones);
	swap_free(twos);
	return rc;
}

int
cmd_swapdb(struct call *c)
{
	int64_t one, two, most = (int64_t)c->worker->databases;
	int rc = KV_OK;

	if (num_parse_i64(c->args[1], &one) < 0)
		return call_error(c, "ERR invalid first DB index");
	if (num_parse_i64(c->args[2], &two) < 0)
		return call_error(c, "ERR invalid second DB index");
	if (one < 0 || two < 0 || one >= most || two >= most)
		return call_error(c, "ERR DB index is out of range");
	if (one != two && (rc = swap(c, (uint32_t)one, (uint32_t)two)) < 0)
		return rc;
	reply_ok(c->reply);
	return KV_OK;
}
