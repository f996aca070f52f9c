/* SPDX-License-Identifier: ISC */
/* Records of when hashes end. */

#include "worker/deadline.h"

#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "engine/scan.h"

/* A larger hash is not walked for expired fields: the checkpointer finds them,
 * by their time, when they are in the tree. */
#define DEADLINE_FIELDS 4096

static const char deadline_by_name[] = DEADLINE_BY_NAME;
static const char deadline_by_time[] = DEADLINE_BY_TIME;
/* name -> nothing; the hash has fields with deadlines */
static const char deadline_fields[] = "\001fields";

int
deadline_get(struct engine *e, struct kv_slice name, const struct bucket *b,
    uint64_t *out)
{
	const struct bucket *all;
	struct record r;
	int rc;

	*out = 0;
	rc = engine_bucket_in(e, scope_of_id(b->bid),
	    slice_of(deadline_by_name), &all);
	if (rc == KV_OK)
		rc = engine_get(e, all, name, &r);
	if (rc == KV_OK && r.value.len == 8 &&
	    stamp_compare(r.stamp, b->created) > 0)
		*out = bytes_get_be64(r.value.data);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
deadline_bucket(struct engine *e, enum scope scope, const char *name,
    const struct bucket **out)
{
	uint32_t options = BUCKET_STAYS;
	int rc = engine_bucket_in(e, scope, slice_of(name), out);

	if (rc != KV_ENOTFOUND)
		return rc;
	if (scope == SCOPE_LOCAL)
		options |= BUCKET_LOCAL;
	if ((rc = engine_create_in(e, scope, slice_of(name), options)) < 0)
		return rc;
	return engine_bucket_in(e, scope, slice_of(name), out);
}

static struct kv_slice
deadline_key(uint64_t deadline, struct kv_slice name, char to[KV_KEY_MAX])
{
	bytes_put_be64(to, deadline);
	memcpy(to + 8, name.data, name.len);
	return (struct kv_slice){ to, 8 + name.len };
}

int
deadline_put(struct engine *e, struct kv_slice name, const struct bucket *b,
    uint64_t deadline)
{
	enum scope scope = scope_of_id(b->bid);
	char value[8], key[KV_KEY_MAX];
	const struct bucket *by_name, *by_time;
	int rc;

	bytes_put_be64(value, deadline);
	if ((rc = deadline_bucket(e, scope, deadline_by_name, &by_name)) < 0 ||
	    (rc = deadline_bucket(e, scope, deadline_by_time, &by_time)) < 0)
		return rc;
	if (deadline == 0)
		return engine_delete(e, by_name, name);
	rc = engine_put(e, by_name, name,
	    (struct kv_slice){ value, sizeof(value) }, 0);
	if (rc < 0)
		return rc;
	/* An older entry for this name stays until its time comes: it is not
	 * believed then. */
	return engine_put(e, by_time, deadline_key(deadline, name, key),
	    (struct kv_slice){ "", 0 }, 0);
}

int
deadline_is_marked(struct engine *e, struct kv_slice name,
    const struct bucket *b, bool *marked)
{
	const struct bucket *fields;
	struct record r;
	int rc = engine_bucket_in(e, scope_of_id(b->bid),
	    slice_of(deadline_fields), &fields);

	if (rc == KV_OK)
		rc = engine_get(e, fields, name, &r);
	*marked = rc == KV_OK && stamp_compare(r.stamp, b->created) > 0;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

int
deadline_put_field(struct engine *e, struct kv_slice name,
    const struct bucket *b, uint64_t deadline)
{
	const struct kv_slice nothing = { "", 0 };
	enum scope scope = scope_of_id(b->bid);
	const struct bucket *fields, *by_time;
	char key[KV_KEY_MAX];
	bool marked;
	int rc;

	if (b->options & BUCKET_STAYS)
		return KV_OK;
	if ((rc = deadline_is_marked(e, name, b, &marked)) < 0 ||
	    (rc = deadline_bucket(e, scope, deadline_fields, &fields)) < 0 ||
	    (rc = deadline_bucket(e, scope, deadline_by_time, &by_time)) < 0)
		return rc;
	if (!marked && (rc = engine_put(e, fields, name, nothing, 0)) < 0)
		return rc;
	return engine_put(e, by_time, deadline_key(deadline, name, key),
	    nothing, 0);
}

static bool
deadline_is_witnessed(struct engine *e, const struct bucket *b,
    const struct deadline_witness *w)
{
	struct kv_slice field = { w->field, w->len };
	struct record r;

	return w->bid == b->bid && engine_get(e, b, field, &r) == KV_OK;
}

int
deadline_is_empty(struct engine *e, struct kv_slice name,
    const struct bucket *b, struct deadline_witness *known, bool *empty)
{
	struct deadline_witness *w = &known[b->bid % DEADLINE_WITNESSES];
	struct scan *s;
	struct record r;
	bool marked;
	int rc;

	*empty = false;
	if (b->options & BUCKET_STAYS)
		return KV_OK;
	if ((rc = deadline_is_marked(e, name, b, &marked)) < 0 || !marked ||
	    deadline_is_witnessed(e, b, w))
		return rc;
	if ((rc = scan_open(e, b, &s)) < 0)
		return rc;
	if ((rc = scan_next(s, &r)) == KV_OK) {
		w->bid = b->bid;
		w->len = (uint32_t)r.key.len;
		memcpy(w->field, r.key.data, r.key.len);
	}
	scan_close(s);
	*empty = rc == KV_ENOTFOUND;
	return *empty ? KV_OK : rc;
}

/* The hash and what is noted about it. */
static int
deadline_drop(struct engine *e, enum scope scope, struct kv_slice name)
{
	static const char *const notes[] = { deadline_by_name,
		deadline_fields };
	const struct bucket *b;
	size_t i;
	int rc = engine_drop_in(e, scope, name);

	for (i = 0; rc == KV_OK && i < 2; i++) {
		rc = engine_bucket_in(e, scope, slice_of(notes[i]), &b);
		if (rc == KV_OK)
			rc = engine_delete(e, b, name);
		if (rc == KV_ENOTFOUND)
			rc = KV_OK;
	}
	return rc;
}

/* One entry whose time has come: is it still true? */
static int
deadline_pass(struct engine *e, const struct bucket *by_time,
    const struct record *entry, struct deadline_witness *known)
{
	struct kv_slice name = { entry->key.data + 8, entry->key.len - 8 };
	enum scope scope = scope_of_id(by_time->bid);
	const struct bucket *b;
	uint64_t deadline;
	bool ends = false;
	int rc = engine_bucket_in(e, scope, name, &b);

	if (rc == KV_OK)
		rc = deadline_get(e, name, b, &deadline);
	if (rc == KV_OK) {
		ends = deadline == bytes_get_be64(entry->key.data);
		if (!ends)
			rc = deadline_is_empty(e, name, b, known, &ends);
	}
	if (rc == KV_OK && ends)
		rc = deadline_drop(e, scope, name);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	return engine_delete(e, by_time, entry->key);
}

static void
deadline_note(struct deadline_due *due, struct kv_slice name)
{
	struct kv_slice last = { NULL, 0 };

	if (due->count > 0)
		last = (struct kv_slice){ due->name[due->count - 1].text,
			due->name[due->count - 1].len };
	due->entries++;
	if (name.len > KV_BUCKET_MAX || slice_equal(name, last))
		return;
	due->name[due->count].len = name.len;
	memcpy(due->name[due->count++].text, name.data, name.len);
}

/* KV_ENOTFOUND: there are no deadlines. */
static int
deadline_open(struct engine *e, const struct deadline_due *due,
    const struct bucket **by_time, struct scan **out)
{
	char from[8];
	int rc;

	bytes_put_be64(from, due->from_ms);
	if ((rc = engine_bucket_in(e, due->scope, slice_of(deadline_by_time),
		 by_time)) < 0 ||
	    (rc = scan_open(e, *by_time, out)) < 0)
		return rc;
	rc = scan_seek(*out, (struct kv_slice){ from, sizeof(from) });
	if (rc < 0)
		scan_close(*out);
	return rc;
}

int
deadline_collect(struct engine *e, struct deadline_due *due, uint64_t *next)
{
	uint64_t now = engine_now_ms(e);
	const struct bucket *by_time;
	struct scan *s;
	struct record r;
	int rc;

	*next = 0;
	due->entries = due->count = 0;
	rc = deadline_open(e, due, &by_time, &s);
	if (rc < 0)
		return rc == KV_ENOTFOUND ? KV_OK : rc;
	while ((rc = scan_next(s, &r)) == KV_OK) {
		if (r.key.len <= 8)
			continue;
		*next = bytes_get_be64(r.key.data);
		if (*next > now || due->entries == DEADLINE_DUE)
			break;
		if (due->entries == 0)
			due->from_ms = *next;
		*next = 0;
		deadline_note(due,
		    (struct kv_slice){ r.key.data + 8, r.key.len - 8 });
	}
	scan_close(s);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

int
deadline_expire_fields(struct engine *e, enum scope scope, struct kv_slice name)
{
	const struct bucket *b;
	struct totals sums;
	bool marked = false;
	int rc = engine_bucket_in(e, scope, name, &b);

	if (rc == KV_OK)
		rc = deadline_is_marked(e, name, b, &marked);
	if (rc == KV_OK && marked)
		rc = engine_totals(e, b, &sums);
	if (rc == KV_OK && marked && sums.keys <= DEADLINE_FIELDS)
		rc = engine_sweep_bucket(e, b);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

int
deadline_sweep(struct engine *e, const struct deadline_due *due,
    struct deadline_witness *known, uint64_t *next)
{
	uint64_t now = engine_now_ms(e);
	size_t most = due->entries;
	const struct bucket *by_time;
	struct scan *s;
	struct record r;
	int rc;

	*next = 0;
	rc = deadline_open(e, due, &by_time, &s);
	if (rc < 0)
		return rc == KV_ENOTFOUND ? KV_OK : rc;
	while (rc == KV_OK && (rc = scan_next(s, &r)) == KV_OK) {
		if (r.key.len <= 8)
			continue;
		*next = bytes_get_be64(r.key.data);
		if (*next > now || most-- == 0)
			break;
		*next = 0;
		rc = deadline_pass(e, by_time, &r, known);
	}
	scan_close(s);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}
