/* SPDX-License-Identifier: ISC */
/* Long writing in bounded transactions. */

#include "tree/chunk.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "tree/meta.h"

/* What one transaction may carry: writing it takes some milliseconds. */
#define CHUNK_BYTES (2u << 20)
#define CHUNK_PAGE 4096u

/* With less than this left, a failed write is taken for a full disk. */
#define CHUNK_NO_SPACE (1u << 20)

static int
begin_txn(struct chunk *c)
{
	int rc = mdb_txn_begin(c->tree->env, NULL, 0, &c->txn);

	memset(c->cursor, 0, sizeof(c->cursor));
	memset(c->inner, 0, sizeof(c->inner));
	c->wrote = false;
	c->steps = 0;
	c->bytes = 0;
	c->touched = 0;
	return tree_error("mdb_txn_begin", c->tree->folder, rc);
}

int
chunk_begin(struct chunk *c, struct tree *t)
{
	int rc;

	assert(t->writable);
	c->tree = t;
	c->txn = NULL;
	if ((rc = begin_txn(c)) < 0)
		return rc;
	rc = meta_get_applying(t, c->txn, &c->stored_mark);
	if (rc < 0)
		chunk_abort(c);
	return rc;
}

/* LMDB calls a write that a full disk cut short EIO (mdb_page_flush()). */
static int
commit_error(const struct chunk *c, int rc)
{
	struct statvfs fs;

	if (rc == EIO && statvfs(c->tree->folder, &fs) == 0 &&
	    (uint64_t)fs.f_bavail * fs.f_frsize < CHUNK_NO_SPACE)
		rc = ENOSPC;
	return tree_error("mdb_txn_commit", c->tree->folder, rc);
}

int
chunk_commit(struct chunk *c)
{
	int rc = mdb_txn_commit(c->txn);

	c->txn = NULL;
	return rc == 0 ? KV_OK : commit_error(c, rc);
}

void
chunk_abort(struct chunk *c)
{
	mdb_txn_abort(c->txn);
	c->txn = NULL;
}

static bool
is_full(const struct chunk *c)
{
	return c->max_steps > 0 &&
	    (c->steps >= c->max_steps || c->bytes >= CHUNK_BYTES);
}

static int
put_mark(struct chunk *c)
{
	if (!c->wrote || c->mark <= c->stored_mark)
		return KV_OK;
	c->stored_mark = c->mark;
	return meta_put_applying(c, c->mark);
}

int
chunk_step(struct chunk *c, size_t bytes)
{
	int rc;

	c->steps++;
	c->bytes += bytes;
	if (!is_full(c))
		return KV_OK;
	if ((rc = put_mark(c)) < 0)
		return rc;
	if ((rc = chunk_commit(c)) < 0)
		return rc;
	if (c->pause != NULL)
		c->pause(c->user);
	return begin_txn(c);
}

MDB_cursor *
chunk_cursor(struct chunk *c, enum tree_db db)
{
	if (c->cursor[db] == NULL &&
	    mdb_cursor_open(c->txn, c->tree->db[db], &c->cursor[db]) != 0)
		return NULL;
	return c->cursor[db];
}

void
chunk_touch(struct chunk *c, const void *at)
{
	uintptr_t place = (uintptr_t)at;
	uintptr_t leap =
	    place > c->touched ? place - c->touched : c->touched - place;

	c->wrote = true;
	c->touched = place;
	if (leap >= CHUNK_PAGE)
		c->bytes += CHUNK_PAGE;
}

int
chunk_put(struct chunk *c, enum tree_db db, MDB_val key, MDB_val value)
{
	MDB_cursor *cursor = chunk_cursor(c, db);
	int rc;

	if (cursor == NULL)
		return KV_ENOMEM;
	rc = mdb_cursor_put(cursor, &key, &value, 0);
	c->wrote = true;
	return tree_error("mdb_cursor_put", c->tree->folder, rc);
}

int
chunk_del(struct chunk *c, enum tree_db db, MDB_val key)
{
	MDB_cursor *cursor = chunk_cursor(c, db);
	MDB_val value;
	int rc;

	if (cursor == NULL)
		return KV_ENOMEM;
	rc = mdb_cursor_get(cursor, &key, &value, MDB_SET);
	if (rc == MDB_NOTFOUND)
		return KV_OK;
	if (rc == 0) {
		chunk_touch(c, value.mv_data);
		rc = mdb_cursor_del(cursor, 0);
	}
	return tree_error("mdb_cursor_del", c->tree->folder, rc);
}
