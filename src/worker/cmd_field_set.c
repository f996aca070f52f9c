/* SPDX-License-Identifier: ISC */
/* HSETEX: fields with conditions and a deadline. */

#include "base/num.h"
#include "worker/fields.h"

enum setex_flag {
	SETEX_FNX = 1,
	SETEX_FXX = 2,
	SETEX_KEEPTTL = 4,
	SETEX_TIME = 8,
};

struct setex {
	unsigned flags;
	enum cmd_unit unit;
	uint64_t deadline;
	size_t from; /* the first pair */
};

static const struct setex_word {
	const char *word;
	unsigned flag;
	enum cmd_unit unit;
} setex_words[] = {
	{ "fnx", SETEX_FNX, UNIT_EX },
	{ "fxx", SETEX_FXX, UNIT_EX },
	{ "keepttl", SETEX_KEEPTTL, UNIT_EX },
	{ "ex", SETEX_TIME, UNIT_EX },
	{ "px", SETEX_TIME, UNIT_PX },
	{ "exat", SETEX_TIME, UNIT_EXAT },
	{ "pxat", SETEX_TIME, UNIT_PXAT },
	{ NULL, 0, UNIT_EX },
};

/* One word in front of FIELDS; *i goes behind it. */
static bool
setex_option(struct call *c, size_t *i, struct setex *o)
{
	const unsigned conditions = SETEX_FNX | SETEX_FXX;
	const unsigned times = SETEX_KEEPTTL | SETEX_TIME;
	const struct setex_word *w = setex_words;
	struct kv_slice text = c->args[*i];

	while (w->word != NULL && !slice_is_word(text, w->word))
		w++;
	if (w->word == NULL)
		call_errorf(c, "ERR unknown argument: %.*s",
		    (int)(text.len < 128 ? text.len : 128), text.data);
	else if (w->flag & conditions && o->flags & conditions)
		call_error(c,
		    "ERR Only one of FXX or FNX arguments can be specified");
	else if (w->flag & times && o->flags & times)
		call_error(c,
		    "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments"
		    " can be specified");
	else if (w->flag == SETEX_TIME && *i + 1 >= c->argc)
		call_error(c, "ERR missing expire time");
	else if (w->flag != SETEX_TIME ||
	    fields_time(c, c->args[++*i], w->unit, &o->deadline)) {
		o->flags |= w->flag;
		++*i;
		return true;
	}
	return false;
}

static bool
setex_arity(struct call *c)
{
	call_error(c, "ERR wrong number of arguments for 'hsetex' command");
	return false;
}

static bool
setex_parse(struct call *c, struct setex *o)
{
	size_t i = 2;
	int64_t n;

	while (i < c->argc && !slice_is_word(c->args[i], "fields"))
		if (!setex_option(c, &i, o))
			return false;
	if (i + 3 >= c->argc)
		return setex_arity(c);
	if (num_parse_i64(c->args[i + 1], &n) < 0 || n < 1 || n > INT32_MAX) {
		call_error(c, "ERR invalid number of fields");
		return false;
	}
	o->from = i + 2;
	return (uint64_t)n * 2 == c->argc - o->from || setex_arity(c);
}

static int
setex_check(struct call *c, const struct setex *o)
{
	size_t i;
	int rc;

	for (i = o->from; i < c->argc; i += 2)
		if ((rc = call_check_field(c, c->args[i])) < 0 ||
		    (rc = call_check_value(c, c->args[i + 1])) < 0)
			return rc;
	return KV_OK;
}

/* Do FNX and FXX hold?  All fields must be new, or be there. */
static int
setex_holds(struct call *c, const struct setex *o, bool *holds)
{
	const struct bucket *b;
	struct record r;
	size_t i;
	int rc = keyspace_hash(c, c->args[1], &b);

	*holds = true;
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	if (rc == KV_ENOTFOUND)
		b = NULL;
	for (i = o->from; i < c->argc && *holds; i += 2) {
		rc = fields_get(c, b, c->args[i], &r);
		if (rc < 0 && rc != KV_ENOTFOUND)
			return rc;
		if (o->flags & (rc == KV_OK ? SETEX_FNX : SETEX_FXX))
			*holds = false;
	}
	return KV_OK;
}

static int
setex_put(struct call *c, const struct setex *o, const struct bucket *b,
    size_t i)
{
	uint64_t deadline = o->deadline;
	struct record r;
	int rc;

	if (o->flags & SETEX_KEEPTTL) {
		rc = fields_get(c, b, c->args[i], &r);
		if (rc < 0 && rc != KV_ENOTFOUND)
			return rc;
		deadline = rc == KV_OK ? r.deadline : 0;
	}
	return fields_put(c, b, c->args[i], c->args[i + 1], deadline);
}

int
cmd_hsetex(struct call *c)
{
	struct setex o = { .flags = 0 };
	const struct bucket *b;
	bool holds;
	size_t i;
	int rc;

	if (!setex_parse(c, &o))
		return KV_OK;
	if ((rc = setex_check(c, &o)) < 0 ||
	    (rc = setex_holds(c, &o, &holds)) < 0)
		return rc;
	if (!holds) {
		reply_integer(c->reply, 0);
		return KV_OK;
	}
	if ((rc = keyspace_hash_make(c, c->args[1], 0, &b)) < 0)
		return rc;
	for (i = o.from; i < c->argc; i += 2)
		if ((rc = setex_put(c, &o, b, i)) < 0)
			return rc;
	if (o.deadline > engine_now_ms(c->engine))
		rc = keyspace_field_expires(c, c->args[1], b, o.deadline);
	else if (o.deadline != 0)
		rc = keyspace_hash_trim(c, c->args[1], b);
	if (rc == KV_OK)
		reply_integer(c->reply, 1);
	return rc;
}
