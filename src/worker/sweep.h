/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_SWEEP_H
#define KV_WORKER_SWEEP_H

/* Hashes whose deadline has passed are hidden at once and dropped here, by
 * whichever worker comes first.  Records have deadlines of their own, which
 * are the checkpointer's. */

#include "io/timer.h"

struct worker;

struct sweep {
	struct timer timer;
};

/* Once the worker is set up. */
void sweep_start(struct worker *w);
void sweep_stop(struct worker *w);

/* A deadline was given: look again. */
void sweep_soon(struct worker *w);

#endif
