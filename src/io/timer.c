/* SPDX-License-Identifier: ISC */
/* The pairing heap of deadlines. */

#include "io/timer.h"

#include <stddef.h>

/* Make the later of two roots the eldest child of the earlier. */
static struct timer *
timer_meld(struct timer *a, struct timer *b)
{
	if (a == NULL)
		return b;
	if (b == NULL)
		return a;
	if (b->due_ns < a->due_ns) {
		struct timer *t = a;

		a = b;
		b = t;
	}
	b->prev = a;
	b->next = a->child;
	if (a->child != NULL)
		a->child->prev = b;
	a->child = b;
	a->next = a->prev = NULL;
	return a;
}

/* Meld a list of siblings: in pairs from the left, then the pairs from the
 * right.  The two passes are what makes it O(log n) amortised. */
static struct timer *
timer_meld_siblings(struct timer *first)
{
	struct timer *pairs = NULL, *root = NULL;

	while (first != NULL) {
		struct timer *a = first, *b = first->next, *pair;

		first = b == NULL ? NULL : b->next;
		a->next = a->prev = NULL;
		if (b != NULL)
			b->next = b->prev = NULL;
		pair = timer_meld(a, b);
		pair->next = pairs;
		pairs = pair;
	}
	while (pairs != NULL) {
		struct timer *pair = pairs;

		pairs = pair->next;
		pair->next = NULL;
		root = timer_meld(root, pair);
	}
	return root;
}

void
timer_clear(struct timer_heap *heap, struct timer *timer)
{
	struct timer *rest;

	if (!timer->is_set)
		return;
	rest = timer_meld_siblings(timer->child);
	if (timer == heap->root) {
		heap->root = rest;
	} else {
		if (timer->prev->child == timer)
			timer->prev->child = timer->next;
		else
			timer->prev->next = timer->next;
		if (timer->next != NULL)
			timer->next->prev = timer->prev;
		heap->root = timer_meld(heap->root, rest);
	}
	timer->child = timer->next = timer->prev = NULL;
	timer->is_set = false;
}

void
timer_set(struct timer_heap *heap, struct timer *timer, uint64_t due_ns)
{
	timer_clear(heap, timer);
	timer->due_ns = due_ns;
	timer->is_set = true;
	heap->root = timer_meld(heap->root, timer);
}

struct timer *
timer_take_due(struct timer_heap *heap, uint64_t now_ns)
{
	struct timer *timer = heap->root;

	if (timer == NULL || timer->due_ns > now_ns)
		return NULL;
	timer_clear(heap, timer);
	return timer;
}
