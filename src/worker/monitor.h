/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_MONITOR_H
#define KV_WORKER_MONITOR_H

/* MONITOR: the commands of the host's clients, as they come with the log; how
 * they come there: worker/tell.h. */

#include "worker/call.h"

#define MONITOR_ID_LEN 8 /* key of a message: id of the client, big-endian */

struct monitors;

KV_CHECKED int monitor_init(struct worker *w);
void monitor_fini(struct worker *w);

/* The session is told no more. */
void monitor_end(struct session *s);

/* To the monitors of this worker, not by the log; but not to the client whose
 * commands they are. */
void monitor_here(struct worker *w, uint64_t id, struct kv_slice lines);

/* Hand out what is new, within a view.  True: there is more at once. */
bool monitor_pump(struct worker *w);

/* Before sleeping: wake us when there is more.  True: there is already. */
bool monitor_want(struct worker *w);

call_handler cmd_monitor;

#endif
