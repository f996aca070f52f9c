/* SPDX-License-Identifier: ISC */
/* Buckets by name: ids, digests, and the rows this process has asked for.  The
 * one place where a name becomes a bucket: a live one of this host alone, else
 * the one that all hosts have. */

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/bytes.h"
#include "engine/internal.h"

/* More names than this and the cache starts anew: it is a cache. */
#define BUCKET_CACHE_MAX 65536

struct bucket_entry {
	struct bucket bucket;
	uint64_t change; /* the bucket_change this row was read at */
	uint64_t end;	 /* log position that shows it, 0: the tree */
	bool known;	 /* there is a row, live or dropped */
	struct bucket_entry *local; /* of the same name, once asked for */
	UT_hash_handle hh;
	char name[]; /* of the row */
};

struct bucket_cache {
	struct bucket_entry *entries;
};

uint64_t
engine_bucket_id(struct kv_slice row_name)
{
	crypto_generichash_state state;
	unsigned char id[8];
	uint64_t bid;

	crypto_generichash_init(&state, NULL, 0, sizeof(id));
	crypto_generichash_update(&state, (const unsigned char *)"bucket", 6);
	crypto_generichash_update(&state, (const unsigned char *)row_name.data,
	    row_name.len);
	crypto_generichash_final(&state, id, sizeof(id));
	bid = bytes_get_be64(id);
	if (scope_of_name(row_name) == SCOPE_LOCAL)
		return bid | SCOPE_LOCAL_IDS;
	/* One of 2^24 must move out of the way. */
	return scope_of_id(bid) == SCOPE_LOCAL ? bid & ~(1ull << 63) : bid;
}

void
bucket_digest(uint64_t bid, struct kv_slice key, struct stamp stamp,
    uint64_t out[2])
{
	/* Not a secret: hosts compare digests, so all must use the same. */
	static const unsigned char sip_key[16] = "kv bucket digest";
	unsigned char text[8 + KV_KEY_MAX + 16], sum[16];

	assert(key.len <= KV_KEY_MAX);
	bytes_put_be64(text, bid);
	memcpy(text + 8, key.data, key.len);
	bytes_put_be64(text + 8 + key.len, stamp.tick);
	bytes_put_be64(text + 16 + key.len, stamp.inc);
	crypto_shorthash_siphashx24(sum, text, 24 + key.len, sip_key);
	out[0] = bytes_get_be64(sum);
	out[1] = bytes_get_be64(sum + 8);
}

int
bucket_cache_new(struct engine *e)
{
	e->cache = calloc(1, sizeof(*e->cache));
	return e->cache == NULL ? KV_ENOMEM : KV_OK;
}

static void
bucket_cache_forget(struct engine *e)
{
	struct bucket_entry *entry, *next;

	HASH_ITER(hh, e->cache->entries, entry, next) {
		HASH_DEL(e->cache->entries, entry);
		free(entry);
	}
}

void
bucket_cache_trim(struct engine *e)
{
	if (HASH_COUNT(e->cache->entries) > BUCKET_CACHE_MAX)
		bucket_cache_forget(e);
}

void
bucket_cache_free(struct engine *e)
{
	if (e->cache == NULL)
		return;
	bucket_cache_forget(e);
	free(e->cache);
	e->cache = NULL;
}

/* ---- rows of the view ---- */

/* The newest row of the view: from the log, else from the tree. */
static int
bucket_read(struct engine *e, struct kv_slice row_name, struct bucket *out,
    uint64_t *end)
{
	uint64_t bid = engine_bucket_id(row_name), lsn = 0;
	struct record r;

	*end = 0;
	if (!e->log_empty)
		lsn = view_find(e,
		    index_hash_key(e->control->hash_secret, WAL_BUCKET_ROW, bid,
			row_name),
		    WAL_BUCKET_ROW, bid, row_name, e->view_end);
	if (lsn == 0)
		return tree_get_bucket(e->tree, row_name, out);
	view_record(e, lsn, &r);
	*end = r.end;
	return schema_get_bucket(r.value, out);
}

static int
bucket_enter(struct engine *e, struct kv_slice row_name,
    struct bucket_entry **out)
{
	struct bucket_entry *entry;

	if ((entry = calloc(1, sizeof(*entry) + row_name.len)) == NULL)
		return KV_ENOMEM;
	memcpy(entry->name, row_name.data, row_name.len);
	entry->change = UINT64_MAX;
	HASH_ADD_KEYPTR(hh, e->cache->entries, entry->name, row_name.len,
	    entry);
	*out = entry;
	return KV_OK;
}

/* Read the row anew when a bucket changed since. */
static int
bucket_freshen(struct engine *e, struct bucket_entry *entry)
{
	int rc;

	if (entry->change != e->view_change) {
		rc = bucket_read(e,
		    (struct kv_slice){ entry->name, entry->hh.keylen },
		    &entry->bucket, &entry->end);
		if (rc < 0 && rc != KV_ENOTFOUND)
			return rc;
		entry->known = rc == KV_OK;
		entry->change = e->view_change;
	}
	view_reveal(e, entry->end);
	return KV_OK;
}

/* A row staged in this batch, newer than what the view says. */
static int
bucket_staged(struct engine *e, struct kv_slice row_name, struct bucket *out)
{
	struct record r;
	uint64_t bid;
	int32_t item;

	if (e->stage.rows == 0)
		return KV_ENOTFOUND;
	bid = engine_bucket_id(row_name);
	item = stage_find(e,
	    index_hash_key(e->control->hash_secret, WAL_BUCKET_ROW, bid,
		row_name),
	    WAL_BUCKET_ROW, bid, row_name);
	if (item < 0)
		return KV_ENOTFOUND;
	stage_view(e, item, &r);
	return schema_get_bucket(r.value, out);
}

/* The entry as the view and the batch have it: cached only until the batch is
 * done, where that has a row of its own. */
static int
bucket_now(struct engine *e, struct bucket_entry *entry)
{
	struct bucket staged;
	int rc;

	if ((rc = bucket_freshen(e, entry)) < 0 || e->stage.rows == 0)
		return rc;
	rc = bucket_staged(e,
	    (struct kv_slice){ entry->name, entry->hh.keylen }, &staged);
	if (rc == KV_OK) {
		entry->bucket = staged;
		entry->known = true;
		entry->change = UINT64_MAX;
	}
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
bucket_lookup(struct engine *e, struct kv_slice row_name,
    struct bucket_entry **out)
{
	int rc;

	HASH_FIND(hh, e->cache->entries, row_name.data, row_name.len, *out);
	if (*out == NULL && (rc = bucket_enter(e, row_name, out)) < 0)
		return rc;
	if ((*out)->change == e->view_change && e->stage.rows == 0) {
		view_reveal(e, (*out)->end); /* nearly always */
		return KV_OK;
	}
	return bucket_now(e, *out);
}

/* ---- names ---- */

static bool
bucket_has_locals(const struct engine *e)
{
	return atomic_load_explicit(&e->control->locals,
		   memory_order_relaxed) != 0;
}

static bool
bucket_name_fits(struct kv_slice name)
{
	return name.len > 0 && name.len <= KV_BUCKET_MAX;
}

static bool
entry_is_live(const struct bucket_entry *entry)
{
	return entry->known && bucket_is_live(&entry->bucket);
}

static int
bucket_in(struct engine *e, enum scope scope, struct kv_slice name,
    struct bucket_entry **out)
{
	char room[SCOPE_NAME_MAX];

	if (!bucket_name_fits(name) ||
	    (scope == SCOPE_LOCAL && !bucket_has_locals(e)))
		return KV_ENOTFOUND;
	return bucket_lookup(e, scope_row_name(scope, name, room), out);
}

/* The local one of the name that the entry is of, whether it lives or not. */
static int
bucket_local(struct engine *e, struct kv_slice name, struct bucket_entry *entry)
{
	char room[SCOPE_NAME_MAX];

	if (entry->local != NULL)
		return bucket_now(e, entry->local);
	return bucket_lookup(e, scope_row_name(SCOPE_LOCAL, name, room),
	    &entry->local);
}

int
engine_bucket(struct engine *e, struct kv_slice name, const struct bucket **out)
{
	struct bucket_entry *entry;
	int rc;

	if (!bucket_name_fits(name))
		return KV_ENOTFOUND;
	if ((rc = bucket_lookup(e, name, &entry)) < 0)
		return rc;
	if (bucket_has_locals(e)) {
		if ((rc = bucket_local(e, name, entry)) < 0)
			return rc;
		if (entry_is_live(entry->local))
			entry = entry->local;
	}
	if (!entry_is_live(entry))
		return KV_ENOTFOUND;
	*out = &entry->bucket;
	return KV_OK;
}

int
engine_bucket_in(struct engine *e, enum scope scope, struct kv_slice name,
    const struct bucket **out)
{
	struct bucket_entry *entry;
	int rc;

	if ((rc = bucket_in(e, scope, name, &entry)) < 0)
		return rc;
	if (!entry_is_live(entry))
		return KV_ENOTFOUND;
	*out = &entry->bucket;
	return KV_OK;
}

int
engine_row_in(struct engine *e, enum scope scope, struct kv_slice name,
    struct bucket *out)
{
	struct bucket_entry *entry;
	int rc;

	if ((rc = bucket_in(e, scope, name, &entry)) < 0)
		return rc;
	if (!entry->known)
		return KV_ENOTFOUND;
	*out = entry->bucket;
	return KV_OK;
}

int
engine_scope(struct engine *e, struct kv_slice name, enum scope *out)
{
	const struct bucket *b;
	int rc = engine_bucket_in(e, SCOPE_LOCAL, name, &b);

	*out = rc == KV_OK ? SCOPE_LOCAL : SCOPE_GLOBAL;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

int
engine_shadows(struct engine *e, struct kv_slice name, const struct bucket *b,
    bool *out)
{
	const struct bucket *other;
	int rc = KV_ENOTFOUND;

	if (scope_of_id(b->bid) == SCOPE_LOCAL)
		rc = engine_bucket_in(e, SCOPE_GLOBAL, name, &other);
	*out = rc == KV_OK;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

int
engine_bucket_row(struct engine *e, struct kv_slice name, struct bucket *out)
{
	enum scope scope;
	int rc = engine_scope(e, name, &scope);

	return rc < 0 ? rc : engine_row_in(e, scope, name, out);
}

int
engine_bucket_by_id(struct engine *e, uint64_t bid, struct kv_slice *name,
    struct bucket *out)
{
	uint64_t number = e->view_hi;
	uint64_t hash = index_hash_row(e->control->hash_secret, bid);
	struct record r;
	int rc;

	for (;; number--) {
		const struct segment *s = engine_segment(e, number);
		uint64_t start = number * e->segment_size;
		uint64_t at = index_find_row(s, hash, bid);

		while (at != 0 && start + at >= e->view_end)
			at = (uint64_t)segment_record(s, at)->prev << 3;
		if (at != 0) {
			view_record(e, start + at, &r);
			view_reveal(e, r.end);
			*name = scope_bare(r.key);
			return schema_get_bucket(r.value, out);
		}
		if (number <= e->view_lo)
			break;
	}
	rc = tree_get_bucket_by_id(e->tree, bid, name, out);
	if (rc == KV_OK)
		*name = scope_bare(*name);
	return rc;
}
