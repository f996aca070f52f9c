/* SPDX-License-Identifier: ISC */
#ifndef KV_SUPERVISOR_CHILD_H
#define KV_SUPERVISOR_CHILD_H

/* The life of one child as a state machine: event and time in, action out.
 * Pure; process.c does what it says. */

#include <stdbool.h>
#include <stdint.h>

#define CHILD_PAUSE_MIN_MS 100	 /* before the first restart; then doubled */
#define CHILD_PAUSE_MAX_MS 5000	 /* up to this */
#define CHILD_STEADY_MS 10000	 /* up so long: its next crash is a first one */
#define CHILD_STOP_LIMIT_MS 5000 /* from "stop" to SIGKILL */

#define CHILD_STATES(X)                                                        \
	X(IDLE, "stopped")                                                     \
	X(STARTING, "starting") /* runs, not ready */                          \
	X(UP, "up")                                                            \
	X(WAITING, "waiting")	/* to be restarted at due_ms */                \
	X(STOPPING, "stopping") /* asked to end, killed at due_ms */           \
	X(KILLED, "killed")	/* its end has not been reported yet */

enum child_state {
#define X(name, text) CHILD_##name,
	CHILD_STATES(X)
#undef X
	    CHILD_STATE_COUNT
};

enum child_event {
	CHILD_WANTED,
	CHILD_READY,
	CHILD_CRASHED, /* ended: in whatever way, if not refused */
	CHILD_REFUSED, /* ended before it was ready and said why */
	CHILD_TIME,    /* due_ms has come, or nobody waits any longer */
	CHILD_UNWANTED,
	CHILD_EVENT_COUNT
};

enum child_action {
	CHILD_NOTHING,
	CHILD_SPAWN,
	CHILD_PAUSE,   /* nothing until due_ms; worth a log line */
	CHILD_ASK,     /* send "stop" */
	CHILD_KILL,    /* SIGKILL */
	CHILD_ENDED,   /* it was unwanted and is gone */
	CHILD_GIVE_UP, /* it never was ready and will not be */
};

/* Zero is a child that was never started. */
struct child {
	enum child_state state;
	bool was_ready;	   /* once in its life */
	unsigned failures; /* since it was up for CHILD_STEADY_MS */
	unsigned restarts;
	uint64_t up_since; /* ms */
	uint64_t due_ms;   /* when CHILD_TIME is wanted, 0: never */
};

/* Feed an event.  Times are of one monotonic clock, in ms. */
enum child_action child_handle(struct child *c, enum child_event event,
    uint64_t now_ms);

const char *child_state_text(enum child_state state);

#endif
