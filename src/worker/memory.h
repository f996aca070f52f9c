/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_MEMORY_H
#define KV_WORKER_MEMORY_H

/* The memory of this process, and giving back what large requests took: malloc
 * keeps it, between small things that stay, and would for good. */

#include <stdint.h>

#include "io/timer.h"

struct worker;

struct memory {
	struct timer timer;
	bool looked; /* in this turn */
};

/* Bytes in memory: all, and those that are not shared with anybody. */
struct memory_use {
	uint64_t resident;
	uint64_t own;
};

/* What the kernel says; zeros if it does not. */
struct memory_use memory_use(void);

void memory_init(struct worker *w);
void memory_fini(struct worker *w);

/* Something was done: a second later, look whether there is much to give back.
 * While nothing is done, nobody looks. */
void memory_turn(struct worker *w);

#endif
