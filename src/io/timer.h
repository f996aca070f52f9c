/* SPDX-License-Identifier: ISC */
#ifndef KV_IO_TIMER_H
#define KV_IO_TIMER_H

/* Deadlines in an intrusive pairing heap (Fredman et al. 1986): setting one is
 * O(1), taking the earliest O(log n) amortised, nothing is allocated.  Pure:
 * the time is an argument. */

#include <stdbool.h>
#include <stdint.h>

/* Embed it; set expired, the rest zero. */
struct timer {
	void (*expired)(struct timer *timer);
	uint64_t due_ns;
	/* the heap's own */
	struct timer *child;
	struct timer *next; /* younger sibling */
	struct timer *prev; /* older sibling, or the parent of an eldest */
	bool is_set;
};

struct timer_heap {
	struct timer *root; /* the earliest, NULL when empty */
};

void timer_set(struct timer_heap *heap, struct timer *timer, uint64_t due_ns);
void timer_clear(struct timer_heap *heap, struct timer *timer);

/* Take the earliest timer out if it is due at now_ns, else NULL. */
struct timer *timer_take_due(struct timer_heap *heap, uint64_t now_ns);

#endif
