/* SPDX-License-Identifier: ISC */
/* Doing what the state machine of a child says. */

#include "supervisor/process.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "io/parent.h"
#include "io/spawn.h"
#include "supervisor/programs.h"

const struct process_kind *
process_kind(enum process_role role)
{
	static const struct process_kind kinds[] = {
#define X(name, program, stage, users)                                         \
	[PROCESS_##name] = { program, stage, users },
		PROCESS_ROLES(X)
#undef X
	};

	return &kinds[role];
}

static uint64_t
process_now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

/* ---- messages ---- */

static void
process_send(struct process *p, const char *data, size_t len)
{
	if (p->control.fd < 0)
		return;
	if (send(p->control.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		(void)err_system("send", p->name);
}

void
process_configure(struct process *p, const char *verb)
{
	const struct buf *conf = &p->home->conf;
	struct buf message;

	buf_init(&message);
	if (buf_printf(&message, "%s\n", verb) < 0 ||
	    buf_append(&message, conf->data, conf->len) < 0)
		log_error("send failed object=\"%s\" error=\"out of memory\"",
		    p->name);
	else
		process_send(p, message.data, message.len);
	buf_fini(&message);
}

static void
process_take_message(struct process *p, char *text)
{
	if (strcmp(text, "ready") == 0)
		process_handle(p, CHILD_READY);
	else if (strcmp(text, "shutdown") == 0)
		p->home->news(p->home->arg, p, PROCESS_ASKS_STOP);
	else if (strncmp(text, "failed ", 7) == 0)
		snprintf(p->failed, sizeof(p->failed), "%.500s", text + 7);
}

/* Take what the child has said, until it says no more. */
static void
process_read(struct process *p)
{
	char text[1025];
	ssize_t n;

	while (p->control.fd >= 0) {
		n = recv(p->control.fd, text, sizeof(text) - 1, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			/* Its end is about to be reported, too. */
			loop_remove(p->home->loop, &p->control);
			return;
		}
		text[n] = '\0';
		process_take_message(p, text);
	}
}

static void
process_readable(struct loop_source *source, uint32_t events)
{
	(void)events;
	process_read(loop_owner(source, struct process, control));
}

static void
process_hang_up(struct process *p)
{
	if (p->control.fd < 0)
		return;
	loop_remove(p->home->loop, &p->control);
	close(p->control.fd);
	p->control.fd = -1;
}

/* ---- start ---- */

/* Descriptors of the child: control, nothing where the shared segment will be,
 * listening sockets. */
static int
process_exec(struct process *p, int control)
{
	char path[PATH_MAX], program[32], port[16] = "";
	char *argv[] = { program, port, NULL };
	int fds[2 + PORT_ADDRESSES_MAX] = { control, -1 };
	struct spawn what = { .path = path,
		.argv = argv,
		.fds = fds,
		.fd_count = 2 };
	size_t i;

	if (!programs_find(p->home->programs, process_kind(p->role)->program,
		path))
		return KV_ENOTFOUND;
	snprintf(program, sizeof(program), "%s",
	    process_kind(p->role)->program);
	if (p->port == NULL)
		argv[1] = NULL;
	else
		port_name(p->port, port, sizeof(port));
	for (i = 0; p->port != NULL && i < p->port->fd_count; i++)
		fds[what.fd_count++] = p->port->fds[i];
	return spawn_process(&what, &p->pid);
}

static int
process_start(struct process *p)
{
	int pair[2], rc;

	p->failed[0] = '\0';
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_system("socketpair", p->name);
	rc = process_exec(p, pair[1]);
	close(pair[1]);
	if (rc < 0) {
		close(pair[0]);
		return rc;
	}
	p->control.fd = pair[0];
	p->control.events = EPOLLIN;
	p->control.ready = process_readable;
	log_debug("start child=\"%s\" pid=%d", p->name, (int)p->pid);
	if ((rc = loop_add(p->home->loop, &p->control)) < 0)
		kill(p->pid, SIGKILL);
	process_configure(p, "config");
	return KV_OK;
}

/* ---- what the state machine wants ---- */

/* One line for every restart. */
static void
process_log_pause(const struct process *p)
{
	int status = p->end_status;
	bool by_signal = WIFSIGNALED(status);

	log_warn("restart child=\"%s\" pid=%d %s=%d after_ms=%llu restarts=%u"
		 "%s%s%s",
	    p->name, (int)p->end_pid, by_signal ? "signal" : "exit",
	    by_signal ? WTERMSIG(status) : WEXITSTATUS(status),
	    (unsigned long long)(p->child.due_ms - process_now_ms()),
	    p->child.restarts, p->failed[0] == '\0' ? "" : " error=\"",
	    p->failed, p->failed[0] == '\0' ? "" : "\"");
}

static void
process_do(struct process *p, enum child_action action)
{
	struct process_home *home = p->home;

	switch (action) {
	case CHILD_SPAWN:
		if (process_start(p) < 0)
			process_handle(p, CHILD_REFUSED);
		break;
	case CHILD_ASK:
		process_send(p, "stop", 4);
		break;
	case CHILD_KILL:
		log_warn("kill child=\"%s\" pid=%d reason=\"did not stop\"",
		    p->name, (int)p->pid);
		kill(p->pid, SIGKILL);
		break;
	case CHILD_ENDED:
		home->news(home->arg, p, PROCESS_IS_GONE);
		break;
	case CHILD_GIVE_UP:
		home->news(home->arg, p, PROCESS_IS_HOPELESS);
		break;
	case CHILD_PAUSE:
		process_log_pause(p);
		break;
	case CHILD_NOTHING:
		break;
	}
}

void
process_handle(struct process *p, enum child_event event)
{
	bool was_up = p->child.state == CHILD_UP;
	enum child_action action;

	action = child_handle(&p->child, event, process_now_ms());
	if (p->child.due_ms == 0)
		loop_timer_clear(p->home->loop, &p->timer);
	else
		loop_timer_set(p->home->loop, &p->timer,
		    p->child.due_ms * 1000000);
	if (!was_up && p->child.state == CHILD_UP)
		p->home->news(p->home->arg, p, PROCESS_IS_READY);
	process_do(p, action); /* last: p may be gone then */
}

static void
process_expired(struct timer *timer)
{
	process_handle(loop_owner(timer, struct process, timer), CHILD_TIME);
}

void
process_ended(struct process *p, int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	bool refused;

	process_read(p); /* "ready" or "failed" may still wait there */
	process_hang_up(p);
	refused =
	    code == 1 || (p->failed[0] != '\0' && code != PARENT_TRY_AGAIN);
	p->end_pid = p->pid;
	p->end_status = status;
	p->pid = 0;
	process_handle(p, refused ? CHILD_REFUSED : CHILD_CRASHED);
}

int
process_new(struct process_home *home, enum process_role role,
    const struct port *port, struct process **out)
{
	struct process *p;
	char name[16];

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return KV_ENOMEM;
	p->home = home;
	p->role = role;
	p->port = port;
	p->control.fd = -1;
	p->timer.expired = process_expired;
	snprintf(p->name, sizeof(p->name), "%s", process_kind(role)->program);
	if (port != NULL) {
		port_name(port, name, sizeof(name));
		snprintf(p->name, sizeof(p->name), "%s %s",
		    process_kind(role)->program, name);
	}
	*out = p;
	return KV_OK;
}

void
process_free(struct process *p)
{
	if (p == NULL)
		return;
	process_hang_up(p);
	loop_timer_clear(p->home->loop, &p->timer);
	if (p->pid > 0) {
		kill(p->pid, SIGKILL);
		while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	free(p);
}
