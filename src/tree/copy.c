/* SPDX-License-Identifier: ISC */
/* The tree's folder as files: making it, copying it, its measures. */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "io/file.h"
#include "tree/meta.h"

int
tree_make_folder(const char *path)
{
	if (mkdir(path, 0700) == 0)
		return file_sync_parent(path);
	return errno == EEXIST ? KV_OK : err_system("mkdir", path);
}

/* ---- a copy ------------------------------------------------------------ */

static int
read_mark(MDB_env *env, uint64_t *seq)
{
	struct tree t = { .env = env };
	int rc;

	if ((rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &t.txn)) != 0)
		return tree_error("mdb_txn_begin", "copy", rc);
	rc = mdb_dbi_open(t.txn, tree_db_names[DB_META], 0, &t.db[DB_META]);
	if (rc == 0)
		rc = meta_get_applying(&t, t.txn, seq);
	else
		rc = tree_error("mdb_dbi_open", "copy", rc);
	mdb_txn_abort(t.txn);
	return rc;
}

/* The copy can be opened, and no checkpoint is half applied in it. */
static int
check_copy(const char *folder)
{
	MDB_env *env = NULL;
	uint64_t seq = 0;
	int rc;

	if ((rc = mdb_env_create(&env)) != 0)
		return tree_error("mdb_env_create", folder, rc);
	if ((rc = mdb_env_set_maxdbs(env, DB_COUNT)) == 0)
		rc = mdb_env_open(env, folder, MDB_RDONLY | MDB_NOLOCK, 0600);
	rc = rc == 0 ? read_mark(env, &seq)
		     : tree_error("mdb_env_open", folder, rc);
	mdb_env_close(env);
	if (rc == KV_OK && seq != 0)
		rc = KV_EBUSY;
	return rc;
}

static int
is_applying(struct tree *t)
{
	uint64_t seq = 0;
	MDB_txn *txn;
	int rc;

	if ((rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn)) != 0)
		return tree_error("mdb_txn_begin", t->folder, rc);
	rc = meta_get_applying(t, txn, &seq);
	mdb_txn_abort(txn);
	return rc == KV_OK && seq != 0 ? KV_EBUSY : rc;
}

static int
write_copy(struct tree *t, const char *file)
{
	int fd, rc;

	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? KV_EEXIST : err_system("open", file);
	rc = mdb_env_copyfd2(t->env, fd, MDB_CP_COMPACT);
	if (rc != 0)
		rc = tree_error("mdb_env_copyfd2", file, rc);
	else if (fsync(fd) < 0)
		rc = err_system("fsync", file);
	close(fd);
	if (rc < 0)
		unlink(file);
	return rc;
}

int
tree_copy(struct tree *t, const char *folder)
{
	char file[PATH_MAX];
	int n, rc;

	n = snprintf(file, sizeof(file), "%s/data.mdb", folder);
	if (n < 0 || (size_t)n >= sizeof(file))
		return KV_EINVAL;
	if ((rc = is_applying(t)) < 0)
		return rc;
	if ((rc = tree_make_folder(folder)) < 0)
		return rc;
	if ((rc = write_copy(t, file)) < 0)
		return rc;
	if ((rc = check_copy(folder)) < 0) {
		unlink(file);
		return rc;
	}
	return file_sync_dir(folder);
}

/* ---- measures ---------------------------------------------------------- */

/* Free pages are listed, one row for each transaction that freed some, in the
 * database 0: a count, then page numbers (mdb_stat.c shows them so). */
static int
count_free_pages(struct tree *t, uint64_t *out)
{
	MDB_cursor *cursor;
	MDB_val key, value;
	size_t pages;
	int rc;

	*out = 0;
	if ((rc = mdb_cursor_open(t->txn, 0, &cursor)) != 0)
		return tree_error("mdb_cursor_open", "free", rc);
	while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		memcpy(&pages, value.mv_data, sizeof(pages));
		*out += pages;
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? KV_OK
				  : tree_error("mdb_cursor_get", "free", rc);
}

/* One line of mdb_reader_list(): pid, thread, and the snapshot or "-". */
static int
count_reader(const char *line, void *user)
{
	struct tree_stat *out = user;
	unsigned long long thread, snapshot;
	int pid, n;

	n = sscanf(line, "%d %llx %llu", &pid, &thread, &snapshot);
	if (n >= 2)
		out->readers++;
	if (n == 3 &&
	    (out->oldest_reader == 0 || snapshot < out->oldest_reader))
		out->oldest_reader = snapshot;
	return 0;
}

int
tree_stat(struct tree *t, struct tree_stat *out)
{
	MDB_stat records, buckets;
	MDB_envinfo info;
	uint64_t free_pages = 0;
	int rc;

	assert(t->held);
	*out = (struct tree_stat){ 0 };
	if ((rc = count_free_pages(t, &free_pages)) < 0)
		return rc;
	if ((rc = mdb_env_info(t->env, &info)) != 0 ||
	    (rc = mdb_stat(t->txn, t->db[DB_RECORDS], &records)) != 0 ||
	    (rc = mdb_stat(t->txn, t->db[DB_BUCKETS], &buckets)) != 0)
		return tree_error("mdb_stat", t->folder, rc);
	if (mdb_reader_list(t->env, count_reader, out) < 0)
		return KV_ESYSTEM;
	out->oldest_reader = out->oldest_reader == 0
	    ? 0
	    : info.me_last_txnid - out->oldest_reader;
	out->map_size = info.me_mapsize;
	out->free_bytes = free_pages * records.ms_psize;
	out->used_bytes = (info.me_last_pgno + 1) * records.ms_psize;
	out->used_bytes -= out->free_bytes;
	out->entries = records.ms_entries;
	out->buckets = buckets.ms_entries;
	out->depth = records.ms_depth;
	return KV_OK;
}
