/* SPDX-License-Identifier: ISC */
#ifndef KV_IO_LOOP_H
#define KV_IO_LOOP_H

/* The event loop of every process: one epoll set (epoll(7)) and one heap of
 * deadlines.  After redis' ae.c, but intrusive: a source or a timer lies in
 * the struct of its owner, is registered by pointer, and costs no memory of
 * ours.  Nothing here allocates after loop_new.
 *
 * A turn:
 *
 *	hooks.before_sleep	replies leave, work is handed on
 *	epoll_wait		for ever when no timer is set: no idle wakeups
 *	hooks.turn_begin	refresh what the turn reads
 *	source.ready ...	each source with events, once
 *	timer.expired ...	each timer that is due, earliest first
 *	hooks.turn_end		commit what the turn gathered
 */

#include <stdbool.h>

#include "io/timer.h"
#include "kv_types.h"

#define LOOP_EVENTS_MAX 1024 /* sources served in one turn */

struct loop;

/* A descriptor to watch.  Embed it, find the owner with container_of
 * (loop_owner below).  Set fd, ready and events, the rest zero. */
struct loop_source {
	void (*ready)(struct loop_source *source, uint32_t events);
	int fd;
	uint32_t events; /* EPOLL*; once added only loop_modify changes it */
	uint32_t slot;	 /* the loop's own: place in this turn, 0 for none */
	bool watched;	 /* the loop's own */
};

/* Called once per turn; any may be NULL.  arg is the caller's. */
struct loop_hooks {
	void (*before_sleep)(void *arg);
	void (*turn_begin)(void *arg);
	void (*turn_end)(void *arg);
	void *arg;
};

/* The struct of the given type whose member a source or timer is. */
#define loop_owner(pointer, type, member)                                      \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

KV_CHECKED int loop_new(struct loop **out);
void loop_free(struct loop *loop);

void loop_set_hooks(struct loop *loop, const struct loop_hooks *hooks);

/* Watch a source.  Level-triggered unless events says EPOLLET; EPOLLEXCLUSIVE
 * may be given for a listener that several processes share (such a source
 * cannot be modified).  EPOLLERR and EPOLLHUP come unasked. */
KV_CHECKED int loop_add(struct loop *loop, struct loop_source *source);

/* Ask for other events; free when they are the same. */
KV_CHECKED int loop_modify(struct loop *loop, struct loop_source *source,
    uint32_t events);

/* Stop watching; a no-op when not watched.  Events of this turn that were not
 * delivered yet never will be, so the owner's memory may go at once, from any
 * callback.  Call it before close(fd). */
void loop_remove(struct loop *loop, struct loop_source *source);

/* loop_remove without the system call, for a descriptor that the caller closes
 * right away and that no other process or dup shares: close ends the watch. */
void loop_forget(struct loop *loop, struct loop_source *source);

/* Let the timer expire at due_ns (CLOCK_MONOTONIC, see loop_now); moves it
 * when it is set already.  Never early, up to 1 ms late.  A time that has
 * passed means the next turn, also from within expired. */
void loop_timer_set(struct loop *loop, struct timer *timer, uint64_t due_ns);
void loop_timer_clear(struct loop *loop, struct timer *timer);

/* CLOCK_MONOTONIC in ns as it was when this turn woke up. */
uint64_t loop_now(const struct loop *loop);

/* There is work left: the next wait only looks for events and returns. */
void loop_again(struct loop *loop);

/* Turns until loop_stop; KV_OK then.  A failed epoll_wait is KV_ESYSTEM. */
KV_CHECKED int loop_run(struct loop *loop);

/* One turn, for tests; never from a callback. */
KV_CHECKED int loop_turn(struct loop *loop);

/* loop_run returns after this turn; the rest of the turn still happens. */
void loop_stop(struct loop *loop);

#endif
