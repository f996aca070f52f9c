/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_PAUSE_H
#define KV_WORKER_PAUSE_H

/* CLIENT PAUSE, for all workers of the host: a request that has to wait is not
 * carried out; its connection is not read until the time is over, or somebody
 * on any worker said UNPAUSE. */

#include "worker/call.h"

struct run;

void pause_init(struct worker *w);
void pause_fini(struct worker *w);

/* True: the request waits and will come again. */
bool pause_holds(struct run *r, bool writes);

call_handler pause_begin; /* CLIENT PAUSE */
call_handler pause_end;	  /* CLIENT UNPAUSE */

#endif
