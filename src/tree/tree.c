/* SPDX-License-Identifier: ISC */
/* A handle on the tree: opening, its snapshot, single lookups. */

#include "tree/tree.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"
#include "base/scope.h"
#include "io/file.h"
#include "tree/meta.h"
#include "tree/rows.h"

#define FILE_MODE 0600

const char *const tree_db_names[DB_COUNT] = {
	[DB_RECORDS] = "records",
	[DB_BYSEQ] = "byseq",
	[DB_BUCKETS] = "buckets",
	[DB_NAMES] = "names",
	[DB_INCS] = "incs",
	[DB_EXPIRY] = "expiry",
	[DB_DROPS] = "drops",
	[DB_TOTALS] = "totals",
	[DB_META] = "meta",
};

int
tree_failure(const char *call, const char *object, int rc)
{
	log_error("%s failed object=%s error=\"%s\"", call, object,
	    mdb_strerror(rc));
	switch (rc) {
	case MDB_MAP_FULL:
		return KV_ENOSPC;
	case MDB_READERS_FULL:
		return KV_EBUSY;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_PANIC:
		return KV_ECORRUPT;
	case MDB_VERSION_MISMATCH:
		return KV_EVERSION;
	case MDB_BAD_VALSIZE:
		return KV_EINVAL;
	default:
		return rc > 0 ? err_from_errno(rc) : KV_ESYSTEM;
	}
}

const char *
tree_hex(struct kv_slice key, char to[TREE_HEX_MAX])
{
	size_t i;

	for (i = 0; i < key.len && i < TREE_HEX_MAX / 2; i++) {
		unsigned byte = (unsigned char)key.data[i];

		to[2 * i] = "0123456789abcdef"[byte >> 4];
		to[2 * i + 1] = "0123456789abcdef"[byte & 15];
	}
	to[2 * i] = '\0';
	return to;
}

void
tree_log_corrupt(const char *what, struct kv_slice key)
{
	char hex[TREE_HEX_MAX];

	log_error("corrupt row database=%s key=0x%s", what, tree_hex(key, hex));
}

/* ---- opening ----------------------------------------------------------- */

static int
open_db(struct tree *t, MDB_txn *txn, int db)
{
	unsigned create = t->writable ? MDB_CREATE : 0;
	int rc = mdb_dbi_open(txn, tree_db_names[db], create, &t->db[db]);

	return tree_error("mdb_dbi_open", tree_db_names[db], rc);
}

/* A handle to a database stays good after the transaction it was opened in
 * only if that one is committed, a reading one too (mdb_dbi_open()). */
static int
open_databases(struct tree *t)
{
	MDB_txn *txn;
	int db, rc;

	rc = mdb_txn_begin(t->env, NULL, t->writable ? 0 : MDB_RDONLY, &txn);
	if (rc != 0)
		return tree_error("mdb_txn_begin", t->folder, rc);
	if ((rc = open_db(t, txn, DB_META)) < 0)
		goto out;
	rc = meta_check_format(t, txn);
	if (rc == KV_ENOTFOUND && t->writable)
		rc = meta_put_format(t, txn);
	if (rc < 0)
		goto out;
	for (db = 0; db < DB_META; db++) {
		if ((rc = open_db(t, txn, db)) < 0)
			goto out;
	}
	rc = tree_error("mdb_dbi_open", "",
	    mdb_dbi_open(txn, NULL, 0, &t->main));
	if (rc < 0)
		goto out;
	rc = tree_error("mdb_txn_commit", t->folder, mdb_txn_commit(txn));
	txn = NULL;
out:
	mdb_txn_abort(txn);
	return rc;
}

static int
open_env(struct tree *t, const struct tree_options *o)
{
	unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | MDB_NOMEMINIT;
	int rc;

	if (!o->writable)
		flags |= MDB_RDONLY;
	if (o->make_nosync)
		flags |= MDB_NOSYNC;
	if ((rc = mdb_env_create(&t->env)) != 0)
		return tree_error("mdb_env_create", t->folder, rc);
	if ((rc = mdb_env_set_mapsize(t->env, o->map_size)) != 0)
		return tree_error("mdb_env_set_mapsize", t->folder, rc);
	if ((rc = mdb_env_set_maxdbs(t->env, DB_COUNT)) != 0)
		return tree_error("mdb_env_set_maxdbs", t->folder, rc);
	if ((rc = mdb_env_set_maxreaders(t->env, o->max_readers)) != 0)
		return tree_error("mdb_env_set_maxreaders", t->folder, rc);
	rc = mdb_env_open(t->env, t->folder, flags, FILE_MODE);
	if (rc == ENOENT && !o->writable)
		return KV_ENOTFOUND;
	return tree_error("mdb_env_open", t->folder, rc);
}

int
tree_open(const struct tree_options *options, struct tree **out)
{
	struct tree *t;
	int rc = KV_ENOMEM;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		return KV_ENOMEM;
	t->writable = options->writable;
	if ((t->folder = strdup(options->folder)) == NULL)
		goto out;
	if (t->writable && (rc = tree_make_folder(t->folder)) < 0)
		goto out;
	if ((rc = open_env(t, options)) < 0)
		goto out;
	if ((rc = open_databases(t)) < 0)
		goto out;
	if (t->writable && !options->make_nosync &&
	    (rc = file_sync_dir(t->folder)) < 0)
		goto out;
	rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &t->txn);
	if ((rc = tree_error("mdb_txn_begin", t->folder, rc)) < 0)
		goto out;
	t->snapshot = mdb_txn_id(t->txn);
	mdb_txn_reset(t->txn);
	*out = t;
	t = NULL;
out:
	tree_close(t);
	return rc;
}

void
tree_close(struct tree *t)
{
	if (t == NULL)
		return;
	mdb_txn_abort(t->txn);
	if (t->env != NULL)
		mdb_env_close(t->env);
	free(t->folder);
	free(t);
}

/* ---- the snapshot ------------------------------------------------------ */

int
tree_renew(struct tree *t)
{
	int rc;

	tree_release(t);
	rc = mdb_txn_renew(t->txn);
	if (rc == MDB_MAP_RESIZED) {
		/* The writer runs with a larger map and came to use it. */
		if ((rc = mdb_env_set_mapsize(t->env, 0)) == 0)
			rc = mdb_txn_renew(t->txn);
	}
	if (rc != 0)
		return tree_error("mdb_txn_renew", t->folder, rc);
	t->held = true;
	t->snapshot = mdb_txn_id(t->txn);
	return KV_OK;
}

void
tree_release(struct tree *t)
{
	if (!t->held)
		return;
	mdb_txn_reset(t->txn);
	t->held = false;
}

uint64_t
tree_snapshot(const struct tree *t)
{
	return t->snapshot;
}

void
tree_reap_readers(struct tree *t)
{
	int dead = 0, rc = mdb_reader_check(t->env, &dead);

	if (rc != 0)
		log_warn("mdb_reader_check failed object=%s error=\"%s\"",
		    t->folder, mdb_strerror(rc));
	else if (dead > 0)
		log_info("reap tree=%s readers=%d", t->folder, dead);
}

/* ---- lookups ----------------------------------------------------------- */

int
tree_get(struct tree *t, uint64_t bid, struct kv_slice key, struct record *out)
{
	struct record like = { .type = RECORD_PUT, .bid = bid, .key = key };
	int rc;

	assert(t->held);
	if (key.len > KV_KEY_MAX)
		return KV_ENOTFOUND;
	if ((rc = rows_find(t, t->txn, &like, out)) < 0)
		return rc;
	out->key = key;
	return KV_OK;
}

int
tree_get_position(struct tree *t, struct kv_slice key, struct record *out)
{
	MDB_val k = tree_val(key.data, key.len), value;
	int rc;

	assert(t->held);
	if (key.len == 0 || key.len > SCHEMA_KEY_MAX)
		return KV_ENOTFOUND;
	if ((rc = mdb_get(t->txn, t->db[DB_INCS], &k, &value)) != 0)
		return tree_error("mdb_get", "incs", rc);
	*out = (struct record){ .type = RECORD_POSITION, .key = key };
	out->value = tree_slice(value);
	return KV_OK;
}

int
tree_get_bucket(struct tree *t, struct kv_slice name, struct bucket *out)
{
	MDB_val key = tree_val(name.data, name.len), value;
	int rc;

	assert(t->held);
	if (name.len == 0 || name.len > SCOPE_NAME_MAX)
		return KV_ENOTFOUND;
	if ((rc = mdb_get(t->txn, t->db[DB_BUCKETS], &key, &value)) != 0)
		return tree_error("mdb_get", "buckets", rc);
	if (schema_get_bucket(tree_slice(value), out) < 0)
		return tree_corrupt("buckets", name);
	return KV_OK;
}

int
tree_get_bucket_by_id(struct tree *t, uint64_t bid, struct kv_slice *name,
    struct bucket *out)
{
	char id[8];
	MDB_val key = tree_val(id, sizeof(id)), value;
	int rc;

	assert(t->held);
	bytes_put_be64(id, bid);
	if ((rc = mdb_get(t->txn, t->db[DB_NAMES], &key, &value)) != 0)
		return tree_error("mdb_get", "names", rc);
	*name = tree_slice(value);
	return tree_get_bucket(t, *name, out);
}

int
tree_get_totals(struct tree *t, uint64_t bid, struct totals *out)
{
	char name[8];
	MDB_val key = tree_val(name, sizeof(name)), value;
	int rc;

	assert(t->held);
	*out = (struct totals){ 0 };
	bytes_put_be64(name, bid);
	rc = mdb_get(t->txn, t->db[DB_TOTALS], &key, &value);
	if (rc == MDB_NOTFOUND)
		return KV_OK;
	if (rc != 0)
		return tree_error("mdb_get", "totals", rc);
	if (schema_get_totals(tree_slice(value), out) < 0)
		return tree_corrupt("totals", (struct kv_slice){ name, 8 });
	return KV_OK;
}
