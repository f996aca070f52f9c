/* SPDX-License-Identifier: ISC */
/* Starting, restarting and stopping everything, in order. */

#include "supervisor/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "supervisor/announce.h"
#include "supervisor/limits.h"
#include "supervisor/preflight.h"
#include "supervisor/programs.h"
#include "supervisor/reload.h"
#include "supervisor/status.h"

#define SUPERVISOR_STOP_LIMIT_NS 10000000000u

/* The one line of a start that failed; empty when it was logged already. */
static int
supervisor_complain(int rc, const char *why)
{
	if (why[0] != '\0')
		fprintf(stderr, "kvd: %s\n", why);
	return rc;
}

/* ---- children ---- */

static int
supervisor_add(struct supervisor *s, enum process_role role,
    const struct port *port)
{
	struct process *p;
	int rc;

	if ((rc = process_new(&s->home, role, port, &p)) < 0)
		return rc;
	/* Once we serve, a child that cannot be started is tried again. */
	p->child.was_ready = s->phase == SUPERVISOR_SERVING;
	DL_APPEND(s->processes, p);
	process_handle(p, CHILD_WANTED);
	return KV_OK;
}

int
supervisor_add_workers(struct supervisor *s, struct port *port)
{
	uint64_t i, workers = conf_u64(s->conf, CONF_WORKERS);
	int rc = KV_OK;

	for (i = 0; i < workers && rc == KV_OK; i++)
		rc = supervisor_add(s, PROCESS_WORKER, port);
	return rc;
}

int
supervisor_set_syncd(struct supervisor *s)
{
	bool wanted = conf_has_sync(s->conf);
	struct process *p;

	DL_FOREACH(s->processes, p) {
		if (p->role == PROCESS_SYNCD)
			break;
	}
	if (p == NULL)
		return wanted ? supervisor_add(s, PROCESS_SYNCD, NULL) : KV_OK;
	process_handle(p, wanted ? CHILD_WANTED : CHILD_UNWANTED);
	return KV_OK;
}

/* All but the walwriter, which runs already. */
static int
supervisor_add_others(struct supervisor *s)
{
	struct port *port;
	int rc;

	if ((rc = supervisor_add(s, PROCESS_CHECKPOINTER, NULL)) < 0)
		return rc;
	if ((rc = supervisor_set_syncd(s)) < 0)
		return rc;
	DL_FOREACH(s->ports, port) {
		if ((rc = supervisor_add_workers(s, port)) < 0)
			return rc;
	}
	return KV_OK;
}

static void
supervisor_announce(struct supervisor *s)
{
	struct port *port;

	s->phase = SUPERVISOR_SERVING;
	DL_FOREACH(s->ports, port)
		announce_port(s, port);
	announce_first_steps(s);
	sdnotify_send(&s->notify, "READY=1\nSTATUS=Serving %s",
	    conf_text(s->conf, CONF_DIR));
}

static bool
supervisor_all_ready(const struct supervisor *s)
{
	const struct process *p;

	DL_FOREACH(s->processes, p) {
		if (!p->child.was_ready)
			return false;
	}
	return true;
}

static void
supervisor_stop_stage(struct supervisor *s)
{
	struct process *p, *next;

	DL_FOREACH_SAFE(s->processes, p, next) {
		if (process_kind(p->role)->stage == s->stage)
			process_handle(p, CHILD_UNWANTED);
	}
}

static void
supervisor_stop(struct supervisor *s)
{
	struct port *port;

	if (s->phase == SUPERVISOR_STOPPING)
		return;
	log_info("stop");
	sdnotify_send(&s->notify, "STOPPING=1");
	s->phase = SUPERVISOR_STOPPING;
	s->stage = 0;
	DL_FOREACH(s->ports, port)
		port_close(port);
	loop_timer_set(s->loop, &s->stop_limit,
	    loop_now(s->loop) + SUPERVISOR_STOP_LIMIT_NS);
	supervisor_stop_stage(s);
}

static void
supervisor_hopeless(struct supervisor *s, const struct process *p)
{
	supervisor_complain(0, p->failed);
	s->exit_code = 1;
	loop_stop(s->loop);
}

static void
supervisor_news(void *arg, struct process *p, enum process_news news)
{
	struct supervisor *s = arg;

	switch (news) {
	case PROCESS_IS_READY:
		if (s->phase == SUPERVISOR_OPENING) {
			s->phase = SUPERVISOR_RISING;
			if (supervisor_add_others(s) < 0)
				supervisor_hopeless(s, p);
		}
		if (s->phase == SUPERVISOR_RISING && supervisor_all_ready(s))
			supervisor_announce(s);
		break;
	case PROCESS_IS_HOPELESS:
		supervisor_hopeless(s, p);
		break;
	case PROCESS_ASKS_STOP:
		supervisor_stop(s);
		break;
	case PROCESS_IS_GONE:
		/* A reload may have changed its mind meanwhile; ports are
		 * looked at after the turn. */
		if (p->role == PROCESS_SYNCD && conf_has_sync(s->conf) &&
		    s->phase == SUPERVISOR_SERVING)
			process_handle(p, CHILD_WANTED);
		break;
	}
}

/* ---- after every turn ---- */

static bool
supervisor_stage_is_over(const struct supervisor *s)
{
	const struct process *p;

	DL_FOREACH(s->processes, p) {
		if (process_kind(p->role)->stage <= s->stage &&
		    p->child.state != CHILD_IDLE)
			return false;
	}
	return true;
}

static void
supervisor_sweep_port(struct supervisor *s, struct port *port)
{
	struct process *p, *next;
	bool used = false;

	DL_FOREACH_SAFE(s->processes, p, next) {
		if (p->port != port)
			continue;
		if (p->child.state == CHILD_IDLE) {
			DL_DELETE(s->processes, p);
			process_free(p);
		} else {
			used = true;
		}
	}
	if (!used) {
		DL_DELETE(s->ports, port);
		port_free(port);
	}
}

static void
supervisor_reload(struct supervisor *s)
{
	struct conf_error e;

	s->reload_wanted = false;
	if (reload_apply(s, &e) < 0)
		return; /* it has said so */
}

static void
supervisor_turn_end(void *arg)
{
	struct supervisor *s = arg;
	struct port *port, *next;

	while (s->phase == SUPERVISOR_STOPPING && s->stage < PROCESS_STAGES &&
	    supervisor_stage_is_over(s)) {
		if (++s->stage == PROCESS_STAGES)
			loop_stop(s->loop);
		else
			supervisor_stop_stage(s);
	}
	DL_FOREACH_SAFE(s->ports, port, next) {
		if (port->is_gone)
			supervisor_sweep_port(s, port);
	}
	if (s->reload_wanted && s->phase == SUPERVISOR_SERVING)
		supervisor_reload(s);
}

/* ---- the end ---- */

static void
supervisor_out_of_patience(struct timer *timer)
{
	struct supervisor *s = loop_owner(timer, struct supervisor, stop_limit);
	struct process *p, *next;

	DL_FOREACH_SAFE(s->processes, p, next) {
		process_handle(p, CHILD_UNWANTED);
		process_handle(p, CHILD_TIME);
	}
}

/* ---- signals ---- */

static void
supervisor_reap(struct supervisor *s)
{
	struct process *p;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		DL_FOREACH(s->processes, p) {
			if (p->pid == pid)
				break;
		}
		if (p != NULL)
			process_ended(p, status);
	}
}

static void
supervisor_signalled(struct loop_source *source, uint32_t events)
{
	struct supervisor *s = loop_owner(source, struct supervisor, signals);
	struct signalfd_siginfo info;

	(void)events;
	while (read(source->fd, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGCHLD:
			supervisor_reap(s);
			break;
		case SIGHUP:
			s->reload_wanted = true;
			break;
		default:
			supervisor_stop(s);
			break;
		}
	}
}

static int
supervisor_watch_signals(struct supervisor *s)
{
	static const int numbers[] = { SIGCHLD, SIGHUP, SIGINT, SIGTERM };
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&set, numbers[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_system("sigprocmask", "kvd");
	signal(SIGPIPE, SIG_IGN);
	s->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals.fd < 0)
		return err_system("signalfd", "kvd");
	s->signals.ready = supervisor_signalled;
	s->signals.events = EPOLLIN;
	return loop_add(s->loop, &s->signals);
}

/* ---- control socket, watchdog ---- */

static void
supervisor_answer(void *arg, const char *request, struct buf *out)
{
	struct supervisor *s = arg;
	struct conf_error e;
	int rc = KV_OK;

	if (strcmp(request, "status") == 0) {
		rc = status_write(s, out);
	} else if (strcmp(request, "ports") == 0) {
		rc = status_ports(s, out);
	} else if (strcmp(request, "stop") == 0) {
		supervisor_stop(s);
		rc = buf_printf(out, "ok\n");
	} else if (strcmp(request, "reload") != 0) {
		rc = buf_printf(out,
		    "error unknown request, expected status, "
		    "ports, reload or stop\n");
	} else if (s->phase != SUPERVISOR_SERVING) {
		rc = buf_printf(out, "error not serving\n");
	} else if (reload_apply(s, &e) < 0) {
		rc = buf_printf(out, "error %s\n", e.text);
	} else {
		rc = buf_printf(out, "ok\n");
	}
	if (rc < 0)
		log_error("control answer failed error=\"%s\"", err_text(rc));
}

static void
supervisor_feed_watchdog(struct timer *timer)
{
	struct supervisor *s = loop_owner(timer, struct supervisor, watchdog);

	sdnotify_send(&s->notify, "WATCHDOG=1");
	loop_timer_set(s->loop, timer,
	    loop_now(s->loop) + s->notify.watchdog_us * 500);
}

/* ---- setting up ---- */

static int
supervisor_init(struct supervisor *s)
{
	struct loop_hooks hooks = { .turn_end = supervisor_turn_end, .arg = s };
	struct conf_error e;
	int rc;

	s->started_ns = clock_mono_ns();
	s->signals.fd = -1;
	s->stop_limit.expired = supervisor_out_of_patience;
	s->watchdog.expired = supervisor_feed_watchdog;
	s->home.news = supervisor_news;
	s->home.arg = s;
	limits_set();
	if ((rc = limits_clients(s->conf, &e)) < 0)
		return supervisor_complain(rc, e.text);
	if ((rc = loop_new(&s->loop)) < 0)
		return rc;
	loop_set_hooks(s->loop, &hooks);
	s->home.loop = s->loop;
	if ((rc = programs_folder(s->home.programs)) < 0)
		return rc;
	return conf_write(s->conf, &s->home.conf);
}

/* Ports first: whoever has one of them is told at once, and nothing was
 * touched yet. */
static int
supervisor_open(struct supervisor *s)
{
	struct conf_error e;
	int rc;

	rc = port_open_all(s->conf, &s->notify, &s->ports, e.text,
	    sizeof(e.text));
	if (rc < 0)
		return supervisor_complain(rc, e.text);
	if ((rc = preflight_make(s->conf, &e)) < 0)
		return supervisor_complain(rc, e.text);
	if ((rc = supervisor_watch_signals(s)) < 0)
		return rc;
	if (s->notify.watchdog_us > 0)
		loop_timer_set(s->loop, &s->watchdog, 0);
	if (control_new(s->loop, conf_text(s->conf, CONF_DIR),
		supervisor_answer, s, &s->control) < 0)
		log_warn("control socket missing dir=%s",
		    conf_text(s->conf, CONF_DIR));
	return supervisor_add(s, PROCESS_WALWRITER, NULL);
}

static void
supervisor_fini(struct supervisor *s)
{
	struct process *p, *next;

	DL_FOREACH_SAFE(s->processes, p, next)
		process_free(p);
	port_free_all(&s->ports);
	control_free(s->control);
	if (s->signals.fd >= 0)
		close(s->signals.fd);
	loop_free(s->loop);
	buf_fini(&s->home.conf);
	conf_free(s->conf);
}

int
supervisor_run(struct conf *conf, const struct flags *flags,
    const struct sdnotify *notify)
{
	struct supervisor *s;
	int code = 1;

	if ((s = calloc(1, sizeof(*s))) == NULL) {
		conf_free(conf);
		return 1;
	}
	s->conf = conf;
	s->flags = flags;
	s->notify = *notify;
	if (supervisor_init(s) == KV_OK && supervisor_open(s) == KV_OK &&
	    s->exit_code == 0 && loop_run(s->loop) == KV_OK)
		code = s->exit_code;
	supervisor_fini(s);
	free(s);
	return code;
}
