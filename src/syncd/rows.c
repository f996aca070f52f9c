/* SPDX-License-Identifier: ISC */
/* Rows by incarnation. */

#include "syncd/rows.h"

#include <stdlib.h>
#include <uthash.h>

#include "base/buf.h"
#include "tree/schema.h"

struct rows {
	struct sync_row row;
	uint64_t purged_here; /* by the checkpointer */
	bool committed;
	UT_hash_handle hh;
};

void
rows_free(struct rows **rows)
{
	struct rows *r, *next;

	HASH_ITER(hh, *rows, r, next) {
		HASH_DEL(*rows, r);
		free(r);
	}
}

static int
rows_get(struct rows **rows, uint64_t inc, struct rows **out)
{
	struct rows *r;

	HASH_FIND(hh, *rows, &inc, sizeof(inc), r);
	if (r == NULL) {
		if ((r = calloc(1, sizeof(*r))) == NULL)
			return KV_ENOMEM;
		r->row.inc = inc;
		HASH_ADD(hh, *rows, row.inc, sizeof(r->row.inc), r);
	}
	*out = r;
	return KV_OK;
}

int
rows_reserve(struct rows **rows, uint64_t inc)
{
	struct rows *r;

	return rows_get(rows, inc, &r);
}

int
rows_put(struct rows **rows, const struct sync_row *row, bool newer)
{
	struct rows *r;
	int rc;

	if ((rc = rows_get(rows, row->inc, &r)) < 0)
		return rc;
	if (r->committed && !newer)
		return KV_OK;
	r->row = *row;
	r->committed = true;
	return KV_OK;
}

static int
rows_put_vector(struct rows **rows, const struct record *r)
{
	struct schema_vector v;
	struct sync_row row;
	int rc;

	if ((rc = schema_get_vector(r->key, r->value, &v)) < 0)
		return rc;
	row = (struct sync_row){ .inc = v.inc,
		.vv = v.vv,
		.announced = v.announced,
		.purged = v.purged,
		.own = v.own,
		.full = v.full,
		.full_head = v.full_head,
		.uid = v.uid };
	return rows_put(rows, &row, false);
}

static int
rows_put_purged(struct rows **rows, const struct record *r)
{
	struct rows *row;
	uint64_t inc, tick;
	int rc;

	if ((rc = schema_get_purged(r->key, r->value, &inc, &tick)) < 0 ||
	    (rc = rows_get(rows, inc, &row)) < 0)
		return rc;
	row->purged_here = tick;
	return KV_OK;
}

/* All rows of one kind: they stand together. */
static int
rows_read_kind(struct rows **rows, struct tree *t, const char *kind,
    int (*put)(struct rows **rows, const struct record *r))
{
	struct tree_scan *scan = NULL;
	struct record r;
	int rc;

	rc = tree_scan_open(t, TREE_BY_POSITION, 0, &scan);
	if (rc == KV_OK)
		rc = tree_scan_seek(scan, slice_of(kind), 0);
	while (rc == KV_OK && (rc = tree_scan_next(scan, &r)) == KV_OK)
		rc = put(rows, &r);
	tree_scan_close(scan);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

int
rows_read_purged(struct rows **rows, struct tree *t)
{
	return rows_read_kind(rows, t, "P", rows_put_purged);
}

int
rows_read_tree(struct rows **rows, struct tree *t)
{
	int rc = rows_read_purged(rows, t);

	return rc < 0 ? rc : rows_read_kind(rows, t, "V", rows_put_vector);
}

int
rows_add_lineage(struct rows **rows, struct kv_slice lineage, uint64_t uid,
    uint64_t limit)
{
	struct stamp end;
	struct rows *r;
	int rc;

	while (schema_take_lineage(&lineage, &end)) {
		if ((rc = rows_get(rows, end.inc, &r)) < 0)
			return rc;
		if (end.tick > r->row.vv)
			r->row.vv = end.tick;
		if (r->row.vv > limit)
			r->row.vv = limit;
		r->row.uid = uid;
	}
	return KV_OK;
}

int
rows_each(const struct rows *rows,
    int (*each)(void *user, const struct sync_row *row), void *user)
{
	const struct rows *r;
	struct sync_row row;
	int rc = KV_OK;

	for (r = rows; r != NULL && rc >= 0; r = r->hh.next) {
		row = r->row;
		if (r->purged_here > row.purged)
			row.purged = r->purged_here;
		rc = each(user, &row);
	}
	return rc < 0 ? rc : KV_OK;
}
