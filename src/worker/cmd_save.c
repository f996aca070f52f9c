/* SPDX-License-Identifier: ISC */
/* What is safe where: checkpoints, waiting for hosts, the end. */

#include <stdatomic.h>

#include "io/parent.h"
#include "worker/cmd.h"
#include "worker/run.h"

#define SAVE_LOOK_NS 5000000u
#define SAVE_LIMIT_NS 60000000000u

/* All that was written goes from the log into the tree. */
int
cmd_save(struct call *c)
{
	const struct control *k = engine_control(c->engine);
	struct session_extra *x = session_extra(c->session);
	uint64_t now = loop_now(c->worker->loop);

	if (x == NULL)
		return KV_ENOMEM;
	if (x->save_to == 0) {
		x->save_to = atomic_load(&k->wal_end);
		x->save_limit_ns = now + SAVE_LIMIT_NS;
	}
	if (atomic_load(&k->checkpointed) >= x->save_to) {
		x->save_to = 0;
		reply_ok(c->reply);
		return KV_OK;
	}
	if (engine_trouble(c->engine) != 0 || now >= x->save_limit_ns) {
		x->save_to = 0;
		return call_errorf(c, "ERR not saved: %s",
		    engine_trouble(c->engine) != 0
			? engine_trouble_text(engine_trouble(c->engine))
			: "the checkpointer does not get on");
	}
	engine_ask_checkpoint(c->engine);
	loop_timer_set(c->worker->loop, &x->look, now + SAVE_LOOK_NS);
	call_hold(c);
	return KV_OK;
}

int
cmd_bgsave(struct call *c)
{
	if (c->argc > 2 ||
	    (c->argc == 2 && !slice_is_word(c->args[1], "schedule")))
		return call_error(c, "ERR syntax error");
	c->worker->save_to = atomic_load(&engine_control(c->engine)->wal_end);
	engine_ask_checkpoint(c->engine);
	reply_simple(c->reply, "Background saving started");
	return KV_OK;
}

/* The log is cut by checkpoints. */
int
cmd_bgrewriteaof(struct call *c)
{
	engine_ask_checkpoint(c->engine);
	reply_simple(c->reply, "Background append only file rewriting started");
	return KV_OK;
}

/* Since when the tree has had all that was written, as far as this worker has
 * looked: now, or when what BGSAVE was asked for was done. */
int
cmd_lastsave(struct call *c)
{
	const struct control *k = engine_control(c->engine);
	struct worker *w = c->worker;
	uint64_t done = atomic_load(&k->checkpointed);

	if (w->saved_ms == 0)
		w->saved_ms = w->started_ms;
	if (done >= atomic_load(&k->wal_end) ||
	    (w->save_to != 0 && done >= w->save_to)) {
		w->saved_ms = engine_now_ms(c->engine);
		w->save_to = 0;
	}
	reply_integer(c->reply, (int64_t)(w->saved_ms / 1000));
	return KV_OK;
}

/* kvd ends, with all its ports; clients see their connections close. */
int
cmd_shutdown(struct call *c)
{
	static const char *const words[] = { "save", "nosave", "now", "force",
		"abort" };
	size_t i, w;

	for (i = 1; i < c->argc; i++) {
		for (w = 0; w < 5; w++)
			if (slice_is_word(c->args[i], words[w]))
				break;
		if (w == 5)
			return call_error(c, "ERR syntax error");
		if (w == 4)
			return call_error(c, "ERR No shutdown in progress.");
	}
	parent_shutdown();
	return KV_OK;
}
