/* SPDX-License-Identifier: ISC */
/* Accepting connections: one at a time, since batches gain nothing and would
 * keep others of the turn waiting. */

#include "serve/listener.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "serve/conn.h"

#define LISTENER_BACKOFF_NS 100000000u

static const char listener_full[] = "-ERR max number of clients reached\r\n";

/* Out of descriptors or memory: an event that nobody serves would come again
 * at once, so do not look for a while. */
static void
listener_back_off(struct listener *l)
{
	if (!l->logged)
		(void)err_system("accept", "listener");
	l->logged = true;
	loop_remove(l->serve->loop, &l->source);
	loop_timer_set(l->serve->loop, &l->timer,
	    loop_now(l->serve->loop) + LISTENER_BACKOFF_NS);
}

static void
listener_resume(struct timer *timer)
{
	struct listener *l = loop_owner(timer, struct listener, timer);

	if (loop_add(l->serve->loop, &l->source) < 0)
		listener_back_off(l);
}

static bool
listener_must_wait(int errnum)
{
	return errnum == EMFILE || errnum == ENFILE || errnum == ENOBUFS ||
	    errnum == ENOMEM;
}

static void
listener_ready(struct loop_source *source, uint32_t events)
{
	struct listener *l = loop_owner(source, struct listener, source);
	struct serve *s = l->serve;
	int fd;

	(void)events;
	fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (listener_must_wait(errno))
			listener_back_off(l);
		return;
	}
	l->logged = false;
	if (s->count >= s->limits.connections) {
		s->refused++;
		(void)!send(fd, listener_full, sizeof(listener_full) - 1,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		close(fd);
		return;
	}
	s->accepted++;
	(void)conn_take(s, fd, l->flags);
}

int
listener_start(struct listener *l, struct serve *s, int fd, uint32_t flags)
{
	*l = (struct listener){
		.source = { .ready = listener_ready,
		    .fd = fd,
		    .events = EPOLLIN | EPOLLEXCLUSIVE },
		.timer = { .expired = listener_resume },
		.serve = s,
		.flags = flags,
	};
	return loop_add(s->loop, &l->source);
}

void
listener_stop(struct listener *l)
{
	if (l->source.fd < 0)
		return;
	loop_timer_clear(l->serve->loop, &l->timer);
	loop_remove(l->serve->loop, &l->source);
	close(l->source.fd);
	l->source.fd = -1;
}
