/* SPDX-License-Identifier: ISC */
/* What a clock of the far future has left in the tree. */

#include <assert.h>

#include "base/bytes.h"
#include "tree/meta.h"
#include "tree/reissue.h"
#include "tree/rows.h"

#define PROGRESS_EVERY 4096

struct looker {
	const struct reissue_look *how;
	struct reissue_found *found;
	uint64_t rows;
};

static bool
look_at(struct looker *l, uint64_t tick)
{
	if (tick <= l->how->limit)
		return false;
	if (l->how->each != NULL)
		l->how->each(l->how->user, tick);
	return true;
}

static int
look_at_bucket(struct looker *l, const struct record *r)
{
	bool stamped;
	struct bucket b;
	int rc;

	if ((rc = schema_get_bucket(r->value, &b)) < 0)
		return rc;
	stamped = look_at(l, b.created.tick);
	stamped |= look_at(l, b.dropped.tick);
	if (look_at(l, b.seq) && !stamped)
		l->found->places++;
	l->found->buckets += stamped;
	return KV_OK;
}

static int
look_at_record(struct looker *l, const struct record *r)
{
	bool placed = look_at(l, r->seq);

	if (r->stamp.tick == r->seq ? placed : look_at(l, r->stamp.tick))
		l->found->records++;
	else if (placed)
		l->found->places++;
	return KV_OK;
}

static int
look_through(struct looker *l, struct tree *t, enum tree_db db,
    int (*visit)(struct looker *l, const struct record *r))
{
	MDB_cursor *cursor;
	MDB_val key, value;
	struct record r;
	int rc;

	if ((rc = mdb_cursor_open(t->txn, t->db[db], &cursor)) != 0)
		return tree_error("mdb_cursor_open", tree_db_names[db], rc);
	for (;;) {
		rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
		rc = tree_error("mdb_cursor_get", tree_db_names[db], rc);
		if (rc < 0)
			break;
		if (rows_decode(db, key, value, &r) < 0)
			rc = tree_corrupt(tree_db_names[db], tree_slice(key));
		else
			rc = visit(l, &r);
		if (rc < 0)
			break;
		if (++l->rows % PROGRESS_EVERY == 0 && l->how->progress != NULL)
			l->how->progress(l->how->user, l->rows);
	}
	mdb_cursor_close(cursor);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

int
reissue_look(struct tree *t, const struct reissue_look *look,
    struct reissue_found *out)
{
	struct looker l = { .how = look, .found = out };
	int rc;

	assert(t->held);
	*out = (struct reissue_found){ 0 };
	rc = look_through(&l, t, DB_BUCKETS, look_at_bucket);
	return rc < 0 ? rc : look_through(&l, t, DB_RECORDS, look_at_record);
}

int
reissue_check_seq(struct tree *t, uint64_t seq)
{
	struct kv_slice row;
	int rc = tree_meta_get(t, META_VOID_SEQS, &row);

	if (rc < 0)
		return rc == KV_ENOTFOUND ? KV_OK : rc;
	if (row.len != 16)
		return KV_ECORRUPT;
	return seq > bytes_get_be64(row.data) &&
		seq <= bytes_get_be64(row.data + 8)
	    ? KV_ENOTFOUND
	    : KV_OK;
}
