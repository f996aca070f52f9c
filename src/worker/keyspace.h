/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_KEYSPACE_H
#define KV_WORKER_KEYSPACE_H

/* Redis' model over buckets (man/kv-protocol.7).  The strings of database n
 * are the records of bucket "db<n>"; a hash of database 0 is the bucket of its
 * name, one of database n > 0 the bucket "n/NAME".  One name is a string or a
 * hash.  After SELECT of a named bucket the strings are that bucket's records
 * and there are no hashes.
 * Deadlines of hashes: deadline.h. */

#include "worker/call.h"

enum keyspace_kind { KIND_NONE, KIND_STRING, KIND_HASH };

struct keyspace_item {
	enum keyspace_kind kind;
	struct record record;	     /* of a string */
	const struct bucket *bucket; /* of a hash */
	uint64_t deadline;	     /* 0: none */
};

/* The bucket that a client calls by its name.  KV_ENOTFOUND: there is none, or
 * it is one of our own. */
KV_CHECKED int keyspace_bucket(struct call *c, struct kv_slice name,
    const struct bucket **out);

/* Make one of that name.  KV_ETYPE: the name is a string.  KV_EACCESS: such
 * names are our own.  KV_EEXIST: it is to have a ttl_max and has keys without.
 */
KV_CHECKED int keyspace_create(struct call *c, struct kv_slice name,
    uint32_t options);

/* The bucket of strings; KV_ENOTFOUND while there is none. */
KV_CHECKED int keyspace_strings(struct call *c, const struct bucket **out);

/* The database whose strings are the bucket of that name. */
bool keyspace_is_database(const struct worker *w, struct kv_slice name,
    uint32_t *n);

/* The string at key.  KV_ETYPE: it is a hash. */
KV_CHECKED int keyspace_get(struct call *c, struct kv_slice key,
    struct record *out);

/* Put a string; a hash that HSET made makes way, one made by CREATE is
 * KV_ETYPE.  built: the value was put together from the one before, which
 * OBJECT ENCODING tells. */
KV_CHECKED int keyspace_write(struct call *c, struct kv_slice key,
    struct kv_slice value, uint64_t deadline, bool built);

KV_CHECKED static inline int
keyspace_put(struct call *c, struct kv_slice key, struct kv_slice value,
    uint64_t deadline)
{
	return keyspace_write(c, key, value, deadline, false);
}

/* The hash at key.  KV_ETYPE: it is a string.  make: create it if need be, with
 * these options. */
KV_CHECKED int keyspace_hash(struct call *c, struct kv_slice key,
    const struct bucket **out);
KV_CHECKED int keyspace_hash_make(struct call *c, struct kv_slice key,
    uint32_t options, const struct bucket **out);

/* Whatever there is; kind is KIND_NONE if nothing. */
KV_CHECKED int keyspace_look(struct call *c, struct kv_slice key,
    struct keyspace_item *out);

/* Remove it.  *was: there was something. */
KV_CHECKED int keyspace_remove(struct call *c, struct kv_slice key, bool *was);

/* After deletions: a hash that HSET made goes with its last field. */
KV_CHECKED int keyspace_hash_trim(struct call *c, struct kv_slice key,
    const struct bucket *b);

/* A field of the hash was given a deadline. */
KV_CHECKED int keyspace_field_expires(struct call *c, struct kv_slice key,
    const struct bucket *b, uint64_t deadline);

/* Give it another deadline, 0 for none. */
KV_CHECKED int keyspace_expire(struct call *c, struct kv_slice key,
    const struct keyspace_item *item, uint64_t deadline);

/* The bucket behind a hash of this database; KV_ETOOBIG. */
#define KEYSPACE_NAME_MAX (KV_BUCKET_MAX + 16)
KV_CHECKED int keyspace_hash_name(struct call *c, struct kv_slice key,
    char to[KEYSPACE_NAME_MAX], struct kv_slice *out);

/* Is this bucket, met in a walk, a hash of the session's database?  *key is
 * what it is called there. */
bool keyspace_is_hash(struct call *c, const struct bucket *b,
    struct kv_slice name, struct kv_slice *key);

/* The database that a bucket's name puts a hash in, and its name there. */
uint32_t keyspace_database_of(const struct worker *w, struct kv_slice name,
    struct kv_slice *key);

/* The first name a hash of this database can have, and what all begin with. */
struct kv_slice keyspace_hash_prefix(struct call *c, char to[16]);

/* Options that a bucket of this name is made with. */
uint32_t keyspace_options(struct worker *w, struct kv_slice name);

/* Read it, so that its page is in memory. */
void keyspace_warm(struct call *c, struct kv_slice key);
void keyspace_warm_hash(struct call *c, struct kv_slice key,
    const struct kv_slice *fields, size_t count);

#endif
