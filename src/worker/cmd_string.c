/* SPDX-License-Identifier: ISC */
/* Strings: reading, replacing, cutting. */

#include "base/num.h"
#include "worker/cmd.h"
#include "worker/keyspace.h"

int
cmd_get(struct call *c)
{
	struct record r;
	int rc = keyspace_get(c, c->args[1], &r);

	if (rc == KV_OK) {
		c->worker->hits++;
		call_bulk(c, r.value);
		return KV_OK;
	}
	if (rc != KV_ENOTFOUND)
		return rc;
	c->worker->misses++;
	reply_null(c->reply);
	return KV_OK;
}

/* The value as it was, copied: it is about to change. */
static int
string_answer_old(struct call *c)
{
	struct record r;
	int rc = keyspace_get(c, c->args[1], &r);

	if (rc == KV_OK)
		reply_bulk(c->reply, r.value);
	else if (rc == KV_ENOTFOUND)
		reply_null(c->reply);
	return rc;
}

int
cmd_getset(struct call *c)
{
	int rc = string_answer_old(c);

	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	return keyspace_put(c, c->args[1], c->args[2], 0);
}

int
cmd_getdel(struct call *c)
{
	int rc = string_answer_old(c);
	bool was;

	if (rc < 0)
		return rc == KV_ENOTFOUND ? KV_OK : rc;
	return keyspace_remove(c, c->args[1], &was);
}

int
cmd_delifeq(struct call *c)
{
	struct record r;
	bool was = false;
	int rc = keyspace_get(c, c->args[1], &r);

	if (rc == KV_OK && slice_equal(r.value, c->args[2]))
		rc = keyspace_remove(c, c->args[1], &was);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	reply_integer(c->reply, was);
	return KV_OK;
}

int
cmd_mget(struct call *c)
{
	struct record r;
	size_t i;
	int rc;

	reply_array(c->reply, c->argc - 1);
	for (i = 1; i < c->argc; i++) {
		rc = keyspace_get(c, c->args[i], &r);
		if (rc == KV_OK)
			call_bulk(c, r.value);
		else if (rc == KV_ENOTFOUND || rc == KV_ETYPE)
			reply_null(c->reply);
		else
			return rc;
		if (call_overflows(c))
			return KV_ETOOBIG;
	}
	return KV_OK;
}

/* All pairs or none: what could be wrong with one is looked at first. */
static int
string_check_pairs(struct call *c)
{
	size_t i;
	int rc;

	for (i = 1; i < c->argc; i += 2) {
		if ((rc = call_check_key(c, c->args[i])) < 0 ||
		    (rc = call_check_value(c, c->args[i + 1])) < 0)
			return rc;
	}
	return KV_OK;
}

static int
string_put_pairs(struct call *c)
{
	size_t i;
	int rc;

	for (i = 1; i < c->argc; i += 2) {
		rc = keyspace_put(c, c->args[i], c->args[i + 1], 0);
		if (rc < 0)
			return rc;
	}
	return KV_OK;
}

int
cmd_mset(struct call *c)
{
	int rc;

	if (c->argc % 2 == 0)
		return call_error(c,
		    "ERR wrong number of arguments for 'mset' command");
	if ((rc = string_check_pairs(c)) < 0 || (rc = string_put_pairs(c)) < 0)
		return rc;
	reply_ok(c->reply);
	return KV_OK;
}

int
cmd_msetnx(struct call *c)
{
	struct keyspace_item item;
	size_t i;
	int rc;

	if (c->argc % 2 == 0)
		return call_error(c,
		    "ERR wrong number of arguments for 'msetnx' command");
	if ((rc = string_check_pairs(c)) < 0)
		return rc;
	for (i = 1; i < c->argc; i += 2) {
		if ((rc = keyspace_look(c, c->args[i], &item)) < 0)
			return rc;
		if (item.kind != KIND_NONE) {
			reply_integer(c->reply, 0);
			return KV_OK;
		}
	}
	if ((rc = string_put_pairs(c)) == KV_OK)
		reply_integer(c->reply, 1);
	return rc;
}

int
cmd_strlen(struct call *c)
{
	struct record r;
	int rc = keyspace_get(c, c->args[1], &r);

	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	reply_integer(c->reply, rc == KV_OK ? (int64_t)r.value.len : 0);
	return KV_OK;
}

int
cmd_getrange(struct call *c)
{
	int64_t start, end, len;
	struct record r;
	int rc;

	if (!call_integer(c, c->args[2], &start) ||
	    !call_integer(c, c->args[3], &end))
		return KV_OK;
	rc = keyspace_get(c, c->args[1], &r);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	len = rc == KV_OK ? (int64_t)r.value.len : 0;
	if (start < 0)
		start = start < -len ? 0 : start + len;
	if (end < 0)
		end = end < -len ? (start == 0 && len > 0 ? 0 : -1) : end + len;
	if (end >= len)
		end = len - 1;
	if (len == 0 || start > end) {
		reply_bulk(c->reply, (struct kv_slice){ "", 0 });
		return KV_OK;
	}
	call_bulk(c,
	    (struct kv_slice){ r.value.data + start,
		(size_t)(end - start + 1) });
	return KV_OK;
}

/* The old value and its deadline, in scratch so that it can grow. */
static int
string_load(struct call *c, uint64_t *deadline, bool *was)
{
	struct buf *b = &c->worker->scratch;
	struct record r;
	int rc = keyspace_get(c, c->args[1], &r);

	b->len = 0;
	*deadline = 0;
	*was = rc == KV_OK;
	if (rc < 0)
		return rc == KV_ENOTFOUND ? KV_OK : rc;
	*deadline = r.deadline;
	return buf_append(b, r.value.data, r.value.len);
}

static int
string_store(struct call *c, uint64_t deadline, bool built)
{
	struct buf *b = &c->worker->scratch;
	int rc = keyspace_write(c, c->args[1], buf_slice(b), deadline, built);

	if (rc == KV_OK)
		reply_integer(c->reply, (int64_t)b->len);
	b->len = 0;
	buf_shrink(b, 65536);
	return rc;
}

int
cmd_append(struct call *c)
{
	struct buf *b = &c->worker->scratch;
	uint64_t deadline;
	bool was;
	int rc;

	if ((rc = string_load(c, &deadline, &was)) < 0 ||
	    (rc = buf_append(b, c->args[2].data, c->args[2].len)) < 0)
		return rc;
	return string_store(c, deadline, was);
}

int
cmd_setrange(struct call *c)
{
	struct buf *b = &c->worker->scratch;
	struct kv_slice part = c->args[3];
	uint64_t deadline;
	int64_t offset;
	size_t end;
	bool was;
	int rc;

	if (!call_integer(c, c->args[2], &offset))
		return KV_OK;
	if (offset < 0)
		return call_error(c, "ERR offset is out of range");
	if ((rc = string_load(c, &deadline, &was)) < 0)
		return rc;
	if (part.len == 0) {
		reply_integer(c->reply, (int64_t)b->len);
		return KV_OK;
	}
	if ((uint64_t)offset > c->worker->value_max)
		return call_error(c,
		    "ERR string exceeds maximum allowed size "
		    "(proto-max-bulk-len)");
	end = (size_t)offset + part.len;
	if (end > b->len) {
		if ((rc = buf_reserve(b, end - b->len)) < 0)
			return rc;
		memset(b->data + b->len, 0, end - b->len);
		b->len = end;
	}
	memcpy(b->data + offset, part.data, part.len);
	return string_store(c, deadline, true);
}
