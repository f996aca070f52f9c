/* SPDX-License-Identifier: ISC */
/* Write, wait for all, look whether it still holds. */

#include "worker/global.h"

#include <stdio.h>

#include "worker/cmd.h"
#include "worker/keyspace.h"
#include "worker/multi.h"
#include "worker/run.h"
#include "worker/tell.h"

bool
global_may(struct call *c)
{
	if (!multi_is_open(c->session))
		return true;
	call_error(c, "ERR Command not allowed inside a transaction");
	return false;
}

int
global_commit(struct call *c)
{
	struct run *r = c->worker->run;
	uint64_t end = 0;
	int rc;

	if ((rc = tell_commit(c->worker, &end)) < 0)
		return rc;
	if (end > r->need)
		r->need = end;
	c->worker->made_bucket = false;
	c->session->written = engine_written(c->engine);
	return KV_OK;
}

int
global_wait(struct call *c, uint64_t until, uint64_t seq, uint64_t ms,
    bool *alone)
{
	*alone = !c->worker->has_sync;
	return *alone ? KV_OK : cmd_peers_barrier(c, until, seq, ms);
}

int
global_failed(struct call *c, const struct peers_answer *a, const char *what)
{
	char text[512];

	snprintf(text, sizeof(text), "%s; %s", a->text, what);
	return cmd_peers_error(c, text);
}

/* The row is still the one we made, and nobody has put anything in it. */
static int
global_may_withdraw(struct call *c, struct kv_slice name, uint64_t seq,
    bool *may)
{
	struct stamp made = { seq, engine_control(c->engine)->inc };
	const struct bucket *b;
	struct totals sums;
	int rc;

	*may = false;
	rc = engine_bucket_in(c->engine, SCOPE_GLOBAL, name, &b);
	if (rc < 0)
		return rc == KV_ENOTFOUND ? KV_OK : rc;
	if (stamp_compare(b->created, made) != 0)
		return KV_OK;
	rc = engine_totals(c->engine, b, &sums);
	*may = rc == KV_OK && sums.keys == 0;
	return rc;
}

static int
global_created(struct call *c, struct kv_slice name)
{
	struct peers_answer answer;
	bool withdraw = false;
	int rc = KV_OK;

	if (!peers_answered(c, &answer))
		return KV_OK;
	if (answer.is_error && answer.seq != 0) {
		rc = global_may_withdraw(c, name, answer.seq, &withdraw);
		if (rc == KV_OK && withdraw &&
		    (rc = engine_drop_in(c->engine, SCOPE_GLOBAL, name)) ==
			KV_OK)
			rc = global_commit(c);
		if (rc < 0)
			return rc;
	}
	if (answer.is_error)
		global_failed(c, &answer,
		    withdraw ? "it was dropped again" : "it stays");
	else if (c->command == NULL)
		line_ok(c->reply);
	else
		reply_ok(c->reply);
	peers_end(c->session);
	return KV_OK;
}

static int
global_is_local(struct call *c)
{
	return call_errorf(c, "%sthe bucket is of this host only",
	    c->command == NULL ? "" : "ERR ");
}

int
global_create(struct call *c, struct kv_slice name, uint32_t options,
    uint64_t ms)
{
	struct bucket row;
	enum scope scope;
	bool alone;
	uint64_t seq = 0;
	int rc;

	if (peers_has_asked(c->session))
		return global_created(c, name);
	if (!global_may(c))
		return KV_OK;
	if ((rc = engine_scope(c->engine, name, &scope)) < 0)
		return rc;
	if (scope == SCOPE_LOCAL)
		return global_is_local(c);
	if ((rc = keyspace_create(c, name, options)) < 0)
		return rc;
	if (engine_staged(c->engine) > 0) {
		if ((rc = global_commit(c)) < 0)
			return rc;
		seq = engine_written(c->engine);
	}
	if ((rc = engine_row_in(c->engine, SCOPE_GLOBAL, name, &row)) < 0)
		return rc;
	if (row.options & BUCKET_LOCAL)
		return global_is_local(c);
	/* One that was there before is not ours to drop. */
	if (row.created.tick != seq)
		seq = 0;
	if ((rc = global_wait(c, row.seq, seq, ms, &alone)) < 0 || !alone)
		return rc;
	if (c->command == NULL)
		line_ok(c->reply);
	else
		reply_ok(c->reply);
	return KV_OK;
}
