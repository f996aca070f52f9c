/* SPDX-License-Identifier: ISC */
/* Entries of many rows, sorted. */

#include "tree/entries.h"

#include <stdlib.h>

#include "tree/rows.h"

int
entries_init(struct entries *e, size_t room)
{
	e->count = 0;
	e->list = malloc((room + 1) * sizeof(*e->list));
	e->items = malloc((room + 1) * sizeof(*e->items));
	e->spare = malloc((room + 1) * sizeof(*e->spare));
	if (e->list == NULL || e->items == NULL || e->spare == NULL)
		return KV_ENOMEM;
	return KV_OK;
}

void
entries_fini(struct entries *e)
{
	free(e->list);
	free(e->items);
	free(e->spare);
	*e = (struct entries){ 0 };
}

void
entries_clear(struct entries *e)
{
	e->count = 0;
}

void
entries_add(struct entries *e, const struct record *row, uint32_t at)
{
	e->list[e->count++] = (struct entry){
		.expiry = schema_expiry_of(row),
		.at = at,
		.listed = rows_is_listed(row),
	};
}

size_t
entries_by_seq(struct entries *e)
{
	size_t i, n = 0;

	for (i = 0; i < e->count; i++) {
		if (e->list[i].listed)
			e->items[n++] = (struct sort_item){
				.key = e->list[i].expiry.seq,
				.at = (uint32_t)i,
			};
	}
	sort_items(e->items, e->spare, n);
	return n;
}

size_t
entries_by_expiry(struct entries *e)
{
	size_t i, n = 0;

	for (i = 0; i < e->count; i++) {
		if (e->list[i].expiry.kind != 0)
			e->items[n++] = (struct sort_item){
				.key = e->list[i].expiry.seq,
				.at = (uint32_t)i,
			};
	}
	sort_items(e->items, e->spare, n);
	for (i = 0; i < n; i++)
		e->items[i].key = entries_get(e, i)->expiry.ms;
	sort_items(e->items, e->spare, n);
	for (i = 0; i < n; i++)
		e->items[i].key = (uint64_t)entries_get(e, i)->expiry.kind;
	sort_items(e->items, e->spare, n);
	return n;
}
