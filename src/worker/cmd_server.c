/* SPDX-License-Identifier: ISC */
/* The database as a whole: time, size, emptying. */

#include <time.h>

#include "engine/scan.h"
#include "tree/schema.h"
#include "worker/cmd.h"
#include "worker/keyspace.h"
#include "worker/run.h"

int
cmd_time(struct call *c)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	reply_array(c->reply, 2);
	reply_bulk_integer(c->reply, ts.tv_sec);
	reply_bulk_integer(c->reply, ts.tv_nsec / 1000);
	return KV_OK;
}

/* Called for every hash of the database; name is its bucket's. */
typedef int server_hash(struct call *c, enum scope scope, struct kv_slice name,
    void *arg);

/* all: those, too, that a hash of this host hides. */
static int
server_each_hash(struct call *c, bool all, server_hash *each, void *arg)
{
	char room[16];
	struct kv_slice prefix = keyspace_hash_prefix(c, room), key;
	struct bucket b;
	struct scan *s;
	struct record r;
	int rc;

	if ((rc = scan_open_buckets(c->engine, &s)) < 0)
		return rc;
	if (all)
		scan_also_shadowed(s);
	if (prefix.len > 0)
		rc = scan_seek(s, prefix);
	while (rc == KV_OK && (rc = scan_next(s, &r)) == KV_OK) {
		if (prefix.len > r.key.len ||
		    memcmp(prefix.data, r.key.data, prefix.len) != 0)
			break;
		/* The row itself: it is not worth a place in the cache. */
		rc = schema_get_bucket(r.value, &b);
		if (rc == KV_OK && keyspace_is_hash(c, &b, r.key, &key))
			rc = each(c, scope_of_id(r.bid), r.key, arg);
		if (rc == KV_ENOTFOUND)
			rc = KV_OK;
	}
	scan_close(s);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
server_count(struct call *c, enum scope scope, struct kv_slice name, void *arg)
{
	uint64_t *count = arg;

	(void)c;
	(void)scope;
	(void)name;
	++*count;
	return KV_OK;
}

int
cmd_dbsize(struct call *c)
{
	const struct bucket *b;
	struct totals sums;
	uint64_t count = 0;
	int rc = keyspace_strings(c, &b);

	if (rc == KV_OK && (rc = engine_totals(c->engine, b, &sums)) == KV_OK)
		count = sums.keys;
	if (rc == KV_OK || rc == KV_ENOTFOUND)
		rc = server_each_hash(c, false, server_count, &count);
	if (rc == KV_OK)
		reply_integer(c->reply, (int64_t)count);
	return rc;
}

static bool
server_flush_option(struct call *c)
{
	if (c->argc == 1 ||
	    (c->argc == 2 &&
		(slice_is_word(c->args[1], "async") ||
		    slice_is_word(c->args[1], "sync"))))
		return true;
	call_error(c, "ERR syntax error");
	return false;
}

static int
server_drop(struct call *c, enum scope scope, struct kv_slice name, void *arg)
{
	(void)arg;
	return engine_drop_in(c->engine, scope, name);
}

/* The bucket of strings, and one that it hides. */
static int
server_drop_strings(struct call *c)
{
	const struct session_extra *x = c->session->extra;
	char room[WORKER_DATABASE_NAME];
	struct kv_slice name = worker_database_name(c->session->database, room);
	enum scope scope;
	int rc;

	if (x != NULL && x->bucket_len > 0)
		name = (struct kv_slice){ x->bucket, x->bucket_len };
	for (scope = SCOPE_GLOBAL; scope <= SCOPE_LOCAL; scope++) {
		rc = engine_drop_in(c->engine, scope, name);
		if (rc < 0 && rc != KV_ENOTFOUND)
			return rc;
	}
	return KV_OK;
}

int
cmd_flushdb(struct call *c)
{
	int rc;

	if (!server_flush_option(c))
		return KV_OK;
	rc = server_each_hash(c, true, server_drop, NULL);
	if (rc == KV_OK)
		rc = server_drop_strings(c);
	if (rc < 0)
		return rc;
	reply_ok(c->reply);
	return KV_OK;
}

int
cmd_flushall(struct call *c)
{
	struct scan *s;
	struct record r;
	int rc;

	if (!server_flush_option(c))
		return KV_OK;
	if ((rc = scan_open_buckets(c->engine, &s)) < 0)
		return rc;
	scan_also_shadowed(s);
	while ((rc = scan_next(s, &r)) == KV_OK) {
		rc = engine_drop_in(c->engine, scope_of_id(r.bid), r.key);
		if (rc < 0)
			break;
	}
	scan_close(s);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	reply_ok(c->reply);
	return KV_OK;
}
