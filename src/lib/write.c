/* SPDX-License-Identifier: ISC */

/* Writing: stage, commit, and again when the log was full or a bucket changed
 * meanwhile; then wait for what the durability promises. */

#include "base/clock.h"
#include "lib/batch.h"
#include "lib/embed.h"

/* The bucket of the change before, which is most often that of the next. */
struct target {
	struct kv_slice name;
	const struct bucket *bucket;
};

static int
find_bucket(struct engine *e, struct kv_slice name, struct target *last)
{
	int rc;

	if (last->bucket != NULL && slice_equal(last->name, name))
		return KV_OK;
	last->bucket = NULL;
	if ((rc = embed_bucket(e, name, &last->bucket)) == KV_OK)
		last->name = name;
	return rc;
}

static int
stage(struct engine *e, const struct batch_change *c, struct target *last)
{
	int rc;

	switch (c->kind) {
	case BATCH_EXPECT:
		return KV_OK;
	case BATCH_CREATE:
		last->bucket = NULL;
		return engine_create(e, c->bucket, (uint32_t)c->number);
	case BATCH_DROP:
		if ((rc = find_bucket(e, c->bucket, last)) < 0)
			return rc;
		last->bucket = NULL;
		return engine_drop(e, c->bucket);
	case BATCH_PUT:
		if ((rc = find_bucket(e, c->bucket, last)) < 0)
			return rc;
		return engine_put(e, last->bucket, c->key, c->value, c->number);
	case BATCH_DELETE:
		if ((rc = find_bucket(e, c->bucket, last)) < 0)
			return rc;
		return engine_delete(e, last->bucket, c->key);
	}
	return KV_EINVAL;
}

static int
stage_all(struct engine *e, const struct kv_batch *b)
{
	struct target last = { .bucket = NULL };
	struct batch_change c;
	size_t at = 0;
	int rc;

	while (batch_next(b, &at, &c))
		if ((rc = stage(e, &c, &last)) < 0)
			return rc;
	return KV_OK;
}

/* The seq of the visible record, 0 when there is none. */
static int
current_seq(struct engine *e, const struct batch_change *c, uint64_t *seq)
{
	const struct bucket *b;
	struct record r;
	int rc;

	*seq = 0;
	if ((rc = embed_bucket(e, c->bucket, &b)) < 0)
		return rc;
	if ((rc = engine_get(e, b, c->key, &r)) == KV_OK)
		*seq = r.seq;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
check_expectations(struct engine *e, const struct kv_batch *b)
{
	struct batch_change c;
	size_t at = 0;
	uint64_t seq;
	int rc;

	while (batch_next(b, &at, &c)) {
		if (c.kind != BATCH_EXPECT)
			continue;
		if ((rc = current_seq(e, &c, &seq)) < 0)
			return rc;
		if (seq != c.number)
			return KV_ESTALE;
	}
	return KV_OK;
}

/* Stage and commit under the append lock, so that what was expected still
 * holds when the batch is appended.  The first check, without the lock, reads
 * cold keys: no disk is read in it. */
static int
commit_expecting(struct engine *e, const struct kv_batch *b, uint64_t *end)
{
	int rc;

	if ((rc = check_expectations(e, b)) < 0)
		return rc;
	engine_lock(e);
	if ((rc = check_expectations(e, b)) == KV_OK &&
	    (rc = stage_all(e, b)) == KV_OK)
		rc = engine_commit(e, end);
	else
		engine_rollback(e);
	engine_unlock(e);
	return rc;
}

static int
commit_batch(struct engine *e, const void *arg, uint64_t *end)
{
	const struct kv_batch *b = arg;
	int rc;

	if (b->expectations > 0)
		return commit_expecting(e, b, end);
	if ((rc = stage_all(e, b)) < 0) {
		engine_rollback(e);
		return rc;
	}
	return engine_commit(e, end);
}

static uint64_t
bucket_change(const struct engine *e)
{
	return atomic_load_explicit(&engine_control(e)->bucket_change,
	    memory_order_acquire);
}

/* One attempt.  *again: whether a failure is worth another. */
static int
attempt(struct kv *kv, const struct write_what *w, uint64_t *end, bool *again)
{
	struct engine *e = kv->engine;
	uint64_t changes;
	int rc;

	*again = false;
	if ((rc = engine_refresh(e)) < 0)
		return rc;
	changes = bucket_change(e);
	rc = w->commit(e, w->arg, end);
	/* KV_ESTALE of an expectation is the caller's; a bucket that changed
	 * under the batch is not. */
	if (rc == KV_ESTALE)
		*again = !w->expects || changes != bucket_change(e);
	else
		*again = rc == KV_EAGAIN || rc == KV_ENOSPC;
	engine_release(e);
	return rc;
}

int
write_do(struct kv *kv, const struct write_what *w)
{
	uint64_t end = 0, deadline = 0;
	bool again, relieved = false;
	int rc;

	if (kv->in_turn)
		return KV_EINVAL;
	while ((rc = attempt(kv, w, &end, &again)) < 0 && again) {
		if (rc == KV_ESTALE)
			continue;
		/* Trouble may be over and nobody else there to see it: look
		 * once. */
		if (rc == KV_ENOSPC && relieved)
			break;
		relieved = rc == KV_ENOSPC;
		if (deadline == 0)
			deadline =
			    clock_mono_ns() + kv->timeout_ms * CLOCK_NS_PER_MS;
		if ((rc = upkeep_room(kv, deadline)) < 0)
			break;
	}
	if (rc < 0 || end == 0)
		return rc;
	if (end > kv->unsynced)
		kv->unsynced = end;
	engine_kick(kv->engine);
	rc = engine_wait_durable(kv->engine, end, -1);
	upkeep_after_write(kv);
	return rc;
}

int
kv_write(struct kv *kv, const struct kv_batch *b)
{
	const struct write_what w = { commit_batch, b, b->expectations > 0 };

	return write_do(kv, &w);
}

int
kv_put(struct kv *kv, struct kv_slice bucket, struct kv_slice key,
    struct kv_slice value, uint64_t deadline_ms)
{
	int rc;

	kv_batch_clear(&kv->single);
	rc = kv_batch_put(&kv->single, bucket, key, value, deadline_ms);
	return rc < 0 ? rc : kv_write(kv, &kv->single);
}

/* A tombstone where there is nothing would tell watchers of a change that was
 * none. */
static int
look_for(struct kv *kv, struct kv_slice bucket, struct kv_slice key)
{
	const struct bucket *b;
	struct record r;
	int rc;

	if (kv->in_turn)
		return KV_EINVAL;
	if ((rc = engine_refresh(kv->engine)) < 0)
		return rc;
	if ((rc = embed_bucket(kv->engine, bucket, &b)) == KV_OK)
		rc = engine_get(kv->engine, b, key, &r);
	embed_leave(kv);
	return rc;
}

int
kv_delete(struct kv *kv, struct kv_slice bucket, struct kv_slice key)
{
	int rc;

	kv_batch_clear(&kv->single);
	if ((rc = kv_batch_delete(&kv->single, bucket, key)) < 0 ||
	    (rc = look_for(kv, bucket, key)) < 0)
		return rc;
	return kv_write(kv, &kv->single);
}

int
kv_create(struct kv *kv, struct kv_slice bucket)
{
	int rc;

	kv_batch_clear(&kv->single);
	rc = kv_batch_create(&kv->single, bucket);
	return rc < 0 ? rc : kv_write(kv, &kv->single);
}

int
kv_create_with(struct kv *kv, struct kv_slice bucket,
    const struct kv_bucket_options *options)
{
	int rc;

	kv_batch_clear(&kv->single);
	rc = kv_batch_create_with(&kv->single, bucket, options);
	return rc < 0 ? rc : kv_write(kv, &kv->single);
}

int
kv_drop(struct kv *kv, struct kv_slice bucket)
{
	int rc;

	kv_batch_clear(&kv->single);
	rc = kv_batch_drop(&kv->single, bucket);
	return rc < 0 ? rc : kv_write(kv, &kv->single);
}
