/* SPDX-License-Identifier: ISC */
/* Rows of incarnations. */

#include "sync/vector.h"

#include <stdlib.h>
#include <string.h>

void
vector_fini(struct vector *v)
{
	free(v->rows);
	free(v->order);
	memset(v, 0, sizeof(*v));
}

void
vector_clear(struct vector *v)
{
	v->count = 0;
	v->sum = (struct ticks_sum){ { 0, 0 } };
}

static size_t
place_of(const struct vector *v, uint64_t inc)
{
	size_t lo = 0, hi = v->count, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (v->rows[v->order[mid]].row.inc < inc)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct vector_row *
vector_find(const struct vector *v, uint64_t inc)
{
	size_t i = place_of(v, inc);
	struct vector_row *row = i < v->count ? &v->rows[v->order[i]] : NULL;

	return row != NULL && row->row.inc == inc ? row : NULL;
}

static int
reserve(struct vector *v, size_t n)
{
	size_t cap = v->cap * 2 > n ? v->cap * 2 : n;
	struct vector_row *rows;
	uint32_t *order;

	if (n <= v->cap)
		return KV_OK;
	if ((rows = realloc(v->rows, cap * sizeof(*rows))) == NULL)
		return KV_ENOMEM;
	v->rows = rows;
	if ((order = realloc(v->order, cap * sizeof(*order))) == NULL)
		return KV_ENOMEM;
	v->order = order;
	v->cap = cap;
	return KV_OK;
}

int
vector_make(struct vector *v, uint64_t inc, struct vector_row **out)
{
	size_t i = place_of(v, inc);
	int rc;

	if (i < v->count && v->rows[v->order[i]].row.inc == inc) {
		*out = &v->rows[v->order[i]];
		return KV_OK;
	}
	if ((rc = reserve(v, v->count + 1)) < 0)
		return rc;
	memmove(&v->order[i + 1], &v->order[i],
	    (v->count - i) * sizeof(*v->order));
	v->order[i] = (uint32_t)v->count;
	*out = &v->rows[v->count++];
	memset(*out, 0, sizeof(**out));
	(*out)->row.inc = inc;
	return KV_OK;
}

int
vector_install(struct vector *v, const struct sync_row *row)
{
	struct vector_row *at;
	uint64_t purged, vv;
	int rc;

	if ((rc = vector_make(v, row->inc, &at)) < 0)
		return rc;
	purged = at->row.purged;
	vv = at->row.vv;
	at->row = *row;
	if (at->row.purged < purged)
		at->row.purged = purged;
	if (at->row.vv != vv) {
		ticks_sum_change(&v->sum, row->inc, vv, row->vv);
		at->changed = ++v->version;
		at->behind_ms = 0;
	}
	return KV_OK;
}
