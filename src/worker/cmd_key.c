/* SPDX-License-Identifier: ISC */
/* Keys whatever they hold: removing, asking, moving. */

#include "base/rng.h"
#include "engine/scan.h"
#include "tree/schema.h"
#include "worker/cmd.h"
#include "worker/keyspace.h"
#include "worker/notify.h"

int
cmd_del(struct call *c)
{
	int64_t count = 0;
	size_t i;
	bool was;
	int rc;

	for (i = 1; i < c->argc; i++) {
		if ((rc = call_check_key(c, c->args[i])) < 0)
			return rc;
	}
	for (i = 1; i < c->argc; i++) {
		if ((rc = keyspace_remove(c, c->args[i], &was)) < 0)
			return rc;
		count += was;
	}
	reply_integer(c->reply, count);
	return KV_OK;
}

int
cmd_exists(struct call *c)
{
	struct keyspace_item item;
	int64_t count = 0;
	size_t i;
	int rc;

	for (i = 1; i < c->argc; i++) {
		if ((rc = keyspace_look(c, c->args[i], &item)) < 0)
			return rc;
		count += item.kind != KIND_NONE;
	}
	reply_integer(c->reply, count);
	return KV_OK;
}

int
cmd_touch(struct call *c)
{
	return cmd_exists(c);
}

int
cmd_type(struct call *c)
{
	static const char *const names[] = {
		[KIND_NONE] = "none",
		[KIND_STRING] = "string",
		[KIND_HASH] = "hash",
	};
	struct keyspace_item item;
	int rc;

	if ((rc = keyspace_look(c, c->args[1], &item)) < 0)
		return rc;
	reply_simple(c->reply, names[item.kind]);
	return KV_OK;
}

/* The first string at or after a random place; the first of all if none is. */
static int
key_random_string(struct call *c, struct record *out)
{
	const struct bucket *b;
	struct scan *s;
	struct record first, r;
	char place[4];
	unsigned skip;
	int rc;

	if ((rc = keyspace_strings(c, &b)) < 0 ||
	    (rc = scan_open(c->engine, b, &s)) < 0)
		return rc;
	if ((rc = scan_next(s, &first)) < 0)
		goto out;
	*out = first;
	/* Keys often begin alike: keep that part, vary what follows it. */
	skip = (unsigned)(rng_u64() % 64);
	rng_fill(place, sizeof(place));
	if (rng_u64() % 2 == 0 &&
	    scan_seek(s, (struct kv_slice){ place, 1 + skip % 4 }) == KV_OK &&
	    scan_next(s, &r) == KV_OK)
		*out = r;
	while (skip-- > 0 && scan_next(s, &r) == KV_OK)
		*out = r;
out:
	scan_close(s);
	return rc;
}

/* The first hash of the database. */
static int
key_first_hash(struct call *c, struct kv_slice *out)
{
	char room[16];
	struct kv_slice prefix = keyspace_hash_prefix(c, room);
	struct bucket b;
	struct scan *s;
	struct record r;
	int rc;

	if ((rc = scan_open_buckets(c->engine, &s)) < 0)
		return rc;
	if (prefix.len > 0)
		rc = scan_seek(s, prefix);
	while (rc == KV_OK && (rc = scan_next(s, &r)) == KV_OK) {
		rc = schema_get_bucket(r.value, &b);
		if (rc == KV_OK && keyspace_is_hash(c, &b, r.key, out))
			break;
		if (rc == KV_ENOTFOUND)
			rc = KV_OK;
	}
	scan_close(s);
	return rc;
}

int
cmd_randomkey(struct call *c)
{
	struct kv_slice name;
	struct record r;
	int rc = key_random_string(c, &r);

	if (rc == KV_OK) {
		reply_bulk(c->reply, r.key);
		return KV_OK;
	}
	if (rc == KV_ENOTFOUND)
		rc = key_first_hash(c, &name);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	if (rc == KV_OK)
		reply_bulk(c->reply, name);
	else
		reply_null(c->reply);
	return KV_OK;
}

/* All fields of one hash into another; within a batch. */
static int
key_copy_fields(struct call *c, const struct bucket *from, struct kv_slice to)
{
	const struct bucket *b;
	struct scan *s;
	struct record r;
	int rc;

	if ((rc = scan_open(c->engine, from, &s)) < 0)
		return rc;
	/* What is of this host alone stays so. */
	rc = keyspace_hash_make(c, to, from->options & BUCKET_LOCAL, &b);
	if (rc < 0)
		goto out;
	while ((rc = scan_next(s, &r)) == KV_OK) {
		rc = engine_put(c->engine, b, r.key, r.value, r.deadline);
		if (rc == KV_OK && r.deadline != 0)
			rc = keyspace_field_expires(c, to, b, r.deadline);
		if (rc < 0)
			break;
	}
out:
	scan_close(s);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* Remove what a put does not replace by itself.  It was not renamed, moved or
 * copied, so the log is told of no cause. */
static int
key_make_way(struct call *c, const struct keyspace_item *item,
    struct kv_slice to)
{
	struct keyspace_item there;
	bool was;
	int rc;

	/* Behind a hash of this host may be one of all hosts. */
	while ((rc = keyspace_look(c, to, &there)) == KV_OK &&
	    there.kind != KIND_NONE &&
	    (there.kind == KIND_HASH || item->kind == KIND_HASH)) {
		engine_because(c->engine, CAUSE_UNKNOWN);
		rc = keyspace_remove(c, to, &was);
		call_because(c);
		if (rc < 0)
			break;
	}
	return rc;
}

/* What is at `from` of one database to `to` of another (or the same). */
static int
key_copy(struct call *c, const struct keyspace_item *item, struct kv_slice to,
    uint32_t database)
{
	struct session *s = c->session;
	uint32_t here = s->database;
	struct keyspace_item made;
	int rc;

	s->database = database;
	if ((rc = key_make_way(c, item, to)) < 0)
		goto out;
	if (item->kind == KIND_STRING) {
		rc = keyspace_put(c, to, item->record.value, item->deadline);
		goto out;
	}
	rc = key_copy_fields(c, item->bucket, to);
	if (rc == KV_OK && item->deadline != 0 &&
	    (rc = keyspace_look(c, to, &made)) == KV_OK &&
	    made.kind == KIND_HASH)
		rc = keyspace_expire(c, to, &made, item->deadline);
out:
	s->database = here;
	return rc;
}

/* The same, and away from where it is: first, as Redis tells it, but that a
 * hash must be read after it was written elsewhere. */
static int
key_move(struct call *c, const struct keyspace_item *item, struct kv_slice to,
    uint32_t database)
{
	bool string = item->kind == KIND_STRING, was;
	int rc = KV_OK;

	if (string)
		rc = keyspace_remove(c, c->args[1], &was);
	if (rc == KV_OK)
		rc = key_copy(c, item, to, database);
	if (rc == KV_OK && !string)
		rc = keyspace_remove(c, c->args[1], &was);
	return rc;
}

static int
key_rename(struct call *c, bool only_new)
{
	struct keyspace_item item, there;
	int rc;

	if ((rc = call_check_key(c, c->args[2])) < 0 ||
	    (rc = keyspace_look(c, c->args[1], &item)) < 0)
		return rc;
	if (item.kind == KIND_NONE)
		return call_error(c, "ERR no such key");
	if ((rc = keyspace_look(c, c->args[2], &there)) < 0)
		return rc;
	if (only_new && there.kind != KIND_NONE) {
		reply_integer(c->reply, 0);
		return KV_OK;
	}
	if (!slice_equal(c->args[1], c->args[2]) &&
	    (rc = key_move(c, &item, c->args[2], c->session->database)) < 0)
		return rc;
	if (only_new)
		reply_integer(c->reply, 1);
	else
		reply_ok(c->reply);
	return KV_OK;
}

int
cmd_rename(struct call *c)
{
	return key_rename(c, false);
}

int
cmd_renamenx(struct call *c)
{
	return key_rename(c, true);
}

static bool
key_copy_options(struct call *c, uint32_t *database, bool *replace)
{
	int64_t n;
	size_t i;

	*database = c->session->database;
	*replace = false;
	for (i = 3; i < c->argc; i++) {
		if (slice_is_word(c->args[i], "replace")) {
			*replace = true;
		} else if (slice_is_word(c->args[i], "db") && i + 1 < c->argc) {
			if (!call_integer(c, c->args[++i], &n))
				return false;
			if (n < 0 || n >= (int64_t)c->worker->databases) {
				call_error(c, "ERR DB index is out of range");
				return false;
			}
			*database = (uint32_t)n;
		} else {
			call_error(c, "ERR syntax error");
			return false;
		}
	}
	return true;
}

int
cmd_copy(struct call *c)
{
	struct keyspace_item item, there;
	uint32_t database, here = c->session->database;
	bool replace;
	int rc;

	if (!key_copy_options(c, &database, &replace))
		return KV_OK;
	if (database == here && slice_equal(c->args[1], c->args[2]))
		return call_error(c,
		    "ERR source and destination objects are the same");
	if ((rc = call_check_key(c, c->args[2])) < 0 ||
	    (rc = keyspace_look(c, c->args[1], &item)) < 0)
		return rc;
	c->session->database = database;
	rc = keyspace_look(c, c->args[2], &there);
	c->session->database = here;
	if (rc < 0)
		return rc;
	if (item.kind == KIND_NONE || (there.kind != KIND_NONE && !replace)) {
		reply_integer(c->reply, 0);
		return KV_OK;
	}
	if ((rc = key_copy(c, &item, c->args[2], database)) == KV_OK)
		reply_integer(c->reply, 1);
	return rc;
}

int
cmd_move(struct call *c)
{
	struct keyspace_item item, there;
	uint32_t here = c->session->database;
	int64_t n;
	int rc;

	if (!call_integer(c, c->args[2], &n))
		return KV_OK;
	if (n < 0 || n >= (int64_t)c->worker->databases)
		return call_error(c, "ERR DB index is out of range");
	if (n == here)
		return call_error(c,
		    "ERR source and destination objects are the same");
	if ((rc = keyspace_look(c, c->args[1], &item)) < 0)
		return rc;
	c->session->database = (uint32_t)n;
	rc = keyspace_look(c, c->args[1], &there);
	c->session->database = here;
	if (rc < 0)
		return rc;
	if (item.kind == KIND_NONE || there.kind != KIND_NONE) {
		reply_integer(c->reply, 0);
		return KV_OK;
	}
	if ((rc = key_move(c, &item, c->args[1], (uint32_t)n)) < 0)
		return rc;
	reply_integer(c->reply, 1);
	return KV_OK;
}
