/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_SWEEP_H
#define KV_WORKER_SWEEP_H

/* Hashes whose deadline has passed are hidden at once and dropped here, by
 * whichever worker comes first.  Records have deadlines of their own: the
 * worker that wrote one sees to it if it passes soon, the checkpointer to all
 * others. */

#include "io/timer.h"

struct worker;

struct sweep {
	struct timer timer;
	uint64_t
	    from_ms[2];	  /* by enum scope: no hash has a deadline before it */
	struct timer own; /* for records that this worker wrote */
	uint64_t own_ms;  /* the deadline it is set to */
};

/* Once the worker is set up. */
void sweep_start(struct worker *w);
void sweep_stop(struct worker *w);

/* A hash, or a field of it, was given this deadline. */
void sweep_soon(struct worker *w, uint64_t deadline_ms);

/* At the end of a turn: what it wrote may have deadlines. */
void sweep_turn(struct worker *w);

#endif
