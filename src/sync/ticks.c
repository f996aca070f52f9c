/* SPDX-License-Identifier: ISC */
/* Version vectors: sorted arrays. */

#include "sync/ticks.h"

#include <stdlib.h>

#include "base/hash.h"

/* ---- sums ---- */

void
ticks_sum_change(struct ticks_sum *sum, uint64_t inc, uint64_t from,
    uint64_t to)
{
	uint64_t even = hash_u64(inc), odd = hash_u64(inc + 1);

	if (from > 0) {
		sum->word[0] -= hash_u64(even ^ from);
		sum->word[1] -= hash_u64(odd + from);
	}
	if (to > 0) {
		sum->word[0] += hash_u64(even ^ to);
		sum->word[1] += hash_u64(odd + to);
	}
}

bool
ticks_sum_equal(const struct ticks_sum *a, const struct ticks_sum *b)
{
	return a->word[0] == b->word[0] && a->word[1] == b->word[1];
}

/* ---- rows ---- */

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
	t->sum = (struct ticks_sum){ { 0, 0 } };
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
		ticks_sum_change(&t->sum, inc, t->rows[i].tick, tick);
		t->rows[i].tick = tick;
		return KV_OK;
	}
	if ((rc = reserve(t, t->count + 1)) < 0)
		return rc;
	memmove(&t->rows[i + 1], &t->rows[i],
	    (t->count - i) * sizeof(*t->rows));
	t->rows[i] = (struct item_row){ inc, tick };
	t->count++;
	ticks_sum_change(&t->sum, inc, 0, tick);
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
	to->sum = from->sum;
	return KV_OK;
}

void
ticks_lower(struct ticks *t, const struct ticks *by)
{
	struct item_row *row;
	uint64_t other;
	size_t i;

	for (i = 0; i < t->count; i++) {
		row = &t->rows[i];
		other = ticks_get(by, row->inc);
		if (other >= row->tick)
			continue;
		ticks_sum_change(&t->sum, row->inc, row->tick, other);
		row->tick = other;
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
