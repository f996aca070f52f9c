/* SPDX-License-Identifier: ISC */
/* Hashes, field by field: records of a bucket. */

#include "worker/cmd.h"
#include "worker/commands.h"
#include "worker/keyspace.h"

static int
hash_check_pairs(struct call *c)
{
	size_t i;
	int rc;

	for (i = 2; i < c->argc; i += 2) {
		if ((rc = call_check_field(c, c->args[i])) < 0 ||
		    (rc = call_check_value(c, c->args[i + 1])) < 0)
			return rc;
	}
	return KV_OK;
}

/* Put all pairs; *added: how many fields are new. */
static int
hash_put_pairs(struct call *c, int64_t *added)
{
	const struct bucket *b;
	struct record r;
	size_t i;
	int rc;

	*added = 0;
	if ((rc = hash_check_pairs(c)) < 0 ||
	    (rc = keyspace_hash_make(c, c->args[1], 0, &b)) < 0)
		return rc;
	for (i = 2; i < c->argc; i += 2) {
		rc = engine_get(c->engine, b, c->args[i], &r);
		if (rc < 0 && rc != KV_ENOTFOUND)
			return rc;
		*added += rc == KV_ENOTFOUND;
		rc = engine_put(c->engine, b, c->args[i], c->args[i + 1], 0);
		if (rc < 0)
			return rc;
	}
	return KV_OK;
}

static bool
hash_pairs_fit(struct call *c)
{
	if (c->argc % 2 == 0)
		return true;
	call_errorf(c, "ERR wrong number of arguments for '%s' command",
	    c->command->info.name);
	return false;
}

int
cmd_hset(struct call *c)
{
	int64_t added;
	int rc;

	if (!hash_pairs_fit(c))
		return KV_OK;
	if ((rc = hash_put_pairs(c, &added)) == KV_OK)
		reply_integer(c->reply, added);
	return rc;
}

int
cmd_hmset(struct call *c)
{
	int64_t added;
	int rc;

	if (!hash_pairs_fit(c))
		return KV_OK;
	if ((rc = hash_put_pairs(c, &added)) == KV_OK)
		reply_ok(c->reply);
	return rc;
}

/* The field's record.  KV_ENOTFOUND also without the hash. */
static int
hash_get(struct call *c, struct kv_slice field, struct record *out)
{
	const struct bucket *b;
	int rc;

	if ((rc = call_check_field(c, field)) < 0 ||
	    (rc = keyspace_hash(c, c->args[1], &b)) < 0)
		return rc;
	return engine_get(c->engine, b, field, out);
}

int
cmd_hsetnx(struct call *c)
{
	struct record r;
	int64_t added;
	int rc = hash_get(c, c->args[2], &r);

	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	if (rc == KV_OK) {
		reply_integer(c->reply, 0);
		return KV_OK;
	}
	if ((rc = hash_put_pairs(c, &added)) == KV_OK)
		reply_integer(c->reply, 1);
	return rc;
}

int
cmd_hget(struct call *c)
{
	struct record r;
	int rc = hash_get(c, c->args[2], &r);

	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	if (rc == KV_OK) {
		c->worker->hits++;
		call_bulk(c, r.value);
	} else {
		c->worker->misses++;
		reply_null(c->reply);
	}
	return KV_OK;
}

int
cmd_hmget(struct call *c)
{
	const struct bucket *b = NULL;
	struct record r;
	size_t i;
	int rc = keyspace_hash(c, c->args[1], &b);

	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	reply_array(c->reply, c->argc - 2);
	for (i = 2; i < c->argc; i++) {
		if ((rc = call_check_field(c, c->args[i])) < 0)
			return rc;
		rc = b == NULL ? KV_ENOTFOUND
			       : engine_get(c->engine, b, c->args[i], &r);
		if (rc == KV_OK)
			call_bulk(c, r.value);
		else if (rc == KV_ENOTFOUND)
			reply_null(c->reply);
		else
			return rc;
		if (call_overflows(c))
			return KV_ETOOBIG;
	}
	return KV_OK;
}

int
cmd_hexists(struct call *c)
{
	struct record r;
	int rc = hash_get(c, c->args[2], &r);

	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	reply_integer(c->reply, rc == KV_OK);
	return KV_OK;
}

int
cmd_hstrlen(struct call *c)
{
	struct record r;
	int rc = hash_get(c, c->args[2], &r);

	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	reply_integer(c->reply, rc == KV_OK ? (int64_t)r.value.len : 0);
	return KV_OK;
}

int
cmd_hlen(struct call *c)
{
	const struct bucket *b;
	struct totals sums = { .keys = 0 };
	int rc = keyspace_hash(c, c->args[1], &b);

	if (rc == KV_OK)
		rc = engine_totals(c->engine, b, &sums);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	reply_integer(c->reply, (int64_t)sums.keys);
	return KV_OK;
}

int
cmd_hdel(struct call *c)
{
	const struct bucket *b;
	struct record r;
	uint64_t gone = 0;
	size_t i;
	int rc;

	for (i = 2; i < c->argc; i++) {
		if ((rc = call_check_field(c, c->args[i])) < 0)
			return rc;
	}
	rc = keyspace_hash(c, c->args[1], &b);
	for (i = 2; rc == KV_OK && i < c->argc; i++) {
		rc = engine_get(c->engine, b, c->args[i], &r);
		if (rc == KV_OK) {
			gone++;
			rc = engine_delete(c->engine, b, c->args[i]);
		} else if (rc == KV_ENOTFOUND) {
			rc = KV_OK;
		}
	}
	if (rc == KV_OK && gone > 0)
		rc = keyspace_hash_trim(c, c->args[1], b);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	reply_integer(c->reply, (int64_t)gone);
	return KV_OK;
}
