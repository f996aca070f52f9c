/* SPDX-License-Identifier: ISC */
#ifndef KV_SUPERVISOR_PROCESS_H
#define KV_SUPERVISOR_PROCESS_H

/* One child process: its state machine (child.h) made real.  Spawns, talks
 * over the control socket (io/parent.h), times, kills, reaps. */

#include <limits.h>
#include <sys/types.h>

#include "base/buf.h"
#include "io/loop.h"
#include "supervisor/child.h"
#include "supervisor/port.h"

/* role, program, stage of an orderly stop, options it looks at.  Workers
 * finish what they were asked, then the log reaches the disk, then the tree:
 * each stage leaves the next one everything. */
#define PROCESS_ROLES(X)                                                       \
	X(WALWRITER, "kv-walwriter", 1, USED_WALWRITER)                        \
	X(CHECKPOINTER, "kv-checkpointer", 2, USED_CHECKPOINTER)               \
	X(SYNCD, "kv-syncd", 0, USED_SYNCD)                                    \
	X(WORKER, "kv-worker", 0, USED_WORKER)

#define PROCESS_STAGES 3

enum process_role {
#define X(name, program, stage, users) PROCESS_##name,
	PROCESS_ROLES(X)
#undef X
};

struct process_kind {
	const char *program;
	unsigned stage;
	unsigned users;
};

const struct process_kind *process_kind(enum process_role role);

enum process_news {
	PROCESS_IS_READY,
	PROCESS_IS_GONE,     /* it was unwanted and has ended */
	PROCESS_ASKS_STOP,   /* a client of it said SHUTDOWN */
	PROCESS_IS_HOPELESS, /* its first start failed; failed says why */
};

struct process;

/* What all processes share. */
struct process_home {
	struct loop *loop;
	char programs[PATH_MAX]; /* folder of our own program */
	struct buf conf;	 /* the lines of conf_write */
	/* Called once per news; may free the process. */
	void (*news)(void *arg, struct process *p, enum process_news news);
	void *arg;
};

struct process {
	struct process *prev, *next; /* utlist, for the owner */
	struct process_home *home;
	enum process_role role;
	const struct port *port; /* of a worker */
	char name[64];		 /* "kv-worker 4050" */
	struct child child;
	pid_t pid;	/* 0: does not run */
	pid_t end_pid;	/* of the one before */
	int end_status; /* of wait(2) */
	struct loop_source control;
	struct timer timer;
	char failed[512]; /* text of its "failed" */
};

/* Not started: process_handle(p, CHILD_WANTED) does that. */
KV_CHECKED int process_new(struct process_home *home, enum process_role role,
    const struct port *port, struct process **out);

/* Kills it when it still runs. */
void process_free(struct process *p);

void process_handle(struct process *p, enum child_event event);

/* waitpid(2) told that p->pid ended. */
void process_ended(struct process *p, int status);

/* Send a verb ("reload") and the configuration. */
void process_configure(struct process *p, const char *verb);

#endif
