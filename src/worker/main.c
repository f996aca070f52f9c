/* SPDX-License-Identifier: ISC */
/* kv-worker: serves the clients of one port.  Started by kvd. */

#include <signal.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "engine/options.h"
#include "engine/program.h"
#include "io/parent.h"
#include "io/sock.h"
#include "serve/listener.h"
#include "worker/auth.h"
#include "worker/worker.h"

#define MAIN_LISTENERS_MAX 64
#define MAIN_STOP_LIMIT_NS 4000000000u /* kvd kills after five seconds */

struct program {
	struct loop *loop;
	struct engine *engine;
	struct worker worker;
	struct program_parent parent;
	struct timer stop_limit;
	struct listener listeners[MAIN_LISTENERS_MAX];
	size_t inherited; /* descriptors from PARENT_LISTEN_FD up */
	size_t listener_count;
	bool has_worker;
};

static void
main_stop(struct program_parent *parent)
{
	struct program *p = loop_owner(parent, struct program, parent);
	size_t i;

	p->worker.stopping = true;
	for (i = 0; i < p->listener_count; i++)
		listener_stop(&p->listeners[i]);
	inner_close(&p->worker);
	loop_timer_set(p->loop, &p->stop_limit,
	    loop_now(p->loop) + MAIN_STOP_LIMIT_NS);
	serve_drain(&p->worker.serve);
}

static void
main_stop_now(struct timer *timer)
{
	struct program *p = loop_owner(timer, struct program, stop_limit);

	log_warn("stop clients=%zu reason=\"they did not read\"",
	    p->worker.serve.count);
	loop_stop(p->loop);
}

static void
main_reload(struct program_parent *parent, struct conf *conf)
{
	struct program *p = loop_owner(parent, struct program, parent);

	worker_configure(&p->worker, conf);
	if (auth_configure(&p->worker, conf) < 0)
		log_error("password stays as it was");
	conf_free(conf);
}

static int
main_listen(struct program *p)
{
	size_t i;
	int rc;

	for (i = 0; i < p->inherited; i++) {
		int fd = PARENT_LISTEN_FD + (int)i;

		rc = listener_start(&p->listeners[i], &p->worker.serve, fd, 0);
		if (rc < 0)
			return rc;
		p->listener_count++;
		if (p->worker.port == 0)
			p->worker.port = sock_port(fd);
	}
	return KV_OK;
}

static int
main_open(struct program *p, const struct conf *conf)
{
	struct engine_options options;
	int rc;

	/* Counted before anything else is opened behind them. */
	p->inherited = parent_listeners();
	if (p->inherited > MAIN_LISTENERS_MAX)
		p->inherited = MAIN_LISTENERS_MAX;
	engine_options_read(conf, ROLE_WORKER, &options);
	options.port = sock_port(PARENT_LISTEN_FD);
	if ((rc = engine_open(&options, &p->engine)) < 0 ||
	    (rc = loop_new(&p->loop)) < 0)
		return rc;
	p->has_worker = true;
	if ((rc = worker_init(&p->worker, p->engine, p->loop, conf)) < 0 ||
	    (rc = main_listen(p)) < 0)
		return rc;
	/* Without it other hosts cannot ask us; clients can. */
	if ((rc = inner_open(&p->worker)) < 0)
		log_warn("listen name=worker error=\"%s\"", err_text(rc));
	p->stop_limit.expired = main_stop_now;
	return program_listen(&p->parent, p->loop);
}

static void
main_close(struct program *p)
{
	size_t i;

	for (i = 0; i < p->listener_count; i++)
		listener_stop(&p->listeners[i]);
	if (p->has_worker)
		worker_fini(&p->worker);
	if (p->loop != NULL)
		loop_free(p->loop);
	engine_close(p->engine);
}

int
main(void)
{
	static struct program program = {
		.parent = { .name = "kv-worker",
		    .reload = main_reload,
		    .stop = main_stop },
	};
	struct conf *conf;
	int rc;

	signal(SIGPIPE, SIG_IGN);
	if (program_begin(program.parent.name, &conf) < 0)
		return EXIT_FAILURE;
	if ((rc = main_open(&program, conf)) == KV_OK) {
		parent_ready();
		rc = loop_run(program.loop);
	}
	if (program.worker.broken)
		rc = KV_ESYSTEM;
	main_close(&program);
	conf_free(conf);
	return rc == KV_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
