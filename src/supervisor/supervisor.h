/* SPDX-License-Identifier: ISC */
#ifndef KV_SUPERVISOR_SUPERVISOR_H
#define KV_SUPERVISOR_SUPERVISOR_H

/* kvd: holds the listening sockets, starts the children, restarts each by
 * itself, stops them in order.
 *
 * The walwriter goes first: it opens (and, if it must, recovers) the store, so
 * that a store that cannot be opened is one line and not one for every child.
 * The others follow when it is ready; when all are, kvd says so. */

#include "conf/load.h"
#include "supervisor/control.h"
#include "supervisor/process.h"
#include "supervisor/sdnotify.h"

enum supervisor_phase {
	SUPERVISOR_OPENING, /* the walwriter opens the store */
	SUPERVISOR_RISING,  /* the others start */
	SUPERVISOR_SERVING,
	SUPERVISOR_STOPPING,
};

struct supervisor {
	struct loop *loop;
	const struct flags *flags;
	struct sdnotify notify;
	struct conf *conf;
	struct port *ports;
	struct process_home home;
	struct process *processes;
	struct control *control;
	struct loop_source signals;
	struct timer stop_limit;
	struct timer watchdog;
	enum supervisor_phase phase;
	unsigned stage; /* of the stop */
	bool reload_wanted;
	int exit_code;
	uint64_t started_ns;
};

/* Run until a signal or the control socket says stop; returns the exit code.
 * Takes conf.  What cannot be started is one line on stderr and 1. */
int supervisor_run(struct conf *conf, const struct flags *flags,
    const struct sdnotify *notify);

/* For reload.c: workers of a port, started at once. */
KV_CHECKED int supervisor_add_workers(struct supervisor *s, struct port *port);

/* Start kv-syncd, or stop it, as the configuration wants. */
KV_CHECKED int supervisor_set_syncd(struct supervisor *s);

#endif
