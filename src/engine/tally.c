/* SPDX-License-Identifier: ISC */
/* Counts by seq. */

#include "engine/tally.h"

static void
put(struct tally *t, size_t level)
{
	uint64_t at = t->levels[level].count++ % TALLY_MARKS;

	t->levels[level].marks[at] = t->end;
}

void
tally_begin(struct tally *t, uint64_t seq)
{
	size_t i;

	t->begun = seq;
	t->end = (struct tally_mark){ .seq = seq };
	for (i = 0; i < TALLY_LEVELS; i++) {
		t->levels[i].count = 0;
		put(t, i);
	}
}

void
tally_add(struct tally *t, uint64_t seq, bool is_own)
{
	uint64_t stride = 1;
	size_t i;

	t->end.seq = seq;
	t->end.all++;
	t->end.own += is_own;
	for (i = 0; i < TALLY_LEVELS && t->end.all % stride == 0; i++) {
		put(t, i);
		stride *= TALLY_STEP;
	}
}

/* How many of those between a and b are not past seq. */
static uint64_t
share(const struct tally_mark *a, const struct tally_mark *b, uint64_t seq,
    bool own)
{
	uint64_t n = own ? b->own - a->own : b->all - a->all;

	if (seq >= b->seq)
		return n;
	return (uint64_t)((double)n * (double)(seq - a->seq) /
	    (double)(b->seq - a->seq));
}

/* The last mark of the level that is not past seq.  False: none is left. */
static bool
find(const struct tally *t, size_t level, uint64_t seq, uint64_t *at)
{
	const struct tally_mark *marks = t->levels[level].marks;
	uint64_t hi = t->levels[level].count, middle;
	uint64_t lo = hi > TALLY_MARKS ? hi - TALLY_MARKS : 0;

	if (hi == 0 || marks[lo % TALLY_MARKS].seq > seq)
		return false;
	while (hi - lo > 1) {
		middle = lo + (hi - lo) / 2;
		if (marks[middle % TALLY_MARKS].seq <= seq)
			lo = middle;
		else
			hi = middle;
	}
	*at = lo;
	return true;
}

bool
tally_since(const struct tally *t, uint64_t seq, bool own, uint64_t *n)
{
	const struct tally_mark *a, *b = &t->end;
	uint64_t at = 0;
	size_t i = 0;

	while (i < TALLY_LEVELS && !find(t, i, seq, &at))
		i++;
	if (i == TALLY_LEVELS)
		return false;
	a = &t->levels[i].marks[at % TALLY_MARKS];
	if (at + 1 < t->levels[i].count)
		b = &t->levels[i].marks[(at + 1) % TALLY_MARKS];
	*n = (own ? t->end.own - a->own : t->end.all - a->all) -
	    share(a, b, seq, own);
	return true;
}
