/* SPDX-License-Identifier: ISC */
/* What all handlers share: errors, checks, replies of unknown length. */

#include "worker/call.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/err.h"
#include "base/num.h"
#include "worker/commands.h"
#include "worker/notify.h"
#include "worker/run.h"

int
call_error(struct call *c, const char *text)
{
	c->worker->errors++;
	if (c->command == NULL)
		line_error(c->reply, text);
	else
		reply_error(c->reply, text);
	return KV_OK;
}

int
call_errorf(struct call *c, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return call_error(c, text);
}

int
call_blame(struct call *c, const char *what, size_t len, size_t limit)
{
	c->worker->blame.what = what;
	c->worker->blame.len = len;
	c->worker->blame.limit = limit;
	return KV_ETOOBIG;
}

/* The text of a length: "key is too long (501 bytes, limit 500)". */
static void
call_blame_text(const struct worker *w, char *to, size_t size)
{
	if (w->blame.what == NULL)
		snprintf(to, size, "a name is empty, or all is too large");
	else if (w->blame.len == 0)
		snprintf(to, size, "%s is empty", w->blame.what);
	else
		snprintf(to, size, "%s is too %s (%zu bytes, limit %zu)",
		    w->blame.what,
		    w->blame.limit > KV_KEY_MAX ? "large" : "long",
		    w->blame.len, w->blame.limit);
}

static const char *
call_trouble_code(uint32_t trouble)
{
	uint32_t space =
	    TROUBLE_LOG_SPACE | TROUBLE_TREE_SPACE | TROUBLE_SHM_SPACE;

	return trouble == 0 || trouble & space ? "OOM" : "MISCONF";
}

void
call_failed(struct call *c, int rc)
{
	uint32_t trouble = engine_trouble(c->engine);
	bool line = c->command == NULL;
	char text[256];

	switch (rc) {
	case KV_ETYPE:
		call_error(c,
		    "WRONGTYPE Operation against a key holding the wrong"
		    " kind of value");
		return;
	case KV_EACCESS:
		call_errorf(c,
		    "%sbuckets whose names begin with byte 1 are the"
		    " server's own",
		    line ? "" : "ERR ");
		return;
	case KV_ETOOBIG:
		call_blame_text(c->worker, text, sizeof(text));
		c->worker->blame.what = NULL;
		call_errorf(c, "%s%s", line ? "" : "ERR ", text);
		return;
	case KV_ENOSPC:
		snprintf(text, sizeof(text), "%s",
		    trouble ? engine_trouble_text(trouble) : err_text(rc));
		if (line)
			call_error(c, text);
		else
			call_errorf(c, "%s command not allowed: %s",
			    call_trouble_code(trouble), text);
		return;
	case KV_ENOMEM:
		call_error(c,
		    line ? "out of memory"
			 : "OOM command not allowed: out of memory");
		return;
	default:
		call_errorf(c, "%s%s", line ? "" : "ERR ", err_text(rc));
	}
}

void
call_because(struct call *c)
{
	const struct control *control = engine_control(c->engine);
	bool told = c->command != NULL && c->command->info.name != NULL &&
	    c->command->info.flags & COMMAND_WRITE &&
	    atomic_load_explicit(&control->notify, memory_order_relaxed) != 0;

	engine_because(c->engine,
	    (uint8_t)(told ? notify_cause_of(c->command->info.name)
			   : CAUSE_UNKNOWN));
}

int
call_check_key(struct call *c, struct kv_slice key)
{
	return key.len <= KV_KEY_MAX
	    ? KV_OK
	    : call_blame(c, "key", key.len, KV_KEY_MAX);
}

int
call_check_field(struct call *c, struct kv_slice field)
{
	return field.len <= KV_KEY_MAX
	    ? KV_OK
	    : call_blame(c, "field", field.len, KV_KEY_MAX);
}

int
call_check_value(struct call *c, struct kv_slice value)
{
	return value.len <= c->worker->value_max
	    ? KV_OK
	    : call_blame(c, "value", value.len, c->worker->value_max);
}

bool
call_integer(struct call *c, struct kv_slice text, int64_t *out)
{
	if (num_parse_i64(text, out) == KV_OK)
		return true;
	call_error(c, "ERR value is not an integer or out of range");
	return false;
}

void
call_bulk(struct call *c, struct kv_slice value)
{
	struct output *o = &c->worker->serve.output;

	/* Staged bytes go away at the commit, before the reply leaves. */
	if (value.len < OUTPUT_REF_MIN || engine_staged(c->engine) > 0) {
		reply_bulk(c->reply, value);
		return;
	}
	reply_bulk_head(c->reply, value.len);
	if (c->reply->rc == KV_OK && !output_refer(o, value))
		reply_raw(c->reply, value.data, value.len);
	reply_bulk_tail(c->reply);
}

bool
call_overflows(struct call *c)
{
	size_t limit = c->worker->serve.limits.output;

	if (output_size(&c->worker->serve.output) <= limit)
		return false;
	(void)call_blame(c, "reply", output_size(&c->worker->serve.output),
	    limit);
	return true;
}

void
call_hold(struct call *c)
{
	struct run *r = c->worker->run;

	r->stop = true;
	r->at = r->start;
	memset(&c->session->parser, 0, sizeof(c->session->parser));
	conn_hold(&c->session->conn, CONN_HOLD_OWNER);
}

struct call_place
call_open(struct call *c)
{
	return (struct call_place){ c->reply->out->len };
}

void
call_put_first(struct call *c, struct call_place place, size_t end)
{
	struct buf *out = c->reply->out;
	char head[CALL_HEAD_MAX];
	size_t n = out->len - end;

	if (c->reply->rc < 0)
		return;
	assert(n <= sizeof(head));
	memcpy(head, out->data + end, n);
	memmove(out->data + place.at + n, out->data + place.at, end - place.at);
	memcpy(out->data + place.at, head, n);
}

void
call_close_array(struct call *c, struct call_place place, size_t n)
{
	size_t end = c->reply->out->len;

	reply_array(c->reply, n);
	call_put_first(c, place, end);
}

void
call_close_map(struct call *c, struct call_place place, size_t pairs)
{
	size_t end = c->reply->out->len;

	reply_map(c->reply, pairs);
	call_put_first(c, place, end);
}
