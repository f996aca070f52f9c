/* SPDX-License-Identifier: ISC */
/* Deadlines: giving, asking, taking away. */

#include "worker/cmd.h"
#include "worker/commands.h"
#include "worker/keyspace.h"

enum expire_flag { EXPIRE_NX = 1, EXPIRE_XX = 2, EXPIRE_GT = 4, EXPIRE_LT = 8 };

static bool
expire_flags(struct call *c, unsigned *out)
{
	static const char *const words[] = { "nx", "xx", "gt", "lt" };
	size_t i, w;

	*out = 0;
	for (i = 3; i < c->argc; i++) {
		for (w = 0; w < 4 && !slice_is_word(c->args[i], words[w]); w++)
			;
		if (w == 4) {
			call_errorf(c, "ERR Unsupported option %.*s",
			    (int)(c->args[i].len < 128 ? c->args[i].len : 128),
			    c->args[i].data);
			return false;
		}
		*out |= 1u << w;
	}
	if (*out & EXPIRE_NX && *out != EXPIRE_NX) {
		call_error(c,
		    "ERR NX and XX, GT or LT options at the same time are not"
		    " compatible");
		return false;
	}
	if (*out & EXPIRE_GT && *out & EXPIRE_LT) {
		call_error(c,
		    "ERR GT and LT options at the same time are not"
		    " compatible");
		return false;
	}
	return true;
}

static bool
expire_holds(unsigned flags, uint64_t old, int64_t new)
{
	if (flags & EXPIRE_NX && old != 0)
		return false;
	if (flags & EXPIRE_XX && old == 0)
		return false;
	if (flags & EXPIRE_GT && (old == 0 || new <= (int64_t)old))
		return false;
	return !(flags & EXPIRE_LT) || old == 0 || new < (int64_t)old;
}

static int
expire(struct call *c, enum cmd_unit unit)
{
	struct keyspace_item item;
	int64_t deadline;
	unsigned flags;
	int rc;

	if (!expire_flags(c, &flags) ||
	    !cmd_expire_time(c, c->args[2], unit, false, &deadline))
		return KV_OK;
	if ((rc = keyspace_look(c, c->args[1], &item)) < 0)
		return rc;
	if (item.kind == KIND_NONE ||
	    !expire_holds(flags, item.deadline, deadline)) {
		reply_integer(c->reply, 0);
		return KV_OK;
	}
	rc = keyspace_expire(c, c->args[1], &item,
	    deadline > 0 ? (uint64_t)deadline : 1);
	if (rc == KV_OK)
		reply_integer(c->reply, 1);
	return rc;
}

int
cmd_expire(struct call *c)
{
	return expire(c, UNIT_EX);
}

int
cmd_pexpire(struct call *c)
{
	return expire(c, UNIT_PX);
}

int
cmd_expireat(struct call *c)
{
	return expire(c, UNIT_EXAT);
}

int
cmd_pexpireat(struct call *c)
{
	return expire(c, UNIT_PXAT);
}

static int
expire_tell(struct call *c, enum cmd_unit unit)
{
	struct keyspace_item item;
	int64_t t;
	int rc;

	if ((rc = keyspace_look(c, c->args[1], &item)) < 0)
		return rc;
	if (item.kind == KIND_NONE) {
		t = -2;
	} else if (item.deadline == 0) {
		t = -1;
	} else {
		t = (int64_t)item.deadline;
		if (unit == UNIT_EX || unit == UNIT_PX)
			t -= (int64_t)engine_now_ms(c->engine);
		if (unit == UNIT_EX || unit == UNIT_EXAT)
			t = (t + 500) / 1000;
	}
	reply_integer(c->reply, t);
	return KV_OK;
}

int
cmd_ttl(struct call *c)
{
	return expire_tell(c, UNIT_EX);
}

int
cmd_pttl(struct call *c)
{
	return expire_tell(c, UNIT_PX);
}

int
cmd_expiretime(struct call *c)
{
	return expire_tell(c, UNIT_EXAT);
}

int
cmd_pexpiretime(struct call *c)
{
	return expire_tell(c, UNIT_PXAT);
}

int
cmd_persist(struct call *c)
{
	struct keyspace_item item;
	int rc;

	if ((rc = keyspace_look(c, c->args[1], &item)) < 0)
		return rc;
	if (item.kind == KIND_NONE || item.deadline == 0) {
		reply_integer(c->reply, 0);
		return KV_OK;
	}
	if ((rc = keyspace_expire(c, c->args[1], &item, 0)) == KV_OK)
		reply_integer(c->reply, 1);
	return rc;
}
