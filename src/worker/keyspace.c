/* SPDX-License-Identifier: ISC */
/* Strings and hashes of a database, in terms of buckets and records. */

#include "worker/keyspace.h"

#include <stdatomic.h>

#include "worker/deadline.h"
#include "worker/notify.h"

/* What a name is as a hash's bucket. */
struct keyspace_bucket {
	const struct bucket *bucket;
	uint64_t deadline;
	bool expired;
};

static bool
keyspace_is_named(const struct call *c)
{
	const struct session_extra *x = c->session->extra;

	return x != NULL && x->bucket_len > 0;
}

/* The name of the bucket of strings. */
static struct kv_slice
keyspace_name(const struct call *c, char to[WORKER_DATABASE_NAME])
{
	const struct session_extra *x = c->session->extra;

	if (keyspace_is_named(c))
		return (struct kv_slice){ x->bucket, x->bucket_len };
	return worker_database_name(c->session->database, to);
}

int
keyspace_strings(struct call *c, const struct bucket **out)
{
	char name[WORKER_DATABASE_NAME];

	return engine_bucket(c->engine, keyspace_name(c, name), out);
}

int
keyspace_bucket(struct call *c, struct kv_slice name, const struct bucket **out)
{
	return bucket_is_hidden(name) ? KV_ENOTFOUND
				      : engine_bucket(c->engine, name, out);
}

/* The keys that a bucket of this name may not stand beside: those of its
 * database, where it is called as *key says. */
static struct kv_slice
keyspace_rivals(const struct worker *w, struct kv_slice name,
    char to[WORKER_DATABASE_NAME], struct kv_slice *key)
{
	return worker_database_name(keyspace_database_of(w, name, key), to);
}

/* The new bucket stands, unless somebody puts a string of that name before it
 * is appended. */
static int
keyspace_stage(struct call *c, struct kv_slice name, uint32_t options)
{
	size_t staged = engine_staged(c->engine);
	char room[WORKER_DATABASE_NAME];
	struct kv_slice strings, key;
	const struct bucket *b;
	int rc;

	if ((rc = engine_create(c->engine, name, options)) < 0)
		return rc;
	c->worker->made_bucket = true;
	strings = keyspace_rivals(c->worker, name, room, &key);
	if (engine_staged(c->engine) == staged || options & BUCKET_DATABASE)
		return KV_OK;
	rc = engine_bucket(c->engine, strings, &b);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	engine_alone(c->engine,
	    rc == KV_OK ? b->bid : engine_bucket_id(strings),
	    (struct kv_slice){ name.data, name.len - key.len });
	return KV_OK;
}

int
keyspace_create(struct call *c, struct kv_slice name, uint32_t options)
{
	char room[WORKER_DATABASE_NAME];
	struct kv_slice strings, key;
	const struct bucket *b;
	struct record r;
	int rc;

	if (name.len == 0 || name.len > KV_BUCKET_MAX)
		return call_blame(c, "bucket name", name.len, KV_BUCKET_MAX);
	if (bucket_is_hidden(name))
		return KV_EACCESS;
	strings = keyspace_rivals(c->worker, name, room, &key);
	rc = options & BUCKET_DATABASE ? KV_ENOTFOUND
				       : engine_bucket(c->engine, strings, &b);
	if (rc == KV_OK)
		rc = engine_get(c->engine, b, key, &r);
	if (rc == KV_OK)
		return KV_ETYPE;
	return rc == KV_ENOTFOUND ? keyspace_stage(c, name, options) : rc;
}

static int
keyspace_make(struct call *c, struct kv_slice name, uint32_t options,
    const struct bucket **out)
{
	int rc = engine_bucket(c->engine, name, out);

	if (rc != KV_ENOTFOUND)
		return rc;
	if ((rc = keyspace_stage(c, name, options)) < 0)
		return rc;
	return engine_bucket(c->engine, name, out);
}

static int
keyspace_strings_make(struct call *c, const struct bucket **out)
{
	char name[WORKER_DATABASE_NAME];

	if (keyspace_is_named(c))
		return keyspace_strings(c, out);
	return keyspace_make(c, keyspace_name(c, name),
	    BUCKET_DATABASE | BUCKET_STAYS, out);
}

/* When the hash ends, and whether it has: by its own deadline or those of its
 * fields. */
static int
keyspace_ends(struct call *c, struct kv_slice name,
    struct keyspace_bucket *hash)
{
	struct engine *e = c->engine;
	int rc = deadline_get(e, name, hash->bucket, &hash->deadline);

	hash->expired =
	    hash->deadline != 0 && hash->deadline <= engine_now_ms(e);
	if (rc == KV_OK && !hash->expired)
		rc = deadline_is_empty(e, name, hash->bucket,
		    c->worker->witness, &hash->expired);
	return rc;
}

/* KV_ENOTFOUND: there is no bucket that could be a hash. */
static int
keyspace_find(struct call *c, struct kv_slice key, struct keyspace_bucket *out)
{
	const struct control *control = engine_control(c->engine);
	char room[KEYSPACE_NAME_MAX];
	struct kv_slice name;
	int rc;

	if (keyspace_is_named(c) ||
	    (!c->worker->made_bucket &&
		atomic_load_explicit(&control->buckets, memory_order_relaxed) ==
		    0))
		return KV_ENOTFOUND;
	if (keyspace_hash_name(c, key, room, &name) < 0)
		return KV_ENOTFOUND; /* no bucket can have that name */
	if ((rc = engine_bucket(c->engine, name, &out->bucket)) < 0)
		return rc;
	if (out->bucket->options & BUCKET_DATABASE || bucket_is_hidden(name))
		return KV_ENOTFOUND;
	return keyspace_ends(c, name, out);
}

/* Drop the hash of this name while it stands in the way: one that ended, or
 * with `any` one that HSET made; then the one of all hosts that it hid. *found:
 * there is one that stays. */
static int
keyspace_clear(struct call *c, struct kv_slice key, bool any,
    struct keyspace_bucket *left, bool *found)
{
	char room[KEYSPACE_NAME_MAX];
	struct kv_slice name;
	int rc;

	*found = false;
	while ((rc = keyspace_find(c, key, left)) == KV_OK) {
		if (!left->expired &&
		    (!any || left->bucket->options & BUCKET_STAYS)) {
			*found = true;
			return KV_OK;
		}
		if ((rc = keyspace_hash_name(c, key, room, &name)) < 0 ||
		    (rc = engine_drop(c->engine, name)) < 0)
			return rc;
	}
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* The record of a string; no look at hashes. */
static int
keyspace_record(struct call *c, struct kv_slice key, struct record *out)
{
	const struct bucket *b;
	int rc;

	if ((rc = call_check_key(c, key)) < 0 ||
	    (rc = keyspace_strings(c, &b)) < 0)
		return rc;
	return engine_get(c->engine, b, key, out);
}

int
keyspace_get(struct call *c, struct kv_slice key, struct record *out)
{
	struct keyspace_bucket hash;
	int rc = keyspace_record(c, key, out);

	if (rc != KV_ENOTFOUND)
		return rc;
	if ((rc = keyspace_find(c, key, &hash)) < 0)
		return rc;
	return hash.expired ? KV_ENOTFOUND : KV_ETYPE;
}

static int
keyspace_drop(struct call *c, struct kv_slice key)
{
	char room[KEYSPACE_NAME_MAX];
	struct kv_slice name;
	int rc;

	if ((rc = keyspace_hash_name(c, key, room, &name)) < 0)
		return rc;
	return engine_drop(c->engine, name);
}

int
keyspace_write(struct call *c, struct kv_slice key, struct kv_slice value,
    uint64_t deadline, bool built)
{
	struct keyspace_bucket hash;
	const struct bucket *b;
	bool is_hash;
	char room[16];
	int rc;

	if ((rc = call_check_key(c, key)) < 0 ||
	    (rc = call_check_value(c, value)) < 0)
		return rc;
	if ((rc = keyspace_find(c, key, &hash)) == KV_OK) {
		engine_because(c->engine, CAUSE_REPLACE);
		rc = keyspace_clear(c, key, true, &hash, &is_hash);
		call_because(c);
		if (rc == KV_OK && is_hash)
			return KV_ETYPE;
	}
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	if ((rc = keyspace_strings_make(c, &b)) < 0 ||
	    (rc = (built ? engine_put_built : engine_put)(c->engine, b, key,
		 value, deadline)) < 0)
		return rc;
	if (!keyspace_is_named(c))
		engine_alone(c->engine, 0, keyspace_hash_prefix(c, room));
	return KV_OK;
}

int
keyspace_hash(struct call *c, struct kv_slice key, const struct bucket **out)
{
	struct keyspace_bucket hash;
	struct record r;
	int rc = keyspace_find(c, key, &hash);

	if (rc == KV_OK && !hash.expired) {
		*out = hash.bucket;
		return KV_OK;
	}
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	rc = keyspace_record(c, key, &r);
	return rc == KV_OK ? KV_ETYPE : rc;
}

int
keyspace_hash_make(struct call *c, struct kv_slice key, uint32_t options,
    const struct bucket **out)
{
	char room[KEYSPACE_NAME_MAX];
	struct keyspace_bucket hash;
	struct kv_slice name;
	bool found;
	int rc = keyspace_hash(c, key, out);

	if (rc != KV_ENOTFOUND)
		return rc;
	if (keyspace_is_named(c))
		return KV_ETYPE;
	if ((rc = keyspace_hash_name(c, key, room, &name)) < 0)
		return rc;
	if (bucket_is_hidden(name))
		return KV_EACCESS;
	if (keyspace_options(c->worker, name) & BUCKET_DATABASE)
		return KV_ETYPE;
	if ((rc = keyspace_clear(c, key, false, &hash, &found)) < 0)
		return rc;
	if (found) /* what one of this host hid that ended */
		*out = hash.bucket;
	return found ? KV_OK : keyspace_make(c, name, options, out);
}

int
keyspace_look(struct call *c, struct kv_slice key, struct keyspace_item *out)
{
	struct keyspace_bucket hash;
	int rc = keyspace_record(c, key, &out->record);

	out->kind = KIND_NONE;
	out->deadline = 0;
	if (rc == KV_OK) {
		out->kind = KIND_STRING;
		out->deadline = out->record.deadline;
	}
	if (rc != KV_ENOTFOUND)
		return rc;
	rc = keyspace_find(c, key, &hash);
	if (rc == KV_OK && !hash.expired) {
		out->kind = KIND_HASH;
		out->bucket = hash.bucket;
		out->deadline = hash.deadline;
	}
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

int
keyspace_remove(struct call *c, struct kv_slice key, bool *was)
{
	struct keyspace_bucket hash;
	const struct bucket *b;
	struct record r;
	int rc;

	*was = false;
	if ((rc = keyspace_record(c, key, &r)) == KV_OK) {
		*was = true;
		rc = keyspace_strings(c, &b);
		return rc < 0 ? rc : engine_delete(c->engine, b, key);
	}
	if (rc != KV_ENOTFOUND)
		return rc;
	if ((rc = keyspace_find(c, key, &hash)) < 0)
		return rc == KV_ENOTFOUND ? KV_OK : rc;
	*was = !hash.expired;
	return keyspace_drop(c, key);
}

int
keyspace_hash_trim(struct call *c, struct kv_slice key, const struct bucket *b)
{
	char room[KEYSPACE_NAME_MAX];
	struct kv_slice name;
	struct totals sums;
	bool empty;
	int rc;

	if (b->options & BUCKET_STAYS)
		return KV_OK;
	if ((rc = keyspace_hash_name(c, key, room, &name)) < 0 ||
	    (rc = engine_totals(c->engine, b, &sums)) < 0)
		return rc;
	empty = sums.keys == 0;
	if (!empty &&
	    (rc = deadline_is_empty(c->engine, name, b, c->worker->witness,
		 &empty)) < 0)
		return rc;
	return empty ? engine_drop(c->engine, name) : KV_OK;
}

/* put: deadline_put, or deadline_put_field. */
static int
keyspace_expire_hash(struct call *c, struct kv_slice key,
    const struct bucket *b, uint64_t deadline,
    int (*put)(struct engine *e, struct kv_slice name, const struct bucket *b,
	uint64_t deadline))
{
	char room[KEYSPACE_NAME_MAX];
	struct kv_slice name;
	int rc;

	if ((rc = keyspace_hash_name(c, key, room, &name)) < 0)
		return rc;
	c->worker->made_bucket = true;
	sweep_soon(c->worker, deadline);
	return put(c->engine, name, b, deadline);
}

int
keyspace_field_expires(struct call *c, struct kv_slice key,
    const struct bucket *b, uint64_t deadline)
{
	return keyspace_expire_hash(c, key, b, deadline, deadline_put_field);
}

int
keyspace_expire(struct call *c, struct kv_slice key,
    const struct keyspace_item *item, uint64_t deadline)
{
	bool was;

	if (deadline != 0 && deadline <= engine_now_ms(c->engine))
		return keyspace_remove(c, key, &was);
	if (item->kind == KIND_HASH)
		return keyspace_expire_hash(c, key, item->bucket, deadline,
		    deadline_put);
	return keyspace_write(c, key, item->record.value, deadline,
	    item->record.flags & RECORD_BUILT);
}

bool
keyspace_is_hash(struct call *c, const struct bucket *b, struct kv_slice name,
    struct kv_slice *key)
{
	struct keyspace_bucket hash = { .bucket = b };

	if (keyspace_is_named(c) || b->options & BUCKET_DATABASE ||
	    bucket_is_hidden(name) ||
	    keyspace_database_of(c->worker, name, key) != c->session->database)
		return false;
	return keyspace_ends(c, name, &hash) == KV_OK && !hash.expired;
}

void
keyspace_warm(struct call *c, struct kv_slice key)
{
	struct record r;

	(void)!keyspace_record(c, key, &r);
}

void
keyspace_warm_hash(struct call *c, struct kv_slice key,
    const struct kv_slice *fields, size_t count)
{
	struct keyspace_bucket hash;
	struct record r;
	size_t i;

	if (keyspace_find(c, key, &hash) < 0)
		return;
	for (i = 0; i < count && i < 16; i++)
		if (fields[i].len <= KV_KEY_MAX)
			(void)!engine_get(c->engine, hash.bucket, fields[i],
			    &r);
}
