/* SPDX-License-Identifier: ISC */
/* Version vectors: sorted arrays. */

#include "sync/ticks.h"

#include <stdlib.h>

void
ticks_init(struct ticks *t)
{
	memset(t, 0, sizeof(*t));
}

void
ticks_fini(struct ticks *t)
{
	free(t->rows);
	ticks_init(t);
}

void
ticks_clear(struct ticks *t)
{
	t->count = 0;
}

/* The first row at or after inc. */
static size_t
place_of(const struct ticks *t, uint64_t inc)
{
	size_t lo = 0, hi = t->count, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (t->rows[mid].inc < inc)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint64_t
ticks_get(const struct ticks *t, uint64_t inc)
{
	size_t i = place_of(t, inc);

	return i < t->count && t->rows[i].inc == inc ? t->rows[i].tick : 0;
}

static int
reserve(struct ticks *t, size_t n)
{
	size_t cap = t->cap * 2 > n ? t->cap * 2 : n;
	struct item_row *rows;

	if (n <= t->cap)
		return KV_OK;
	if ((rows = realloc(t->rows, cap * sizeof(*rows))) == NULL)
		return KV_ENOMEM;
	t->rows = rows;
	t->cap = cap;
	return KV_OK;
}

int
ticks_set(struct ticks *t, uint64_t inc, uint64_t tick)
{
	size_t i = place_of(t, inc);
	int rc;

	if (i < t->count && t->rows[i].inc == inc) {
		t->rows[i].tick = tick;
		return KV_OK;
	}
	if ((rc = reserve(t, t->count + 1)) < 0)
		return rc;
	memmove(&t->rows[i + 1], &t->rows[i],
	    (t->count - i) * sizeof(*t->rows));
	t->rows[i] = (struct item_row){ inc, tick };
	t->count++;
	return KV_OK;
}

int
ticks_raise(struct ticks *t, uint64_t inc, uint64_t tick)
{
	return ticks_get(t, inc) >= tick ? KV_OK : ticks_set(t, inc, tick);
}

int
ticks_copy(struct ticks *to, const struct ticks *from)
{
	int rc;

	if ((rc = reserve(to, from->count)) < 0)
		return rc;
	if (from->count > 0)
		memcpy(to->rows, from->rows, from->count * sizeof(*to->rows));
	to->count = from->count;
	return KV_OK;
}

void
ticks_lower(struct ticks *t, const struct ticks *by)
{
	uint64_t other;
	size_t i;

	for (i = 0; i < t->count; i++) {
		other = ticks_get(by, t->rows[i].inc);
		if (other < t->rows[i].tick)
			t->rows[i].tick = other;
	}
}

int
ticks_join(struct ticks *t, const struct ticks *with)
{
	int rc = KV_OK;
	size_t i;

	for (i = 0; i < with->count && rc == KV_OK; i++)
		rc = ticks_raise(t, with->rows[i].inc, with->rows[i].tick);
	return rc;
}
