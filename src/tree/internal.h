/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_INTERNAL_H
#define KV_TREE_INTERNAL_H

/* What the files of this folder share: the body of a handle, and how LMDB's
 * values and errors become ours. */

#include <assert.h>
#include <lmdb.h>
#include <string.h>

#include "tree/schema.h"
#include "tree/tree.h"

enum tree_db {
	DB_RECORDS,
	DB_BYSEQ,
	DB_BUCKETS,
	DB_NAMES,
	DB_INCS,
	DB_EXPIRY,
	DB_DROPS,
	DB_TOTALS,
	DB_META,
	DB_COUNT,
};

extern const char *const tree_db_names[DB_COUNT];

struct tree {
	MDB_env *env;
	MDB_txn *txn; /* the one read transaction, reset or renewed */
	MDB_dbi main; /* which has the others' names */
	MDB_dbi db[DB_COUNT];
	uint64_t snapshot; /* of the last renew */
	bool held;	   /* txn is renewed */
	bool writable;
	char *folder; /* for log lines */
};

/* LMDB's values are not const; it does not write through those it is given. */
static inline MDB_val
tree_val(const void *data, size_t n)
{
	return (MDB_val){ n, (void *)(uintptr_t)data };
}

static inline struct kv_slice
tree_slice(MDB_val v)
{
	return (struct kv_slice){ v.mv_data, v.mv_size };
}

static inline bool
tree_val_equal(MDB_val a, MDB_val b)
{
	return a.mv_size == b.mv_size &&
	    memcmp(a.mv_data, b.mv_data, a.mv_size) == 0;
}

/* The code for a failure of LMDB's, logged with the call's name; below zero. */
KV_CHECKED int tree_failure(const char *call, const char *object, int rc);

/* Our code for what LMDB returned; all but success and "not found" are
 * failures. */
KV_CHECKED static inline int
tree_error(const char *call, const char *object, int rc)
{
	if (rc == 0)
		return KV_OK;
	if (rc == MDB_NOTFOUND)
		return KV_ENOTFOUND;
	rc = tree_failure(call, object, rc);
	assert(rc < 0);
	return rc;
}

/* A key as it can be shown: hexadecimal, cut short after 64 bytes. */
#define TREE_HEX_MAX 129
const char *tree_hex(struct kv_slice key, char to[TREE_HEX_MAX]);

/* Log what was found damaged where. */
void tree_log_corrupt(const char *what, struct kv_slice key);

KV_CHECKED static inline int
tree_corrupt(const char *what, struct kv_slice key)
{
	tree_log_corrupt(what, key);
	return KV_ECORRUPT;
}

/* Make a folder 0700 unless it is there, and its name durable. */
KV_CHECKED int tree_make_folder(const char *path);

#endif
