/* SPDX-License-Identifier: ISC */

/* Slot i below 2^(BITS+1) is the value i; above, a slot's index is its power
 * of two and the BITS bits after the leading one. */

#include "hist.h"

static unsigned
slot_of(uint64_t ns)
{
	unsigned shift;

	if (ns >> HIST_POWERS != 0)
		ns = (UINT64_C(1) << HIST_POWERS) - 1;
	if (ns >> (HIST_BITS + 1) == 0)
		return (unsigned)ns;
	shift = 63u - (unsigned)__builtin_clzll(ns) - HIST_BITS;
	return (shift << HIST_BITS) + (unsigned)(ns >> shift);
}

/* The highest value that falls into the slot. */
static uint64_t
slot_top(unsigned slot)
{
	unsigned shift;

	if (slot >> (HIST_BITS + 1) == 0)
		return slot;
	shift = (slot >> HIST_BITS) - 1;
	return ((uint64_t)(slot - (shift << HIST_BITS) + 1) << shift) - 1;
}

void
hist_add(struct hist *h, uint64_t ns, uint64_t times)
{
	h->slots[slot_of(ns)] += times;
	h->count += times;
	if (ns > h->max)
		h->max = ns;
}

uint64_t
hist_at(const struct hist *h, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)h->count);
	uint64_t seen = 0, top;
	unsigned i;

	if (h->count == 0)
		return 0;
	if (wanted >= h->count)
		wanted = h->count - 1;
	for (i = 0; i < HIST_SLOTS; i++) {
		seen += h->slots[i];
		if (seen > wanted)
			break;
	}
	top = slot_top(i);
	return top < h->max ? top : h->max;
}
