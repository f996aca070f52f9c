/* SPDX-License-Identifier: ISC */
/* Hashes as a whole: all fields, random ones. */

#include <stdlib.h>

#include "base/rng.h"
#include "engine/scan.h"
#include "worker/cmd.h"
#include "worker/keyspace.h"

enum hash_part { PART_FIELDS = 1, PART_VALUES = 2 };

/* Write the chosen parts of every field; *count: fields. */
static int
hash_walk(struct call *c, unsigned parts, size_t *count)
{
	const struct bucket *b;
	struct scan *s;
	struct record r;
	int rc;

	*count = 0;
	rc = keyspace_hash(c, c->args[1], &b);
	if (rc < 0)
		return rc == KV_ENOTFOUND ? KV_OK : rc;
	if ((rc = scan_open(c->engine, b, &s)) < 0)
		return rc;
	while ((rc = scan_next(s, &r)) == KV_OK) {
		if (parts & PART_FIELDS)
			reply_bulk(c->reply, r.key);
		if (parts & PART_VALUES)
			reply_bulk(c->reply, r.value);
		++*count;
		if (call_overflows(c))
			rc = KV_ETOOBIG;
		if (rc < 0)
			break;
	}
	scan_close(s);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

int
cmd_hgetall(struct call *c)
{
	struct call_place place = call_open(c);
	size_t count;
	int rc = hash_walk(c, PART_FIELDS | PART_VALUES, &count);

	if (rc == KV_OK)
		call_close_map(c, place, count);
	return rc;
}

int
cmd_hkeys(struct call *c)
{
	struct call_place place = call_open(c);
	size_t count;
	int rc = hash_walk(c, PART_FIELDS, &count);

	if (rc == KV_OK)
		call_close_array(c, place, count);
	return rc;
}

int
cmd_hvals(struct call *c)
{
	struct call_place place = call_open(c);
	size_t count;
	int rc = hash_walk(c, PART_VALUES, &count);

	if (rc == KV_OK)
		call_close_array(c, place, count);
	return rc;
}

/* All records of a hash; the slices borrow from the view. */
struct hash_records {
	struct record *all;
	size_t count, cap;
};

static int
hash_gather(struct call *c, const struct bucket *b, struct hash_records *out)
{
	struct record r, *bigger;
	struct scan *s;
	int rc;

	if ((rc = scan_open(c->engine, b, &s)) < 0)
		return rc;
	while ((rc = scan_next(s, &r)) == KV_OK) {
		if (out->count == out->cap) {
			out->cap = out->cap == 0 ? 64 : out->cap * 2;
			bigger =
			    reallocarray(out->all, out->cap, sizeof(*bigger));
			if (bigger == NULL) {
				rc = KV_ENOMEM;
				break;
			}
			out->all = bigger;
		}
		out->all[out->count++] = r;
	}
	scan_close(s);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static void
hash_random_one(struct call *c, const struct record *r, bool values)
{
	if (values && c->reply->proto == 3)
		reply_array(c->reply, 2);
	reply_bulk(c->reply, r->key);
	if (values)
		reply_bulk(c->reply, r->value);
}

/* count > 0: so many different ones; < 0: so many, with repetition. */
static int
hash_random_many(struct call *c, struct hash_records *h, int64_t count,
    bool values)
{
	struct call_place place = call_open(c);
	size_t n = (size_t)(count < 0 ? -count : count), i, pick, left;
	bool flat = values && c->reply->proto == 2;

	if (h->count == 0 || (count > 0 && n > h->count))
		n = h->count;
	for (i = 0; i < n && !call_overflows(c); i++) {
		left = count < 0 ? h->count : h->count - i;
		pick = rng_u64() % left;
		hash_random_one(c, &h->all[pick], values);
		if (count > 0)
			h->all[pick] = h->all[left - 1];
	}
	if (i < n)
		return KV_ETOOBIG;
	call_close_array(c, place, flat ? 2 * n : n);
	return KV_OK;
}

int
cmd_hrandfield(struct call *c)
{
	struct hash_records h = { NULL, 0, 0 };
	const struct bucket *b;
	int64_t count = 1;
	bool values = c->argc == 4;
	int rc;

	if (c->argc > 2 && !call_integer(c, c->args[2], &count))
		return KV_OK;
	if (c->argc > 4 || (values && !slice_is_word(c->args[3], "withvalues")))
		return call_error(c, "ERR syntax error");
	if (count < -INT64_MAX / 2 || count > INT64_MAX / 2)
		return call_error(c, "ERR value is out of range");
	rc = keyspace_hash(c, c->args[1], &b);
	if (rc == KV_OK)
		rc = hash_gather(c, b, &h);
	if (rc == KV_ENOTFOUND)
		rc = KV_OK;
	if (rc < 0)
		goto out;
	if (c->argc > 2)
		rc = hash_random_many(c, &h, count, values);
	else if (h.count == 0)
		reply_null(c->reply);
	else
		hash_random_one(c, &h.all[rng_u64() % h.count], false);
out:
	free(h.all);
	return rc;
}
