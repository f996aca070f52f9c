/* SPDX-License-Identifier: ISC */
/* Buckets by name: ids, digests, and the rows this process has asked for. */

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
	UT_hash_handle hh;
	char name[];
};

struct bucket_cache {
	struct bucket_entry *entries;
};

uint64_t
engine_bucket_id(struct kv_slice name)
{
	crypto_generichash_state state;
	unsigned char id[8];

	crypto_generichash_init(&state, NULL, 0, sizeof(id));
	crypto_generichash_update(&state, (const unsigned char *)"bucket", 6);
	crypto_generichash_update(&state, (const unsigned char *)name.data,
	    name.len);
	crypto_generichash_final(&state, id, sizeof(id));
	return bytes_get_be64(id);
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

/* The newest row of the view: from the log, else from the tree. */
static int
bucket_read(struct engine *e, struct kv_slice name, struct bucket *out,
    uint64_t *end)
{
	uint64_t bid = engine_bucket_id(name), lsn = 0;
	struct record r;

	*end = 0;
	if (!e->log_empty)
		lsn = view_find(e,
		    index_hash_key(e->control->hash_secret, WAL_BUCKET_ROW, bid,
			name),
		    WAL_BUCKET_ROW, bid, name, e->view_end);
	if (lsn == 0)
		return tree_get_bucket(e->tree, name, out);
	view_record(e, lsn, &r);
	*end = r.end;
	return schema_get_bucket(r.value, out);
}

static int
bucket_enter(struct engine *e, struct kv_slice name, struct bucket_entry **out)
{
	struct bucket_entry *entry;

	if ((entry = calloc(1, sizeof(*entry) + name.len)) == NULL)
		return KV_ENOMEM;
	memcpy(entry->name, name.data, name.len);
	entry->change = UINT64_MAX;
	HASH_ADD_KEYPTR(hh, e->cache->entries, entry->name, name.len, entry);
	*out = entry;
	return KV_OK;
}

/* The cached row, read anew when a bucket changed since. */
static int
bucket_lookup(struct engine *e, struct kv_slice name, struct bucket_entry **out)
{
	struct bucket_entry *entry;
	int rc;

	HASH_FIND(hh, e->cache->entries, name.data, name.len, entry);
	if (entry == NULL && (rc = bucket_enter(e, name, &entry)) < 0)
		return rc;
	if (entry->change != e->view_change) {
		rc = bucket_read(e, name, &entry->bucket, &entry->end);
		if (rc < 0 && rc != KV_ENOTFOUND)
			return rc;
		entry->known = rc == KV_OK;
		entry->change = e->view_change;
	}
	view_reveal(e, entry->end);
	*out = entry;
	return KV_OK;
}

/* A row staged in this batch, newer than what the view says. */
static int
bucket_staged(struct engine *e, struct kv_slice name, struct bucket *out)
{
	struct record r;
	uint64_t bid;
	int32_t item;

	if (e->stage.count == 0)
		return KV_ENOTFOUND;
	bid = engine_bucket_id(name);
	item = stage_find(e,
	    index_hash_key(e->control->hash_secret, WAL_BUCKET_ROW, bid, name),
	    WAL_BUCKET_ROW, bid, name);
	if (item < 0)
		return KV_ENOTFOUND;
	stage_view(e, item, &r);
	return schema_get_bucket(r.value, out);
}

int
engine_bucket_row(struct engine *e, struct kv_slice name, struct bucket *out)
{
	struct bucket_entry *entry;
	int rc;

	if ((rc = bucket_staged(e, name, out)) != KV_ENOTFOUND)
		return rc;
	if ((rc = bucket_lookup(e, name, &entry)) < 0)
		return rc;
	if (!entry->known)
		return KV_ENOTFOUND;
	*out = entry->bucket;
	return KV_OK;
}

int
engine_bucket(struct engine *e, struct kv_slice name, const struct bucket **out)
{
	struct bucket_entry *entry;
	struct bucket staged;
	int rc;

	if (name.len == 0 || name.len > KV_BUCKET_MAX)
		return KV_ENOTFOUND;
	if ((rc = bucket_lookup(e, name, &entry)) < 0)
		return rc;
	if (e->stage.count > 0) {
		rc = bucket_staged(e, name, &staged);
		if (rc == KV_OK) {
			/* Cached only until the batch is done. */
			entry->bucket = staged;
			entry->known = true;
			entry->change = UINT64_MAX;
		} else if (rc != KV_ENOTFOUND)
			return rc;
	}
	if (!entry->known || !bucket_is_live(&entry->bucket))
		return KV_ENOTFOUND;
	*out = &entry->bucket;
	return KV_OK;
}

int
engine_bucket_by_id(struct engine *e, uint64_t bid, struct kv_slice *name,
    struct bucket *out)
{
	uint64_t number = e->view_hi;
	uint64_t hash = index_hash_row(e->control->hash_secret, bid);
	struct record r;

	for (;; number--) {
		const struct segment *s = engine_segment(e, number);
		uint64_t start = number * e->segment_size;
		uint64_t at = index_find_row(s, hash, bid);

		while (at != 0 && start + at >= e->view_end)
			at = (uint64_t)segment_record(s, at)->prev << 3;
		if (at != 0) {
			view_record(e, start + at, &r);
			view_reveal(e, r.end);
			*name = r.key;
			return schema_get_bucket(r.value, out);
		}
		if (number <= e->view_lo)
			break;
	}
	return tree_get_bucket_by_id(e->tree, bid, name, out);
}
