/* SPDX-License-Identifier: ISC */

/* Opening a store, turns, and single reads. */

#include "lib/embed.h"

#include <stdlib.h>

#include "base/log.h"
#include "conf/options.h"
#include "io/file.h"
#include "tree/schema.h"

#define DEFAULT_SHM "/dev/shm"
#define DEFAULT_MAP (1ull << 40)
#define DEFAULT_RETENTION_MS (7 * CONF_DAY_MS)
#define DEFAULT_TIMEOUT_MS 30000

static const enum engine_durability durabilities[] = {
	[KV_DURABILITY_ALWAYS] = DURABILITY_ALWAYS,
	[KV_DURABILITY_EVERYSEC] = DURABILITY_EVERYSEC,
	[KV_DURABILITY_OS] = DURABILITY_OS,
};

static uint64_t
or_default(uint64_t given, uint64_t preset)
{
	return given != 0 ? given : preset;
}

int
kv_open(const char *dir, const struct kv_options *options, struct kv **out)
{
	static const struct kv_options none;
	struct engine_options eo = { .dir = dir, .role = ROLE_LIBRARY };
	struct kv *kv = NULL;
	int rc;

	if (options == NULL)
		options = &none;
	if ((unsigned)options->durability > KV_DURABILITY_OS)
		return KV_EINVAL;
	eo.shm_dir = options->shm_dir != NULL ? options->shm_dir : DEFAULT_SHM;
	eo.segment_size =
	    or_default(options->segment_size, KV_BUILD_SEGMENT_SIZE);
	eo.map_size = or_default(options->map_size, DEFAULT_MAP);
	eo.retention_ms =
	    or_default(options->retention_ms, DEFAULT_RETENTION_MS);
	eo.durability = durabilities[options->durability];
	eo.must_exist = options->must_exist;

	if (!options->must_exist && (rc = file_make_dir(dir)) < 0)
		return rc;
	if ((kv = calloc(1, sizeof(*kv))) == NULL)
		return KV_ENOMEM;
	kv->timeout_ms = or_default(options->timeout_ms, DEFAULT_TIMEOUT_MS);
	buf_init(&kv->copy);
	if ((rc = engine_open(&eo, &kv->engine)) < 0)
		goto out;
	*out = kv;
	kv = NULL;
out:
	free(kv);
	return rc;
}

void
kv_close(struct kv *kv)
{
	if (kv == NULL)
		return;
	watch_close_all(kv);
	cursor_close_all(kv);
	kv_end(kv);
	engine_close(kv->engine);
	buf_fini(&kv->copy);
	buf_fini(&kv->single.bytes);
	free(kv);
}

int
embed_enter(struct kv *kv)
{
	return kv->in_turn ? KV_OK : engine_refresh(kv->engine);
}

void
embed_leave(struct kv *kv)
{
	uint64_t revealed = engine_revealed(kv->engine);

	if (revealed > kv->unsynced)
		kv->unsynced = revealed;
	if (!kv->in_turn)
		engine_release(kv->engine);
}

int
kv_begin(struct kv *kv)
{
	int rc;

	if (kv->in_turn)
		return KV_EBUSY;
	if ((rc = engine_refresh(kv->engine)) < 0)
		return rc;
	kv->in_turn = true;
	kv->turns++;
	return KV_OK;
}

void
kv_end(struct kv *kv)
{
	if (!kv->in_turn)
		return;
	cursor_end_turn(kv);
	kv->in_turn = false;
	embed_leave(kv);
}

void
embed_entry(const struct record *r, struct kv_entry *out)
{
	out->key = r->key;
	out->value = r->value;
	out->seq = r->seq;
	out->written_ms = stamp_ms(r->stamp);
	out->deadline_ms = r->deadline;
}

int
embed_keep(struct buf *b, struct kv_entry *entry)
{
	int rc;

	b->len = 0;
	if ((rc = buf_reserve(b, entry->key.len + entry->value.len + 1)) < 0)
		return rc;
	if ((rc = buf_append(b, entry->key.data, entry->key.len)) < 0 ||
	    (rc = buf_append(b, entry->value.data, entry->value.len)) < 0)
		return rc;
	entry->key.data = b->data;
	entry->value.data = b->data + entry->key.len;
	return KV_OK;
}

int
kv_get_entry(struct kv *kv, struct kv_slice bucket, struct kv_slice key,
    struct kv_entry *out)
{
	const struct bucket *b;
	struct record r;
	int rc;

	if ((rc = embed_enter(kv)) < 0)
		return rc;
	if ((rc = engine_bucket(kv->engine, bucket, &b)) < 0 ||
	    (rc = engine_get(kv->engine, b, key, &r)) < 0)
		goto out;
	embed_entry(&r, out);
	if (!kv->in_turn)
		rc = embed_keep(&kv->copy, out);
out:
	embed_leave(kv);
	return rc;
}

int
kv_get(struct kv *kv, struct kv_slice bucket, struct kv_slice key,
    struct kv_slice *value)
{
	struct kv_entry entry;
	int rc;

	if ((rc = kv_get_entry(kv, bucket, key, &entry)) == KV_OK)
		*value = entry.value;
	return rc;
}

int
kv_bucket_info(struct kv *kv, struct kv_slice bucket,
    struct kv_bucket_info *out)
{
	const struct bucket *b;
	struct totals totals;
	int rc;

	if ((rc = embed_enter(kv)) < 0)
		return rc;
	if ((rc = engine_bucket(kv->engine, bucket, &b)) < 0 ||
	    (rc = engine_totals(kv->engine, b, &totals)) < 0)
		goto out;
	out->keys = totals.keys;
	out->bytes = totals.bytes;
	out->digest[0] = totals.digest[0];
	out->digest[1] = totals.digest[1];
	out->created_ms = stamp_ms(b->created);
	out->stays = (b->options & BUCKET_STAYS) != 0;
	out->local = (b->options & BUCKET_LOCAL) != 0;
	out->database = (b->options & BUCKET_DATABASE) != 0;
out:
	embed_leave(kv);
	return rc;
}

int
kv_count(struct kv *kv, struct kv_slice bucket, uint64_t *keys)
{
	struct kv_bucket_info info;
	int rc;

	if ((rc = kv_bucket_info(kv, bucket, &info)) == KV_OK)
		*keys = info.keys;
	return rc;
}
