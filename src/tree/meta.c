/* SPDX-License-Identifier: ISC */
/* Small values by name: the tree's own, and those that others keep here. */

#include "tree/meta.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/log.h"
#include "tree/apply.h"

#define FORMAT "format"
#define BYTEORDER "byteorder"
#define POSITION "position"
#define APPLYING "applying"
#define PURGED "purged_seq"
#define PURGES "purges"
#define PURGED_SHORT "purged_short"

static int
get(struct tree *t, MDB_txn *txn, const char *name, struct kv_slice *out)
{
	MDB_val key = tree_val(name, strlen(name)), value;
	int rc = mdb_get(txn, t->db[DB_META], &key, &value);

	if (rc != 0)
		return tree_error("mdb_get", name, rc);
	*out = tree_slice(value);
	return KV_OK;
}

static int
put(struct chunk *c, const char *name, struct kv_slice value)
{
	return chunk_put(c, DB_META, tree_val(name, strlen(name)),
	    tree_val(value.data, value.len));
}

/* ---- format ------------------------------------------------------------ */

int
meta_check_format(struct tree *t, MDB_txn *txn)
{
	struct kv_slice row;
	uint32_t found;
	int rc;

	if ((rc = get(t, txn, FORMAT, &row)) < 0)
		return rc;
	found = row.len == 4 ? bytes_get_be32(row.data) : 0;
	if (found != SCHEMA_FORMAT) {
		log_error("refuse tree=%s format=%u expected=%u", t->folder,
		    found, SCHEMA_FORMAT);
		return KV_EVERSION;
	}
	if ((rc = get(t, txn, BYTEORDER, &row)) < 0)
		return rc;
	if (!slice_equal(row, slice_of(SCHEMA_BYTEORDER))) {
		log_error("refuse tree=%s byteorder=%.*s expected=%s",
		    t->folder, (int)row.len, row.data, SCHEMA_BYTEORDER);
		return KV_EVERSION;
	}
	return KV_OK;
}

static int
put_raw(struct tree *t, MDB_txn *txn, const char *name, struct kv_slice row)
{
	MDB_val key = tree_val(name, strlen(name));
	MDB_val value = tree_val(row.data, row.len);

	return tree_error("mdb_put", name,
	    mdb_put(txn, t->db[DB_META], &key, &value, 0));
}

int
meta_put_format(struct tree *t, MDB_txn *txn)
{
	char format[4];
	int rc;

	bytes_put_be32(format, SCHEMA_FORMAT);
	rc = put_raw(t, txn, FORMAT, (struct kv_slice){ format, 4 });
	if (rc < 0)
		return rc;
	return put_raw(t, txn, BYTEORDER, slice_of(SCHEMA_BYTEORDER));
}

/* ---- position ---------------------------------------------------------- */

int
meta_get_position(struct tree *t, MDB_txn *txn, struct tree_position *out)
{
	struct kv_slice row;
	int rc = get(t, txn, POSITION, &row);

	*out = (struct tree_position){ 0, 0 };
	if (rc == KV_ENOTFOUND)
		return KV_OK;
	if (rc < 0)
		return rc;
	if (row.len != 16)
		return tree_corrupt("meta", slice_of(POSITION));
	out->checkpointed = bytes_get_be64(row.data);
	out->seq = bytes_get_be64(row.data + 8);
	return KV_OK;
}

/* A number of 8 bytes, 0 when absent. */
static int
get_number(struct chunk *c, const char *name, uint64_t *out)
{
	struct kv_slice row;
	int rc = get(c->tree, c->txn, name, &row);

	*out = rc == KV_OK && row.len == 8 ? bytes_get_be64(row.data) : 0;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
put_number(struct chunk *c, const char *name, uint64_t n)
{
	char row[8];

	bytes_put_be64(row, n);
	return put(c, name, (struct kv_slice){ row, sizeof(row) });
}

int
meta_note_purged(struct chunk *c, uint64_t seq)
{
	uint64_t before, purges;
	int rc;

	if ((rc = get_number(c, PURGED, &before)) < 0 ||
	    (rc = get_number(c, PURGES, &purges)) < 0)
		return rc;
	if (seq > before && (rc = put_number(c, PURGED, seq)) < 0)
		return rc;
	return put_number(c, PURGES, purges + 1);
}

int
meta_note_short(struct chunk *c, uint64_t seq)
{
	uint64_t before;
	int rc = get_number(c, PURGED_SHORT, &before);

	return rc < 0 || seq <= before ? rc : put_number(c, PURGED_SHORT, seq);
}

static int
lower(struct chunk *c, const char *name, uint64_t seq)
{
	uint64_t now;
	int rc;

	if ((rc = get_number(c, name, &now)) < 0 || now <= seq)
		return rc;
	return put_number(c, name, seq);
}

int
meta_lower_purged(struct chunk *c, uint64_t seq)
{
	int rc = lower(c, PURGED, seq);

	return rc < 0 ? rc : lower(c, PURGED_SHORT, seq);
}

int
meta_put_position(struct chunk *c, const struct tree_position *p)
{
	char row[16];

	bytes_put_be64(row, p->checkpointed);
	bytes_put_be64(row + 8, p->seq);
	return put(c, POSITION, (struct kv_slice){ row, sizeof(row) });
}

int
tree_position(struct tree *t, struct tree_position *out)
{
	assert(t->held);
	return meta_get_position(t, t->txn, out);
}

/* ---- applying ---------------------------------------------------------- */

int
meta_get_applying(struct tree *t, MDB_txn *txn, uint64_t *seq)
{
	struct kv_slice row;
	int rc = get(t, txn, APPLYING, &row);

	*seq = 0;
	if (rc == KV_ENOTFOUND)
		return KV_OK;
	if (rc < 0)
		return rc;
	if (row.len != 8)
		return tree_corrupt("meta", slice_of(APPLYING));
	*seq = bytes_get_be64(row.data);
	return KV_OK;
}

int
meta_put_applying(struct chunk *c, uint64_t seq)
{
	char row[8];

	bytes_put_be64(row, seq);
	return put(c, APPLYING, (struct kv_slice){ row, sizeof(row) });
}

int
meta_del_applying(struct chunk *c)
{
	return chunk_del(c, DB_META, tree_val(APPLYING, strlen(APPLYING)));
}

int
tree_unfinished(struct tree *t, uint64_t *seq)
{
	assert(t->held);
	return meta_get_applying(t, t->txn, seq);
}

/* ---- others' ----------------------------------------------------------- */

int
tree_meta_get(struct tree *t, const char *name, struct kv_slice *out)
{
	assert(t->held);
	return get(t, t->txn, name, out);
}

static bool
is_own(const char *name)
{
	return strcmp(name, FORMAT) == 0 || strcmp(name, BYTEORDER) == 0 ||
	    strcmp(name, POSITION) == 0 || strcmp(name, APPLYING) == 0 ||
	    strcmp(name, PURGED) == 0 || strcmp(name, PURGES) == 0 ||
	    strcmp(name, META_VOID_SEQS) == 0;
}

int
apply_meta(struct tree *t, const char *name, struct kv_slice value)
{
	struct chunk c = { 0 };
	int rc;

	if (is_own(name) || *name == '\0' || strlen(name) > SCHEMA_KEY_MAX)
		return KV_EINVAL;
	if ((rc = chunk_begin(&c, t)) < 0)
		return rc;
	if ((rc = put(&c, name, value)) == KV_OK)
		rc = chunk_commit(&c);
	chunk_abort(&c);
	return rc;
}
