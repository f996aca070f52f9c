/* SPDX-License-Identifier: ISC */
/* The turn of a worker: view, sessions, subscribers, waiting. */

#include "worker/worker.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "conf/conf.h"
#include "worker/auth.h"
#include "worker/cmd.h"
#include "worker/commands.h"
#include "worker/measure.h"
#include "worker/monitor.h"
#include "worker/pause.h"
#include "worker/pubsub.h"
#include "worker/round.h"
#include "worker/session.h"
#include "worker/subscribe.h"
#include "worker/tell.h"

#define WORKER_FD_RESERVE 64   /* for the store, listeners, the log */
#define WORKER_INPUT_VALUES 8  /* largest values that one request may hold */
#define WORKER_LINE_WORDS 1024 /* verb, bucket, key and some white space */

/* Clients that the limit on open files leaves room for; raises it first. */
static size_t
worker_files(void)
{
	struct rlimit limit;
	rlim_t soft;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024 - WORKER_FD_RESERVE;
	soft = limit.rlim_cur;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		limit.rlim_cur = soft; /* fs.nr_open is lower now */
	if (limit.rlim_cur <= 2 * WORKER_FD_RESERVE)
		return WORKER_FD_RESERVE;
	return (size_t)limit.rlim_cur - WORKER_FD_RESERVE;
}

static struct serve_limits
worker_limits(struct worker *w, const struct conf *conf)
{
	struct serve_limits limits = {
		.connections = conf_u64(conf, CONF_MAX_CLIENTS),
		.output = conf_u64(conf, CONF_OUTPUT_LIMIT),
		.idle_ns = conf_u64(conf, CONF_IDLE_TIMEOUT) * 1000000u,
	};
	size_t files = worker_files();

	if (limits.connections > files)
		limits.connections = files;
	/* A reply with the largest value must fit twice. */
	if (limits.output < 4 * w->value_max)
		limits.output = 4 * w->value_max;
	limits.input = WORKER_INPUT_VALUES * w->value_max + (64u << 20);
	return limits;
}

void
worker_configure(struct worker *w, const struct conf *conf)
{
	w->value_max = conf_u64(conf, CONF_VALUE_MAX);
	w->subscriber_limit = conf_u64(conf, CONF_SUBSCRIBER_LIMIT);
	w->databases = (unsigned)conf_u64(conf, CONF_DATABASES);
	w->has_sync = conf_has_sync(conf);
	w->line_max = w->value_max + WORKER_LINE_WORDS;
	w->limits = (struct resp_limits){
		.bulk = 2 * w->value_max > RESP_INLINE_MAX ? 2 * w->value_max
							   : RESP_INLINE_MAX,
		.inline_line = RESP_INLINE_MAX,
	};
	w->serve.limits = worker_limits(w, conf);
	serve_arm_sweep(&w->serve);
}

struct kv_slice
worker_database_name(unsigned n, char to[WORKER_DATABASE_NAME])
{
	to[0] = 'd';
	to[1] = 'b';
	return (struct kv_slice){ to, 2 + num_format_u64(to + 2, n) };
}

/* There is room in the log again, or a reason to refuse.  Those who wait go on
 * in turn, beginning with the one for whom there was none. */
static void
worker_unpause(struct worker *w)
{
	struct conn *c;

	w->paused = 0;
	w->full = false;
	DL_FOREACH(w->serve.conns, c)
		if (session_of(c)->id >= w->full_for)
			conn_release(c, CONN_HOLD_OWNER);
	DL_FOREACH(w->serve.conns, c)
		conn_release(c, CONN_HOLD_OWNER);
}

static void
worker_before_sleep(void *arg)
{
	struct worker *w = arg;
	uint64_t lsn;

	engine_kick(w->engine);
	serve_durable(&w->serve, engine_durable(w->engine));
	while (serve_lowest(&w->serve, &lsn) &&
	    engine_want_durable(w->engine, lsn))
		serve_durable(&w->serve, engine_durable(w->engine));
	if (w->paused > 0 && engine_want_room(w->engine))
		worker_unpause(w);
	inner_turn(w);
	if (subscribe_want(w) || pubsub_want(w) || monitor_want(w))
		loop_again(w->loop);
	if (w->stopping && w->serve.count == 0) {
		loop_stop(w->loop);
		loop_again(w->loop);
	}
}

static void
worker_turn_begin(void *arg)
{
	struct worker *w = arg;

	if (engine_refresh(w->engine) < 0) {
		log_error("stop reason=\"the store cannot be read\"");
		w->broken = true;
		loop_stop(w->loop);
		return;
	}
	serve_run_again(&w->serve);
}

static void
worker_turn_end(void *arg)
{
	struct worker *w = arg;
	struct control_process *p = engine_process(w->engine);

	if (subscribe_pump(w))
		loop_again(w->loop);
	if (pubsub_pump(w))
		loop_again(w->loop);
	if (monitor_pump(w))
		loop_again(w->loop);
	memory_turn(w);
	sweep_turn(w);
	engine_release(w->engine);
	atomic_store_explicit(&p->requests, w->requests, memory_order_relaxed);
	atomic_store_explicit(&p->clients,
	    (uint32_t)(w->serve.count - w->presence.watchers),
	    memory_order_relaxed);
}

static void
worker_woken(struct loop_source *source, uint32_t events)
{
	struct worker *w = loop_owner(source, struct worker, wake);

	(void)events;
	engine_wake_drain(w->engine);
	round_woken(w);
}

int
worker_init(struct worker *w, struct engine *e, struct loop *loop,
    const struct conf *conf)
{
	struct loop_hooks hooks = {
		.before_sleep = worker_before_sleep,
		.turn_begin = worker_turn_begin,
		.turn_end = worker_turn_end,
		.arg = w,
	};
	struct serve_limits none = { .connections = 0 };
	int rc;

	*w = (struct worker){
		.engine = e,
		.loop = loop,
		.wake = { .ready = worker_woken,
		    .fd = engine_wake_fd(e),
		    .events = EPOLLIN },
		.started_ms = clock_wall_ms(),
	};
	request_init(&w->request);
	request_init(&w->ahead);
	buf_init(&w->scratch);
	if ((rc = commands_init()) < 0 || (rc = auth_init(w)) < 0 ||
	    (rc = measure_init(w)) < 0 || (rc = auth_configure(w, conf)) < 0 ||
	    (rc = subscribe_init(w)) < 0 || (rc = pubsub_init(w)) < 0 ||
	    (rc = monitor_init(w)) < 0 ||
	    (rc = serve_init(&w->serve, loop, &session_handlers, &none, w)) <
		0 ||
	    (rc = loop_add(loop, &w->wake)) < 0)
		return rc;
	w->reply = (struct reply){ &w->serve.output.bytes, 2, KV_OK };
	snprintf(w->node, sizeof(w->node), "%s", conf_node(conf));
	worker_configure(w, conf);
	loop_set_hooks(loop, &hooks);
	if ((rc = engine_own_deadlines(e)) < 0)
		return rc;
	sweep_start(w);
	pause_init(w);
	presence_init(w);
	memory_init(w);
	round_init(w);
	return KV_OK;
}

void
worker_fini(struct worker *w)
{
	loop_remove(w->loop, &w->wake);
	sweep_stop(w);
	pause_fini(w);
	inner_close(w);
	memory_fini(w);
	serve_fini(&w->serve);
	presence_fini(w);
	round_fini(w);
	auth_fini(w);
	measure_fini(w);
	cmd_config_fini(w);
	subscribe_fini(w);
	pubsub_fini(w);
	monitor_fini(w);
	tell_fini(w);
	request_fini(&w->request);
	request_fini(&w->ahead);
	buf_fini(&w->scratch);
}
