/* SPDX-License-Identifier: ISC */
#ifndef KV_HIST_H
#define KV_HIST_H

/* A histogram of nanoseconds in the manner of HdrHistogram (Tene): 64 steps to
 * each power of two, so every answer is within 1.6 % of the truth, and adding
 * is a shift and an increment. */

#include <stdint.h>

#define HIST_BITS 6
#define HIST_POWERS 40
#define HIST_SLOTS ((HIST_POWERS - HIST_BITS + 1) << HIST_BITS)

struct hist {
	uint64_t count;
	uint64_t max;
	uint64_t slots[HIST_SLOTS];
};

void hist_add(struct hist *h, uint64_t ns, uint64_t times);

/* The value that share (0 to 1) of what was added does not exceed; 0 when
 * empty. */
uint64_t hist_at(const struct hist *h, double share);

#endif
