/* SPDX-License-Identifier: ISC */
/* SET and its relatives: conditions and deadlines. */

#include "base/num.h"
#include "worker/cmd.h"
#include "worker/commands.h"
#include "worker/global.h"
#include "worker/keyspace.h"
#include "worker/notify.h"

enum set_flag {
	SET_NX = 1,
	SET_XX = 2,
	SET_GET = 4,
	SET_KEEPTTL = 8,
	SET_IFEQ = 16,
	SET_PERSIST = 32,
	SET_GLOBAL = 1024,
	SET_WITHDRAW = 2048,
	SET_EX = 64, /* << enum cmd_unit: 64, 128, 256, 512 */
	SET_EXPIRES = SET_EX | SET_EX << 1 | SET_EX << 2 | SET_EX << 3,
};

struct set_options {
	unsigned flags;
	enum cmd_unit unit;
	struct kv_slice time;
	struct kv_slice expected; /* IFEQ */
	struct kv_slice limit;	  /* GLOBAL */
};

/* Options: the word, its flag, what it cannot stand beside, whether an
 * argument follows, who has it. */
static const struct set_word {
	const char *word;
	unsigned flag, excludes;
	bool argument, of_set, of_getex;
} set_words[] = {
	{ "nx", SET_NX, SET_XX | SET_IFEQ, false, true, false },
	{ "xx", SET_XX, SET_NX | SET_IFEQ, false, true, false },
	{ "get", SET_GET, 0, false, true, false },
	{ "keepttl", SET_KEEPTTL, SET_EXPIRES, false, true, false },
	{ "persist", SET_PERSIST, SET_EXPIRES, false, false, true },
	{ "ex", SET_EX, (SET_EXPIRES & ~SET_EX) | SET_KEEPTTL | SET_PERSIST,
	    true, true, true },
	{ "px", SET_EX << 1,
	    (SET_EXPIRES & ~(SET_EX << 1)) | SET_KEEPTTL | SET_PERSIST, true,
	    true, true },
	{ "exat", SET_EX << 2,
	    (SET_EXPIRES & ~(SET_EX << 2)) | SET_KEEPTTL | SET_PERSIST, true,
	    true, true },
	{ "pxat", SET_EX << 3,
	    (SET_EXPIRES & ~(SET_EX << 3)) | SET_KEEPTTL | SET_PERSIST, true,
	    true, true },
	{ "ifeq", SET_IFEQ, SET_NX | SET_XX, true, true, false },
	{ "global", SET_GLOBAL, SET_GET | SET_XX, true, true, false },
	{ "withdraw", SET_WITHDRAW, 0, false, true, false },
};

static const struct set_word *
set_find(struct kv_slice text)
{
	size_t i;

	for (i = 0; i < sizeof(set_words) / sizeof(*set_words); i++)
		if (slice_is_word(text, set_words[i].word))
			return &set_words[i];
	return NULL;
}

/* GLOBAL is for conditions; it has the answer for itself. */
static bool
set_is_whole(unsigned flags)
{
	if (!(flags & SET_GLOBAL))
		return !(flags & SET_WITHDRAW);
	return flags & (SET_NX | SET_IFEQ) && !(flags & (SET_GET | SET_XX));
}

static bool
set_parse(const struct kv_slice *args, size_t argc, size_t from, bool getex,
    struct set_options *out)
{
	const struct set_word *word;
	size_t i;

	*out = (struct set_options){ .flags = 0 };
	for (i = from; i < argc; i++) {
		word = set_find(args[i]);
		if (word == NULL || out->flags & word->excludes ||
		    !(getex ? word->of_getex : word->of_set) ||
		    (word->argument && i + 1 == argc))
			return false;
		out->flags |= word->flag;
		if (word->flag & SET_EXPIRES) {
			out->unit =
			    (enum cmd_unit)__builtin_ctz(word->flag / SET_EX);
			out->time = args[++i];
		} else if (word->flag == SET_IFEQ) {
			out->expected = args[++i];
		} else if (word->flag == SET_GLOBAL) {
			out->limit = args[++i];
		}
	}
	return set_is_whole(out->flags);
}

unsigned
cmd_set_needs(const struct kv_slice *args, size_t argc)
{
	struct set_options o;

	if (argc <= 3 || !set_parse(args, argc, 3, false, &o) ||
	    !(o.flags & ~(unsigned)SET_EXPIRES))
		return 0;
	return CALL_ATOMIC | (o.flags & SET_GLOBAL ? CALL_SESSION : 0);
}

bool
cmd_expire_time(struct call *c, struct kv_slice text, enum cmd_unit unit,
    bool positive, int64_t *out)
{
	int64_t t, now = (int64_t)engine_now_ms(c->engine);
	bool seconds = unit == UNIT_EX || unit == UNIT_EXAT;
	bool relative = unit == UNIT_EX || unit == UNIT_PX;

	if (!call_integer(c, text, &t))
		return false;
	if ((positive && t <= 0) ||
	    (seconds && __builtin_mul_overflow(t, 1000, &t)) ||
	    (relative && __builtin_add_overflow(t, now, &t))) {
		call_errorf(c, "ERR invalid expire time in '%s' command",
		    c->command->info.name);
		return false;
	}
	*out = t;
	return true;
}

/* Put it, or what a deadline in the past amounts to. */
static int
set_put(struct call *c, struct kv_slice key, struct kv_slice value,
    int64_t deadline)
{
	bool was;
	int rc;

	if (deadline == 0 || (uint64_t)deadline > engine_now_ms(c->engine))
		return keyspace_put(c, key, value, (uint64_t)deadline);
	if ((rc = call_check_value(c, value)) < 0)
		return rc;
	return keyspace_remove(c, key, &was);
}

/* Do the conditions hold for what is there? */
static bool
set_holds(const struct set_options *o, const struct keyspace_item *item)
{
	if (o->flags & SET_NX)
		return item->kind == KIND_NONE;
	if (o->flags & SET_XX)
		return item->kind != KIND_NONE;
	if (o->flags & SET_IFEQ)
		return item->kind == KIND_STRING &&
		    slice_equal(item->record.value, o->expected);
	return true;
}

static int
set_with_look(struct call *c, const struct set_options *o, int64_t deadline)
{
	struct keyspace_item item;
	int rc;

	if ((rc = keyspace_look(c, c->args[1], &item)) < 0)
		return rc;
	if ((o->flags & SET_GET || o->flags & SET_IFEQ) &&
	    item.kind == KIND_HASH)
		return KV_ETYPE;
	if (o->flags & SET_GET) {
		/* The answer before the write: it is the old value. */
		if (item.kind == KIND_STRING)
			reply_bulk(c->reply, item.record.value);
		else
			reply_null(c->reply);
	}
	if (!set_holds(o, &item)) {
		if (!(o->flags & SET_GET))
			reply_null(c->reply);
		return KV_OK;
	}
	if (o->flags & SET_KEEPTTL) {
		deadline = (int64_t)item.deadline;
		engine_because(c->engine, CAUSE_SET_KEEP);
	}
	rc = set_put(c, c->args[1], c->args[2], deadline);
	if (rc == KV_OK && !(o->flags & SET_GET))
		reply_ok(c->reply);
	return rc;
}

/* Is what we wrote still there? */
static int
set_is_mine(struct call *c, uint64_t seq, bool *mine)
{
	struct stamp own = { seq, engine_control(c->engine)->inc };
	struct record r;
	int rc = keyspace_get(c, c->args[1], &r);

	*mine = rc == KV_OK && stamp_compare(r.stamp, own) == 0;
	return rc == KV_ENOTFOUND || rc == KV_ETYPE ? KV_OK : rc;
}

/* All nodes have it, and we have what they had: who is still there has won. */
static int
set_global_end(struct call *c, const struct set_options *o)
{
	struct peers_answer answer;
	bool mine, was;
	int rc;

	if (!peers_answered(c, &answer))
		return KV_OK;
	if ((rc = set_is_mine(c, answer.seq, &mine)) < 0)
		return rc;
	if (answer.is_error && mine && o->flags & SET_WITHDRAW &&
	    ((rc = keyspace_remove(c, c->args[1], &was)) < 0 ||
		(rc = global_commit(c)) < 0))
		return rc;
	if (answer.is_error)
		global_failed(c, &answer,
		    !mine			  ? "another value stays"
			: o->flags & SET_WITHDRAW ? "it was deleted again"
						  : "it stays");
	else if (mine)
		reply_ok(c->reply);
	else
		reply_null(c->reply);
	peers_end(c->session);
	return KV_OK;
}

/* SET key value NX | IFEQ old GLOBAL ms [WITHDRAW] (kv-sync.7) */
static int
set_global(struct call *c, const struct set_options *o, int64_t deadline)
{
	size_t before = c->reply->out->len;
	const struct bucket *b;
	struct record r;
	uint64_t ms;
	bool alone;
	int rc;

	if (peers_has_asked(c->session))
		return set_global_end(c, o);
	if (!global_may(c) || !cmd_peers_limit(c, o->limit, &ms))
		return KV_OK;
	if (keyspace_strings(c, &b) == KV_OK && b->options & BUCKET_LOCAL)
		return call_error(c, "ERR the bucket is of this host only");
	rc = set_with_look(c, o, deadline);
	if (rc < 0 || engine_staged(c->engine) == 0)
		return rc;
	c->reply->out->len = before; /* OK is not said yet */
	if ((rc = global_commit(c)) < 0 ||
	    (rc = keyspace_get(c, c->args[1], &r)) < 0)
		return rc;
	rc =
	    global_wait(c, engine_written(c->engine), r.stamp.tick, ms, &alone);
	if (rc == KV_OK && alone)
		reply_ok(c->reply);
	return rc;
}

int
cmd_set(struct call *c)
{
	struct set_options o;
	int64_t deadline = 0;
	int rc;

	if (c->argc == 3) {
		rc = keyspace_put(c, c->args[1], c->args[2], 0);
		if (rc == KV_OK)
			reply_ok(c->reply);
		return rc;
	}
	if (!set_parse(c->args, c->argc, 3, false, &o))
		return call_error(c, "ERR syntax error");
	if (o.flags & SET_EXPIRES &&
	    !cmd_expire_time(c, o.time, o.unit, true, &deadline))
		return KV_OK;
	if (o.flags & SET_GLOBAL)
		return set_global(c, &o, deadline);
	if (o.flags & ~(unsigned)SET_EXPIRES)
		return set_with_look(c, &o, deadline);
	rc = set_put(c, c->args[1], c->args[2], deadline);
	if (rc == KV_OK)
		reply_ok(c->reply);
	return rc;
}

int
cmd_setnx(struct call *c)
{
	struct keyspace_item item;
	int rc;

	if ((rc = keyspace_look(c, c->args[1], &item)) < 0)
		return rc;
	if (item.kind != KIND_NONE) {
		reply_integer(c->reply, 0);
		return KV_OK;
	}
	rc = keyspace_put(c, c->args[1], c->args[2], 0);
	if (rc == KV_OK)
		reply_integer(c->reply, 1);
	return rc;
}

static int
set_for(struct call *c, enum cmd_unit unit)
{
	int64_t deadline;
	int rc;

	if (!cmd_expire_time(c, c->args[2], unit, true, &deadline))
		return KV_OK;
	rc = set_put(c, c->args[1], c->args[3], deadline);
	if (rc == KV_OK)
		reply_ok(c->reply);
	return rc;
}

int
cmd_setex(struct call *c)
{
	return set_for(c, UNIT_EX);
}

int
cmd_psetex(struct call *c)
{
	return set_for(c, UNIT_PX);
}

int
cmd_getex(struct call *c)
{
	struct keyspace_item item;
	struct set_options o;
	int64_t deadline = 0;
	int rc;

	if (!set_parse(c->args, c->argc, 2, true, &o))
		return call_error(c, "ERR syntax error");
	if ((rc = keyspace_look(c, c->args[1], &item)) < 0)
		return rc;
	if (item.kind == KIND_HASH)
		return KV_ETYPE;
	if (item.kind == KIND_NONE) {
		reply_null(c->reply);
		return KV_OK;
	}
	if (o.flags & SET_EXPIRES &&
	    !cmd_expire_time(c, o.time, o.unit, true, &deadline))
		return KV_OK;
	reply_bulk(c->reply, item.record.value);
	if (o.flags & SET_EXPIRES ||
	    (o.flags & SET_PERSIST && item.deadline != 0))
		return keyspace_expire(c, c->args[1], &item,
		    (uint64_t)deadline);
	return KV_OK;
}
