/* SPDX-License-Identifier: ISC */

/* Opening a store, turns, and single reads. */

#include "lib/embed.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "conf/load.h"
#include "engine/options.h"
#include "io/file.h"

#define DEFAULT_TIMEOUT_MS 30000
#define TIMEOUT_MAX_MS (UINT64_MAX / 2 / CLOCK_NS_PER_MS) /* a deadline fits */
#define SEGMENT_SIZE_MIN (1u << 20)
#define SEGMENT_SIZE_MAX (512u << 20)

static_assert(KV_DURABILITY_ALWAYS == DURABILITY_ALWAYS + 1 &&
	KV_DURABILITY_EVERYSEC == DURABILITY_EVERYSEC + 1 &&
	KV_DURABILITY_OS == DURABILITY_OS + 1,
    "ours is one more: 0 is that of the store");

/* kvd's configuration.  What is wrong with it is kvd's to refuse; a program
 * that has an environment of its own goes on with the defaults. */
static int
read_conf(struct conf **out)
{
	struct conf_error error;

	if (load_conf(NULL, out, &error) == KV_OK)
		return KV_OK;
	log_warn("configuration error=\"%s\" action=\"using defaults\"",
	    error.text);
	return conf_new(out);
}

static uint64_t
or_default(uint64_t given, uint64_t preset)
{
	return given != 0 ? given : preset;
}

static const struct kv_options none;

/* What the program says goes before the configuration. */
static int
merge(const char *dir, const struct kv_options *o, struct engine_options *eo)
{
	/* Reserved: a program of tomorrow asks for what is not known here. */
	if ((unsigned)o->durability > KV_DURABILITY_OS ||
	    memcmp(o->reserved, none.reserved, sizeof(none.reserved)) != 0 ||
	    (o->segment_size != 0 &&
		(o->segment_size < SEGMENT_SIZE_MIN ||
		    o->segment_size > SEGMENT_SIZE_MAX)))
		return KV_EINVAL;
	eo->dir = dir;
	if (o->shm_dir != NULL)
		eo->shm_dir = o->shm_dir;
	eo->segment_size = or_default(o->segment_size, eo->segment_size);
	eo->map_size = or_default(o->map_size, eo->map_size);
	eo->retention_ms = or_default(o->retention_ms, eo->retention_ms);
	if (o->durability != KV_DURABILITY_STORE)
		eo->durability = (enum engine_durability)(o->durability - 1);
	eo->must_exist = o->must_exist;
	return KV_OK;
}

/* Make the folder, or see that a store is in it. */
static int
prepare_dir(const char *dir, bool must_exist)
{
	char path[PATH_MAX];

	if (strlen(dir) + sizeof("/store") > sizeof(path))
		return KV_ETOOBIG;
	if (!must_exist)
		return file_make_dir(dir);
	snprintf(path, sizeof(path), "%s/store", dir);
	if (access(path, F_OK) == 0)
		return KV_OK;
	return errno == ENOENT || errno == ENOTDIR ? KV_ENOTFOUND
						   : err_from_errno(errno);
}

/* A daemon may have another durability than our configuration says: then ours
 * is to be the same, which is only known when the store is open. */
static int
open_engine(const struct engine_options *eo, bool as_store, struct engine **out)
{
	struct engine_options again = *eo;
	struct engine *e;
	int rc;

	if ((rc = engine_open(eo, &e)) < 0)
		return rc;
	again.durability = (enum engine_durability)
	    atomic_load_explicit(&engine_control(e)->durability,
		memory_order_relaxed);
	if (as_store && again.durability != eo->durability) {
		engine_close(e);
		if ((rc = engine_open(&again, &e)) < 0)
			return rc;
	}
	*out = e;
	return KV_OK;
}

int
embed_options(const char *dir, const struct kv_options *o, struct conf **conf,
    struct engine_options *out)
{
	int rc;

	if ((rc = prepare_dir(dir, o->must_exist)) < 0 ||
	    (rc = read_conf(conf)) < 0)
		return rc;
	engine_options_read(*conf, ROLE_LIBRARY, out);
	if ((rc = merge(dir, o, out)) < 0)
		conf_free(*conf);
	return rc;
}

static int
open_store(struct kv *kv, const char *dir, const struct kv_options *options)
{
	bool as_store = options->durability == KV_DURABILITY_STORE;
	struct engine_options eo;
	struct conf *conf;
	int rc;

	if ((rc = embed_options(dir, options, &conf, &eo)) < 0)
		return rc;
	rc = open_engine(&eo, as_store, &kv->engine);
	/* The texts are looked at only while it opens. */
	conf_free(conf);
	return rc;
}

int
kv_open(const char *dir, const struct kv_options *options, struct kv **out)
{
	struct kv *kv;
	int rc;

	if (options == NULL)
		options = &none;
	if ((kv = calloc(1, sizeof(*kv))) == NULL)
		return KV_ENOMEM;
	kv->timeout_ms = or_default(options->timeout_ms, DEFAULT_TIMEOUT_MS);
	if (kv->timeout_ms > TIMEOUT_MAX_MS)
		kv->timeout_ms = TIMEOUT_MAX_MS;
	buf_init(&kv->copy);
	if ((rc = open_store(kv, dir, options)) < 0)
		free(kv);
	else
		*out = kv;
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

int
embed_bucket(struct engine *e, struct kv_slice name, const struct bucket **out)
{
	return bucket_is_hidden(name) ? KV_ENOTFOUND
				      : engine_bucket(e, name, out);
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
	b->data[b->len] = '\0'; /* for strtoull and the like */
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
	if ((rc = embed_bucket(kv->engine, bucket, &b)) < 0 ||
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
	if ((rc = embed_bucket(kv->engine, bucket, &b)) < 0 ||
	    (rc = engine_totals(kv->engine, b, &totals)) < 0 ||
	    (rc = engine_shadows(kv->engine, bucket, b, &out->shadows)) < 0)
		goto out;
	out->keys = totals.keys;
	out->bytes = totals.bytes;
	out->digest[0] = totals.digest[0];
	out->digest[1] = totals.digest[1];
	out->created_ms = stamp_ms(b->created);
	out->stays = (b->options & BUCKET_STAYS) != 0;
	out->local = (b->options & BUCKET_LOCAL) != 0;
	out->database = (b->options & BUCKET_DATABASE) != 0;
	out->ttl_max_ms = bucket_ttl_ms(b);
	out->conflict_log = (b->options & BUCKET_CONFLICTS) != 0;
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
