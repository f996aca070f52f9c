/* SPDX-License-Identifier: ISC */
/* Radix sort, least significant byte first. */

#include "tree/sort.h"

#include <string.h>

#define DIGITS 256

/* Where each digit's items begin; false when all items have the same one. */
static int
digit_starts(size_t counts[DIGITS], size_t n)
{
	size_t start = 0, i;

	for (i = 0; i < DIGITS; i++) {
		size_t count = counts[i];

		if (count == n)
			return 0;
		counts[i] = start;
		start += count;
	}
	return 1;
}

void
sort_items(struct sort_item *items, struct sort_item *spare, size_t n)
{
	struct sort_item *from = items, *to = spare, *swap;
	size_t counts[8][DIGITS];
	size_t byte, i;

	memset(counts, 0, sizeof(counts));
	for (i = 0; i < n; i++) {
		for (byte = 0; byte < 8; byte++)
			counts[byte][items[i].key >> (8 * byte) & 0xff]++;
	}
	for (byte = 0; byte < 8; byte++) {
		size_t *starts = counts[byte];

		if (!digit_starts(starts, n))
			continue;
		for (i = 0; i < n; i++)
			to[starts[from[i].key >> (8 * byte) & 0xff]++] =
			    from[i];
		swap = from;
		from = to;
		to = swap;
	}
	if (from != items && n > 0)
		memcpy(items, from, n * sizeof(*items));
}
