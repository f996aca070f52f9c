/* SPDX-License-Identifier: ISC */
/* An array in a file. */

#include "engine/repair_ticks.h"

#include <assert.h>
#include <stdlib.h>

#include "shm/region.h"

int
repair_ticks_init(struct repair_ticks *t, const char *folder, uint64_t limit,
    size_t cap)
{
	void *list;
	int rc;

	*t = (struct repair_ticks){ .limit = limit, .cap = cap };
	if (cap == 0)
		return KV_OK;
	rc = region_make(folder, "ticks", cap * sizeof(*t->list), &list);
	if (rc == KV_OK)
		t->list = list;
	return rc;
}

void
repair_ticks_fini(struct repair_ticks *t)
{
	if (t->list != NULL)
		region_unmap(t->list, t->cap * sizeof(*t->list));
	t->list = NULL;
}

void
repair_ticks_add(struct repair_ticks *t, uint64_t tick)
{
	assert(t->count < t->cap);
	t->list[t->count++] = tick;
}

static int
compare_ticks(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void
repair_ticks_sort(struct repair_ticks *t)
{
	size_t i, n = 0;

	if (t->count == 0)
		return;
	/* Too large a list is sorted in its place (qsort_r.c of glibc). */
	qsort(t->list, t->count, sizeof(*t->list), compare_ticks);
	for (i = 0; i < t->count; i++)
		if (n == 0 || t->list[n - 1] != t->list[i])
			t->list[n++] = t->list[i];
	t->count = n;
}

/* The first one above the limit is that of the beginning of the run. */
uint64_t
repair_ticks_get(const struct repair_ticks *t, uint64_t tick)
{
	const uint64_t *at =
	    bsearch(&tick, t->list, t->count, sizeof(*t->list), compare_ticks);

	assert(at != NULL);
	return t->limit + 2 + (uint64_t)(at - t->list);
}

uint64_t
repair_ticks_last(const struct repair_ticks *t)
{
	return t->limit + 1 + t->count;
}
