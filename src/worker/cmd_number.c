/* SPDX-License-Identifier: ISC */
/* Counting: in strings and in fields of hashes. */

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "worker/cmd.h"
#include "worker/keyspace.h"

#define NUMBER_TEXT_MAX 5200 /* a long double in full */

/* Where the number stands: a string, or a field when field is not NULL. */
struct number_place {
	struct kv_slice key;
	const struct kv_slice *field;
	struct kv_slice old; /* its text, "" without one */
	uint64_t deadline;
	bool was;
};

static int
number_load(struct call *c, struct number_place *p)
{
	const struct bucket *b;
	struct record r;
	int rc;

	if (p->field == NULL) {
		rc = keyspace_get(c, p->key, &r);
	} else {
		if ((rc = call_check_field(c, *p->field)) < 0)
			return rc;
		rc = keyspace_hash(c, p->key, &b);
		if (rc == KV_OK)
			rc = engine_get(c->engine, b, *p->field, &r);
	}
	p->was = rc == KV_OK;
	p->old = p->was ? r.value : (struct kv_slice){ "", 0 };
	p->deadline = p->was ? r.deadline : 0;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
number_store(struct call *c, const struct number_place *p,
    struct kv_slice value)
{
	const struct bucket *b;
	int rc;

	if (p->field == NULL)
		return keyspace_put(c, p->key, value, p->deadline);
	if ((rc = keyspace_hash_make(c, p->key, 0, &b)) < 0)
		return rc;
	return engine_put(c->engine, b, *p->field, value, p->deadline);
}

static int
number_add(struct call *c, struct number_place *p, int64_t by)
{
	char text[NUM_TEXT_MAX];
	int64_t x = 0;
	int rc;

	if ((rc = number_load(c, p)) < 0)
		return rc;
	if (p->was && num_parse_i64(p->old, &x) < 0)
		return call_error(c,
		    p->field == NULL
			? "ERR value is not an integer or out of range"
			: "ERR hash value is not an integer");
	if (__builtin_add_overflow(x, by, &x))
		return call_error(c,
		    "ERR increment or decrement would overflow");
	rc = number_store(c, p,
	    (struct kv_slice){ text, num_format_i64(text, x) });
	if (rc == KV_OK)
		reply_integer(c->reply, x);
	return rc;
}

static int
number_add_string(struct call *c, int64_t by)
{
	struct number_place p = { .key = c->args[1] };

	return number_add(c, &p, by);
}

int
cmd_incr(struct call *c)
{
	return number_add_string(c, 1);
}

int
cmd_decr(struct call *c)
{
	return number_add_string(c, -1);
}

int
cmd_incrby(struct call *c)
{
	int64_t by;

	return call_integer(c, c->args[2], &by) ? number_add_string(c, by)
						: KV_OK;
}

int
cmd_decrby(struct call *c)
{
	int64_t by;

	if (!call_integer(c, c->args[2], &by))
		return KV_OK;
	if (by == INT64_MIN)
		return call_error(c, "ERR decrement would overflow");
	return number_add_string(c, -by);
}

int
cmd_hincrby(struct call *c)
{
	struct number_place p = { .key = c->args[1], .field = &c->args[2] };
	int64_t by;

	return call_integer(c, c->args[3], &by) ? number_add(c, &p, by) : KV_OK;
}

/* As Redis' string2ld(): the whole text, no blank before it, no NaN. */
static bool
number_parse_float(struct kv_slice text, long double *out)
{
	char copy[NUMBER_TEXT_MAX], *end;

	if (text.len == 0 || text.len >= sizeof(copy) ||
	    isspace((unsigned char)text.data[0]))
		return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	errno = 0;
	*out = strtold(copy, &end);
	if (end != copy + text.len || isnan(*out) ||
	    (errno == ERANGE && (isinf(*out) || *out == 0)))
		return false;
	return true;
}

/* As Redis' ld2string() for people: no exponent, no zeros at the end. */
static size_t
number_format_float(char to[NUMBER_TEXT_MAX], long double x)
{
	size_t n = (size_t)snprintf(to, NUMBER_TEXT_MAX, "%.17Lf", x);

	if (memchr(to, '.', n) != NULL) {
		while (to[n - 1] == '0')
			n--;
		if (to[n - 1] == '.')
			n--;
	}
	if (n == 2 && to[0] == '-' && to[1] == '0') {
		to[0] = '0';
		n = 1;
	}
	return n;
}

static int
number_add_float(struct call *c, struct number_place *p, struct kv_slice by)
{
	char text[NUMBER_TEXT_MAX];
	long double x = 0, d;
	struct kv_slice sum;
	int rc;

	if (p->field != NULL && !number_parse_float(by, &d))
		return call_error(c, "ERR value is not a valid float");
	if (p->field != NULL && (isinf(d)))
		return call_error(c, "ERR value is NaN or Infinity");
	if ((rc = number_load(c, p)) < 0)
		return rc;
	if (p->was && !number_parse_float(p->old, &x))
		return call_error(c,
		    p->field == NULL ? "ERR value is not a valid float"
				     : "ERR hash value is not a float");
	if (!number_parse_float(by, &d))
		return call_error(c, "ERR value is not a valid float");
	x += d;
	if (isnan(x) || isinf(x))
		return call_error(c,
		    "ERR increment would produce NaN or Infinity");
	sum = (struct kv_slice){ text, number_format_float(text, x) };
	if ((rc = number_store(c, p, sum)) == KV_OK)
		reply_bulk(c->reply, sum);
	return rc;
}

int
cmd_incrbyfloat(struct call *c)
{
	struct number_place p = { .key = c->args[1] };

	return number_add_float(c, &p, c->args[2]);
}

int
cmd_hincrbyfloat(struct call *c)
{
	struct number_place p = { .key = c->args[1], .field = &c->args[2] };

	return number_add_float(c, &p, c->args[3]);
}
