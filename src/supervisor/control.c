/* SPDX-License-Identifier: ISC */
/* The control socket: at most a few short conversations. */

#include "supervisor/control.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "io/sock.h"

#define CONTROL_CONNECTIONS 16
#define CONTROL_REQUEST_MAX 128
#define CONTROL_PATIENCE_NS 5000000000u

/* One that asks; fd is -1 while the place is free. */
struct control_conn {
	struct control *control;
	struct loop_source source;
	struct timer timer;
	char request[CONTROL_REQUEST_MAX];
	size_t len;
};

struct control {
	struct loop *loop;
	struct loop_source listener;
	control_answer *answer;
	void *arg;
	char path[PATH_MAX];
	struct control_conn conns[CONTROL_CONNECTIONS];
};

static void
control_close(struct control_conn *conn)
{
	loop_timer_clear(conn->control->loop, &conn->timer);
	if (conn->source.fd < 0)
		return;
	loop_remove(conn->control->loop, &conn->source);
	close(conn->source.fd);
	conn->source.fd = -1;
}

/* An answer is small, and a socket buffer takes some hundred kilobytes; who
 * lets it fill up gets what fits. */
static void
control_reply(struct control_conn *conn)
{
	struct control *c = conn->control;
	struct buf out;

	buf_init(&out);
	c->answer(c->arg, conn->request, &out);
	if (out.len > 0 &&
	    send(conn->source.fd, out.data, out.len,
		MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("control answer lost error=\"%s\"", strerror(errno));
	buf_fini(&out);
	control_close(conn);
}

static void
control_readable(struct loop_source *source, uint32_t events)
{
	struct control_conn *conn =
	    loop_owner(source, struct control_conn, source);
	size_t room = sizeof(conn->request) - 1 - conn->len;
	char *end;
	ssize_t n;

	(void)events;
	n = recv(source->fd, conn->request + conn->len, room, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		control_close(conn);
		return;
	}
	conn->len += (size_t)n;
	conn->request[conn->len] = '\0';
	if ((end = strpbrk(conn->request, "\r\n")) != NULL) {
		*end = '\0';
		control_reply(conn);
	} else if (conn->len == sizeof(conn->request) - 1) {
		control_close(conn);
	}
}

static void
control_impatient(struct timer *timer)
{
	control_close(loop_owner(timer, struct control_conn, timer));
}

static void
control_accept(struct loop_source *source, uint32_t events)
{
	struct control *c = loop_owner(source, struct control, listener);
	int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	size_t i = 0;

	(void)events;
	if (fd < 0)
		return;
	while (i < CONTROL_CONNECTIONS && c->conns[i].source.fd >= 0)
		i++;
	if (i == CONTROL_CONNECTIONS) {
		close(fd);
		return;
	}
	c->conns[i] = (struct control_conn){
		.control = c,
		.source = { .ready = control_readable,
		    .fd = fd,
		    .events = EPOLLIN },
		.timer = { .expired = control_impatient },
	};
	if (loop_add(c->loop, &c->conns[i].source) < 0) {
		control_close(&c->conns[i]);
		return;
	}
	loop_timer_set(c->loop, &c->conns[i].timer,
	    loop_now(c->loop) + CONTROL_PATIENCE_NS);
}

/* A kvd that was killed left its socket.  Its process must be gone and nobody
 * may answer: the one is wrong for another container, the other for a kvd
 * between bind and listen. */
static void
control_remove_if_dead(const char *dir, const char *name)
{
	char path[PATH_MAX];
	int pid, end = 0, fd, n, rc;

	if (sscanf(name, "kvd-%d.sock%n", &pid, &end) != 1 ||
	    end != (int)strlen(name) || pid <= 0)
		return;
	if (pid != getpid() && (kill(pid, 0) == 0 || errno != ESRCH))
		return;
	n = snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return;
	if ((rc = sock_connect_unix(path, 0, &fd)) == KV_OK)
		close(fd);
	else if (rc == KV_ECLOSED)
		unlink(path);
}

static void
control_remove_dead(const char *dir)
{
	struct dirent *entry;
	DIR *d;

	if ((d = opendir(dir)) == NULL)
		return;
	while ((entry = readdir(d)) != NULL)
		control_remove_if_dead(dir, entry->d_name);
	closedir(d);
}

int
control_new(struct loop *loop, const char *dir, control_answer *answer,
    void *arg, struct control **out)
{
	struct control *c;
	size_t i;
	int n, rc;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return KV_ENOMEM;
	for (i = 0; i < CONTROL_CONNECTIONS; i++)
		c->conns[i].source.fd = -1;
	c->loop = loop;
	c->answer = answer;
	c->arg = arg;
	c->listener.ready = control_accept;
	c->listener.events = EPOLLIN;
	n = snprintf(c->path, sizeof(c->path), "%s/kvd-%d.sock", dir,
	    (int)getpid());
	control_remove_dead(dir);
	rc = n < 0 || (size_t)n >= sizeof(c->path)
	    ? KV_ETOOBIG
	    : sock_listen_unix(c->path, CONTROL_CONNECTIONS, &c->listener.fd);
	if (rc < 0) {
		free(c);
		return rc;
	}
	if ((rc = loop_add(loop, &c->listener)) < 0)
		control_free(c);
	else
		*out = c;
	return rc;
}

void
control_free(struct control *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < CONTROL_CONNECTIONS; i++) {
		if (c->conns[i].source.fd >= 0)
			control_close(&c->conns[i]);
	}
	loop_remove(c->loop, &c->listener);
	close(c->listener.fd);
	unlink(c->path);
	free(c);
}
