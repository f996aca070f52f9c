/* SPDX-License-Identifier: ISC */
/* Transactions: several commands as one, if what was watched is unchanged. */

#include "worker/cmd.h"
#include "worker/multi.h"
#include "worker/watch.h"

int
cmd_multi(struct call *c)
{
	int rc;

	if (multi_is_open(c->session))
		return call_error(c, "ERR MULTI calls can not be nested");
	if ((rc = multi_open(c->session)) < 0)
		return rc;
	reply_ok(c->reply);
	return KV_OK;
}

/* What it leaves to multi_after: the end of the transaction. */
int
cmd_exec(struct call *c)
{
	struct session *s = c->session;
	bool changed;
	int rc;

	if (!multi_is_open(s))
		return call_error(c, "ERR EXEC without MULTI");
	if (multi_is_spoiled(s))
		return call_error(c,
		    "EXECABORT Transaction discarded because of previous"
		    " errors.");
	if ((rc = watch_changed(c, *multi_watches(s), &changed)) < 0)
		return rc;
	if (changed) {
		reply_null_array(c->reply);
		return KV_OK;
	}
	return multi_run(c);
}

int
cmd_discard(struct call *c)
{
	if (!multi_is_open(c->session))
		return call_error(c, "ERR DISCARD without MULTI");
	multi_end(c->session);
	reply_ok(c->reply);
	return KV_OK;
}

int
cmd_watch(struct call *c)
{
	struct watch **list;
	size_t i;
	int rc;

	if (multi_is_open(c->session))
		return call_error(c, "ERR WATCH inside MULTI is not allowed");
	if ((list = multi_watches(c->session)) == NULL)
		return KV_ENOMEM;
	for (i = 1; i < c->argc; i++)
		if ((rc = watch_add(c, list, c->args[i])) < 0)
			return rc;
	reply_ok(c->reply);
	return KV_OK;
}

/* Within EXEC, too: there it has nothing to do any more. */
int
cmd_unwatch(struct call *c)
{
	struct watch **list = multi_watches(c->session);

	if (list == NULL)
		return KV_ENOMEM;
	if (!multi_is_open(c->session))
		watch_clear(list);
	reply_ok(c->reply);
	return KV_OK;
}
