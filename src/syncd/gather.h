/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_GATHER_H
#define KV_SYNCD_GATHER_H

/* Before sleeping: be woken by the next batch in the log, or look at the clock.
 * Where batches come thick and fast, being woken for each would cost their
 * writers and us more than sending them does. */

#include <stdbool.h>
#include <stdint.h>

#include "io/timer.h"

struct syncd;

struct gather {
	uint64_t since_ns, batches; /* of the log, and how many it had then */
	bool is_dense;
	bool is_set; /* the timer */
	struct timer timer;
};

void gather_init(struct gather *g);

/* True: a turn will come within a millisecond; false: want the next batch. */
bool gather_waits(struct syncd *s);

#endif
