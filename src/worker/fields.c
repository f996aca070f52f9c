/* SPDX-License-Identifier: ISC */
/* Fields with deadlines: arguments and records. */

#include "worker/fields.h"

#include "base/num.h"
#include "worker/commands.h"

#define FIELDS_TIME_MAX ((INT64_C(1) << 46) - 1) /* Redis' */

bool
fields_parse(struct call *c, size_t at, const char *bad_number)
{
	int64_t n;

	if (at >= c->argc || !slice_is_word(c->args[at], "fields")) {
		call_error(c,
		    "ERR Mandatory argument FIELDS is missing or not at the"
		    " right position");
		return false;
	}
	if (at + 1 >= c->argc || num_parse_i64(c->args[at + 1], &n) < 0 ||
	    n < 1) {
		call_error(c, bad_number);
		return false;
	}
	if (n != (int64_t)(c->argc - at - 2)) {
		call_error(c,
		    "ERR The `numfields` parameter must match the number of"
		    " arguments");
		return false;
	}
	return true;
}

bool
fields_time(struct call *c, struct kv_slice text, enum cmd_unit unit,
    uint64_t *out)
{
	int64_t t, now = 0, most = FIELDS_TIME_MAX;

	if (!call_integer(c, text, &t))
		return false;
	if (t < 0) {
		call_error(c, "ERR invalid expire time, must be >= 0");
		return false;
	}
	if (unit == UNIT_EX || unit == UNIT_PX)
		now = (int64_t)engine_now_ms(c->engine);
	if (unit == UNIT_EX || unit == UNIT_EXAT) {
		most /= 1000;
		t = t > most ? INT64_MAX : t * 1000;
	}
	if (t > FIELDS_TIME_MAX - now) {
		call_errorf(c, "ERR invalid expire time in '%s' command",
		    c->command->info.name);
		return false;
	}
	*out = t + now == 0 ? 1 : (uint64_t)(t + now); /* 0 is no deadline */
	return true;
}

int
fields_get(struct call *c, const struct bucket *b, struct kv_slice field,
    struct record *out)
{
	int rc = call_check_field(c, field);

	if (rc < 0)
		return rc;
	return b == NULL ? KV_ENOTFOUND : engine_get(c->engine, b, field, out);
}

int
fields_put(struct call *c, const struct bucket *b, struct kv_slice field,
    struct kv_slice value, uint64_t deadline)
{
	if (deadline != 0 && deadline <= engine_now_ms(c->engine))
		return engine_delete(c->engine, b, field);
	return engine_put(c->engine, b, field, value, deadline);
}
