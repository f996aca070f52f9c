/* SPDX-License-Identifier: ISC */
/* Deadlines of fields: giving, asking, taking away; reading with a change. */

#include "worker/commands.h"
#include "worker/fields.h"

#define FIELD_BAD_NUMBER "ERR Number of fields must be a positive integer"

enum field_answer {
	FIELD_NONE = -2, /* no such field */
	FIELD_ALWAYS = -1,
	FIELD_UNMET = 0,
	FIELD_DONE = 1,
	FIELD_DELETED = 2,
};

enum field_condition { IF_ANY, IF_NX, IF_XX, IF_GT, IF_LT };

/* All fields are checked before anything is staged. */
static int
field_check(struct call *c, size_t from)
{
	size_t i;
	int rc;

	for (i = from; i < c->argc; i++)
		if ((rc = call_check_field(c, c->args[i])) < 0)
			return rc;
	return KV_OK;
}

/* The hash, *out NULL if there is none. */
static int
field_hash(struct call *c, const struct bucket **out)
{
	int rc = keyspace_hash(c, c->args[1], out);

	if (rc == KV_ENOTFOUND)
		*out = NULL;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static bool
field_holds(enum field_condition condition, uint64_t old, uint64_t new)
{
	switch (condition) {
	case IF_NX:
		return old == 0;
	case IF_XX:
		return old != 0;
	case IF_GT:
		return old != 0 && new > old;
	case IF_LT:
		return old == 0 || new < old;
	case IF_ANY:
		break;
	}
	return true;
}

struct field_change {
	const struct bucket *bucket;
	enum field_condition condition;
	uint64_t deadline;
	bool was_set, was_deleted;
};

static int
field_expire_one(struct call *c, struct field_change *f, struct kv_slice field)
{
	struct record r;
	bool past = f->deadline <= engine_now_ms(c->engine);
	int rc = fields_get(c, f->bucket, field, &r);

	if (rc == KV_ENOTFOUND) {
		reply_integer(c->reply, FIELD_NONE);
		return KV_OK;
	}
	if (rc < 0)
		return rc;
	if (!field_holds(f->condition, r.deadline, f->deadline)) {
		reply_integer(c->reply, FIELD_UNMET);
		return KV_OK;
	}
	rc = fields_put(c, f->bucket, field, r.value, f->deadline);
	f->was_deleted |= past;
	f->was_set |= !past;
	reply_integer(c->reply, past ? FIELD_DELETED : FIELD_DONE);
	return rc;
}

/* What a change of fields means for the hash. */
static int
field_changed(struct call *c, const struct field_change *f)
{
	int rc = KV_OK;

	if (f->was_set)
		rc = keyspace_field_expires(c, c->args[1], f->bucket,
		    f->deadline);
	if (rc == KV_OK && f->was_deleted)
		rc = keyspace_hash_trim(c, c->args[1], f->bucket);
	return rc;
}

static enum field_condition
field_condition(struct kv_slice word)
{
	static const char *const words[] = { "nx", "xx", "gt", "lt" };
	size_t i;

	for (i = 0; i < 4; i++)
		if (slice_is_word(word, words[i]))
			return (enum field_condition)(IF_NX + i);
	return IF_ANY;
}

static int
field_expire(struct call *c, enum cmd_unit unit)
{
	struct field_change f = { .condition = field_condition(c->args[3]) };
	size_t at = f.condition == IF_ANY ? 3 : 4, i;
	int rc;

	if ((rc = field_hash(c, &f.bucket)) < 0)
		return rc;
	if (!fields_time(c, c->args[2], unit, &f.deadline) ||
	    !fields_parse(c, at,
		"ERR Parameter `numFields` should be greater than 0"))
		return KV_OK;
	if ((rc = field_check(c, at + 2)) < 0)
		return rc;
	reply_array(c->reply, c->argc - at - 2);
	for (i = at + 2; i < c->argc; i++)
		if ((rc = field_expire_one(c, &f, c->args[i])) < 0)
			return rc;
	return field_changed(c, &f);
}

int
cmd_hexpire(struct call *c)
{
	return field_expire(c, UNIT_EX);
}

int
cmd_hpexpire(struct call *c)
{
	return field_expire(c, UNIT_PX);
}

int
cmd_hexpireat(struct call *c)
{
	return field_expire(c, UNIT_EXAT);
}

int
cmd_hpexpireat(struct call *c)
{
	return field_expire(c, UNIT_PXAT);
}

static int64_t
field_time_left(struct call *c, uint64_t deadline, enum cmd_unit unit)
{
	int64_t t = (int64_t)deadline;

	if (deadline == 0)
		return FIELD_ALWAYS;
	if (unit == UNIT_EX || unit == UNIT_PX)
		t -= (int64_t)engine_now_ms(c->engine);
	return unit == UNIT_EX || unit == UNIT_EXAT ? (t + 999) / 1000 : t;
}

static int
field_tell(struct call *c, enum cmd_unit unit)
{
	const struct bucket *b;
	struct record r;
	size_t i;
	int rc;

	if ((rc = field_hash(c, &b)) < 0)
		return rc;
	if (!fields_parse(c, 2, FIELD_BAD_NUMBER))
		return KV_OK;
	reply_array(c->reply, c->argc - 4);
	for (i = 4; i < c->argc; i++) {
		rc = fields_get(c, b, c->args[i], &r);
		if (rc < 0 && rc != KV_ENOTFOUND)
			return rc;
		reply_integer(c->reply,
		    rc == KV_OK ? field_time_left(c, r.deadline, unit)
				: FIELD_NONE);
	}
	return KV_OK;
}

int
cmd_httl(struct call *c)
{
	return field_tell(c, UNIT_EX);
}

int
cmd_hpttl(struct call *c)
{
	return field_tell(c, UNIT_PX);
}

int
cmd_hexpiretime(struct call *c)
{
	return field_tell(c, UNIT_EXAT);
}

int
cmd_hpexpiretime(struct call *c)
{
	return field_tell(c, UNIT_PXAT);
}

int
cmd_hpersist(struct call *c)
{
	const struct bucket *b;
	struct record r;
	size_t i;
	int rc;

	if ((rc = field_hash(c, &b)) < 0)
		return rc;
	if (!fields_parse(c, 2, FIELD_BAD_NUMBER))
		return KV_OK;
	if ((rc = field_check(c, 4)) < 0)
		return rc;
	reply_array(c->reply, c->argc - 4);
	for (i = 4; i < c->argc; i++) {
		rc = fields_get(c, b, c->args[i], &r);
		if (rc < 0 && rc != KV_ENOTFOUND)
			return rc;
		if (rc == KV_OK && r.deadline != 0 &&
		    (rc = fields_put(c, b, c->args[i], r.value, 0)) < 0)
			return rc;
		reply_integer(c->reply,
		    rc == KV_ENOTFOUND	  ? FIELD_NONE
			: r.deadline == 0 ? FIELD_ALWAYS
					  : FIELD_DONE);
	}
	return KV_OK;
}

/* The field's value as the next reply; KV_ENOTFOUND: it was a null. */
static int
field_answer(struct call *c, const struct bucket *b, struct kv_slice field,
    struct record *r)
{
	int rc = fields_get(c, b, field, r);

	if (rc == KV_OK)
		reply_bulk(c->reply, r->value);
	else if (rc == KV_ENOTFOUND)
		reply_null(c->reply);
	return call_overflows(c) ? KV_ETOOBIG : rc;
}

/* All values first: after them nothing can be wrong any more. */
static int
field_answer_all(struct call *c, const struct bucket *b, size_t from)
{
	struct record r;
	size_t i;
	int rc;

	if ((rc = field_check(c, from)) < 0)
		return rc;
	reply_array(c->reply, c->argc - from);
	for (i = from; i < c->argc; i++) {
		rc = field_answer(c, b, c->args[i], &r);
		if (rc < 0 && rc != KV_ENOTFOUND)
			return rc;
	}
	return KV_OK;
}

/* A field that is named twice is gone the second time. */
int
cmd_hgetdel(struct call *c)
{
	struct field_change f = { .was_set = false };
	struct record r;
	size_t i;
	int rc;

	if ((rc = field_hash(c, &f.bucket)) < 0)
		return rc;
	if (!fields_parse(c, 2, FIELD_BAD_NUMBER))
		return KV_OK;
	if ((rc = field_check(c, 4)) < 0)
		return rc;
	reply_array(c->reply, c->argc - 4);
	for (i = 4; i < c->argc; i++) {
		rc = field_answer(c, f.bucket, c->args[i], &r);
		if (rc == KV_OK) {
			rc = engine_delete(c->engine, f.bucket, c->args[i]);
			f.was_deleted = true;
		}
		if (rc < 0 && rc != KV_ENOTFOUND)
			return rc;
	}
	return field_changed(c, &f);
}

static int
field_getex_one(struct call *c, struct field_change *f, struct kv_slice field)
{
	struct record r;
	int rc = fields_get(c, f->bucket, field, &r);

	if (rc < 0)
		return rc == KV_ENOTFOUND ? KV_OK : rc;
	if (f->deadline == 0 && r.deadline == 0)
		return KV_OK;
	if (f->deadline != 0 && f->deadline <= engine_now_ms(c->engine))
		f->was_deleted = true;
	else
		f->was_set = f->deadline != 0;
	return fields_put(c, f->bucket, field, r.value, f->deadline);
}

int
cmd_hgetex(struct call *c)
{
	static const char *const words[] = { "ex", "px", "exat", "pxat",
		"persist" };
	struct field_change f = { .deadline = 0 };
	size_t w, at, i;
	int rc;

	if ((rc = field_hash(c, &f.bucket)) < 0)
		return rc;
	for (w = 0; w < 5 && !slice_is_word(c->args[2], words[w]); w++)
		;
	at = w == 5 ? 2 : w == 4 ? 3 : 4;
	if (w < 4 &&
	    !fields_time(c, c->args[3], (enum cmd_unit)(UNIT_EX + w),
		&f.deadline))
		return KV_OK;
	/* Redis 8.0.0 said the one, 8.0.6 says the other. */
	if (at + 1 >= c->argc)
		return call_error(c,
		    "ERR wrong number of arguments for 'hgetex' command, or"
		    " mandatory argument FIELDS is missing");
	if (!fields_parse(c, at, FIELD_BAD_NUMBER))
		return KV_OK;
	if ((rc = field_answer_all(c, f.bucket, at + 2)) < 0)
		return rc;
	for (i = at + 2; w < 5 && i < c->argc; i++)
		if ((rc = field_getex_one(c, &f, c->args[i])) < 0)
			return rc;
	return field_changed(c, &f);
}
