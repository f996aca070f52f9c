/* SPDX-License-Identifier: ISC */
/* SLOWLOG: commands that took long. */

#include <utlist.h>

#include "base/num.h"
#include "worker/cmd.h"
#include "worker/measure.h"

#define SLOWLOG_GET 10

static void
slowlog_row(struct call *c, const struct measure_slow *slow)
{
	reply_array(c->reply, 6);
	reply_integer(c->reply, (int64_t)slow->id);
	reply_integer(c->reply, (int64_t)(slow->at_ms / 1000));
	reply_integer(c->reply, (int64_t)slow->us);
	reply_raw(c->reply, slow->args.data, slow->args.len);
	reply_text(c->reply, slow->peer);
	reply_text(c->reply, slow->name);
}

static int
slowlog_get(struct call *c)
{
	const struct measure *m = c->worker->measure;
	const struct measure_slow *slow;
	int64_t count = SLOWLOG_GET;
	size_t n, left;

	if (c->argc > 3)
		return call_error(c,
		    "ERR wrong number of arguments for 'slowlog|get' command");
	if (c->argc == 3 &&
	    (num_parse_i64(c->args[2], &count) < 0 || count < -1))
		return call_error(c,
		    "ERR count should be greater than or equal to -1");
	n = m->slow_count;
	if (count >= 0 && (uint64_t)count < n)
		n = (size_t)count;
	reply_array(c->reply, n);
	left = n;
	DL_FOREACH(m->slow, slow) {
		if (left-- == 0)
			break;
		slowlog_row(c, slow);
	}
	return KV_OK;
}

static int
slowlog_len(struct call *c)
{
	reply_integer(c->reply, (int64_t)c->worker->measure->slow_count);
	return KV_OK;
}

static int
slowlog_reset(struct call *c)
{
	measure_trim(c->worker->measure, 0);
	reply_ok(c->reply);
	return KV_OK;
}

int
cmd_slowlog(struct call *c)
{
	static const struct cmd_sub subs[] = {
		{ "get", -2, slowlog_get },
		{ "len", 2, slowlog_len },
		{ "reset", 2, slowlog_reset },
		{ NULL, 0, NULL },
	};

	return cmd_dispatch(c, subs);
}
