/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_MONITOR_H
#define KV_WORKER_MONITOR_H

/* MONITOR: the commands of this worker's clients, as they come. */

#include "worker/call.h"

struct monitors;

/* Tell the monitors of a command that is about to be carried out. */
void monitor_command(const struct call *c);

/* The session is told no more. */
void monitor_end(struct session *s);

/* At the end of a turn: send. */
void monitor_flush(struct worker *w);

call_handler cmd_monitor;

#endif
