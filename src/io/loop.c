/* SPDX-License-Identifier: ISC */
/* The event loop: epoll, timers, turns. */

#include "io/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

struct loop {
	int fd;
	bool stopping;
	bool again;
	uint64_t now;
	struct timer_heap timers;
	struct loop_hooks hooks;
	struct epoll_event events[LOOP_EVENTS_MAX];
};

int
loop_new(struct loop **out)
{
	struct loop *loop;

	if ((loop = calloc(1, sizeof(*loop))) == NULL)
		return KV_ENOMEM;
	if ((loop->fd = epoll_create1(EPOLL_CLOEXEC)) < 0) {
		free(loop);
		return err_system("epoll_create1", "loop");
	}
	loop->now = clock_mono_ns();
	*out = loop;
	return KV_OK;
}

void
loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	close(loop->fd);
	free(loop);
}

void
loop_set_hooks(struct loop *loop, const struct loop_hooks *hooks)
{
	loop->hooks = *hooks;
}

static int
loop_control(struct loop *loop, int op, struct loop_source *source,
    uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (epoll_ctl(loop->fd, op, source->fd, &event) < 0)
		return err_system("epoll_ctl", "loop");
	return KV_OK;
}

int
loop_add(struct loop *loop, struct loop_source *source)
{
	int rc;

	assert(!source->watched);
	rc = loop_control(loop, EPOLL_CTL_ADD, source, source->events);
	if (rc < 0)
		return rc;
	source->slot = 0;
	source->watched = true;
	return KV_OK;
}

int
loop_modify(struct loop *loop, struct loop_source *source, uint32_t events)
{
	int rc;

	if (events == source->events)
		return KV_OK;
	rc = loop_control(loop, EPOLL_CTL_MOD, source, events);
	if (rc < 0)
		return rc;
	source->events = events;
	return KV_OK;
}

void
loop_forget(struct loop *loop, struct loop_source *source)
{
	if (source->slot > 0)
		loop->events[source->slot - 1].data.ptr = NULL;
	source->slot = 0;
	source->watched = false;
}

void
loop_remove(struct loop *loop, struct loop_source *source)
{
	if (!source->watched)
		return;
	/* Can fail only for a descriptor that is closed already, and then it
	 * is no longer watched. */
	(void)epoll_ctl(loop->fd, EPOLL_CTL_DEL, source->fd, NULL);
	loop_forget(loop, source);
}

void
loop_timer_set(struct loop *loop, struct timer *timer, uint64_t due_ns)
{
	/* Later than this turn, or a timer that sets itself would never let
	 * the turn end. */
	if (due_ns <= loop->now)
		due_ns = loop->now + 1;
	timer_set(&loop->timers, timer, due_ns);
}

void
loop_timer_clear(struct loop *loop, struct timer *timer)
{
	timer_clear(&loop->timers, timer);
}

uint64_t
loop_now(const struct loop *loop)
{
	return loop->now;
}

void
loop_again(struct loop *loop)
{
	loop->again = true;
}

void
loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

/* Milliseconds to sleep, rounded up so that no timer is early; -1 for ever. */
static int
loop_timeout(const struct loop *loop)
{
	uint64_t due, now, ms;

	if (loop->again)
		return 0;
	if (loop->timers.root == NULL)
		return -1;
	due = loop->timers.root->due_ns;
	now = clock_mono_ns();
	if (due <= now)
		return 0;
	ms = (due - now + 999999) / 1000000;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

static int
loop_wait(struct loop *loop, int *count)
{
	int timeout = loop_timeout(loop);

	loop->again = false;
	*count = epoll_wait(loop->fd, loop->events, LOOP_EVENTS_MAX, timeout);
	if (*count < 0) {
		if (errno != EINTR)
			return err_system("epoll_wait", "loop");
		*count = 0;
	}
	loop->now = clock_mono_ns();
	return KV_OK;
}

/* Tell each source its place, so that removing it finds its event at once; also
 * in turn_begin, so before that.  This also brings the sources into the cache
 * ahead of use. */
static void
loop_mark(const struct loop *loop, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		struct loop_source *source = loop->events[i].data.ptr;

		source->slot = (uint32_t)i + 1;
	}
}

static void
loop_deliver(struct loop *loop, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		struct loop_source *source = loop->events[i].data.ptr;

		if (source == NULL)
			continue;
		source->slot = 0;
		source->ready(source, loop->events[i].events);
	}
}

static void
loop_expire(struct loop *loop)
{
	struct timer *timer;

	while ((timer = timer_take_due(&loop->timers, loop->now)) != NULL)
		timer->expired(timer);
}

int
loop_turn(struct loop *loop)
{
	const struct loop_hooks *hooks = &loop->hooks;
	int count, rc;

	if (hooks->before_sleep != NULL)
		hooks->before_sleep(hooks->arg);
	if ((rc = loop_wait(loop, &count)) < 0)
		return rc;
	loop_mark(loop, count);
	if (hooks->turn_begin != NULL)
		hooks->turn_begin(hooks->arg);
	loop_deliver(loop, count);
	loop_expire(loop);
	if (hooks->turn_end != NULL)
		hooks->turn_end(hooks->arg);
	return KV_OK;
}

int
loop_run(struct loop *loop)
{
	int rc = KV_OK;

	while (rc == KV_OK && !loop->stopping)
		rc = loop_turn(loop);
	loop->stopping = false;
	return rc;
}
