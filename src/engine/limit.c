/* SPDX-License-Identifier: ISC */
/* A bucket that has got a ttl_max, or a shorter one, when there were records in
 * it: those that end later, or never, become what they would have been, under
 * the stamp they have.  So does every other host, and what came out of the tree
 * of one that has done so already is the same. */

#include "tree/limit.h"

#include <string.h>

#include "engine/internal.h"

#define LIMIT_LOOK 2000	    /* records in one piece */
#define LIMIT_BATCH 64	    /* under one hold of the append mutex */
#define LIMIT_BYTES 1048576 /* of them */

struct limit_work {
	struct limit at;
	struct bucket bucket;
	bool end;
	size_t count, bytes;
	struct limit_key {
		uint64_t seq;
		uint16_t len;
		char key[KV_KEY_MAX];
	} keys[LIMIT_BATCH];
};

static bool
limit_is_broken(const struct limit_work *w, const struct record *r)
{
	return r->type == RECORD_PUT &&
	    bucket_deadline(&w->bucket, stamp_ms(r->stamp), r->deadline) !=
	    r->deadline;
}

static void
limit_keep(struct limit_work *w, const struct record *r)
{
	struct limit_key *k = &w->keys[w->count++];

	k->seq = r->seq;
	k->len = (uint16_t)r->key.len;
	memcpy(k->key, r->key.data, r->key.len);
	w->bytes += r->value.len;
}

/* Some of them, and where to go on. */
static int
limit_collect(struct engine *e, struct limit_work *w)
{
	struct kv_slice from = { w->at.key, w->at.len };
	struct tree_scan *scan = NULL;
	struct record r;
	size_t looked;
	int rc;

	rc = tree_scan_open(e->tree, TREE_BY_KEY, w->at.bid, &scan);
	if (rc == KV_OK)
		rc = tree_scan_seek(scan, from, 0);
	for (looked = 0; rc == KV_OK && looked < LIMIT_LOOK &&
	     w->count < LIMIT_BATCH && w->bytes < LIMIT_BYTES;
	     looked++) {
		if ((rc = tree_scan_next(scan, &r)) < 0)
			break;
		if (limit_is_broken(w, &r))
			limit_keep(w, &r);
		memcpy(w->at.key, r.key.data, r.key.len);
		w->at.key[r.key.len] = '\0'; /* the least key behind it */
		w->at.len = r.key.len + 1;
	}
	tree_scan_close(scan);
	w->end = rc == KV_ENOTFOUND;
	return w->end ? KV_OK : rc;
}

/* Under the mutex: is this version still the newest? */
static int
limit_stage(struct engine *e, const struct limit_work *w,
    const struct limit_key *k)
{
	struct record r;
	int rc = engine_get_raw(e, w->at.bid,
	    (struct kv_slice){ k->key, k->len }, &r);

	if (rc < 0 || r.seq != k->seq || !limit_is_broken(w, &r))
		return rc == KV_ENOTFOUND ? KV_OK : rc;
	r.flags &= RECORD_RELAY | RECORD_BUILT | RECORD_LOCAL;
	r.flags |= RECORD_FOREIGN;
	r.marks &= RECORD_PREV;
	bucket_limit(&w->bucket, stamp_ms(r.stamp), &r);
	if (record_is_expired(&r, e->now_ms))
		return engine_expire(e, &w->bucket, &r);
	return stage_record(e, &w->bucket, &r, STAGE_NO_ROW);
}

static int
limit_append(struct engine *e, const struct limit_work *w)
{
	uint64_t end = 0;
	size_t i;
	int rc = KV_OK;

	engine_lock(e);
	for (i = 0; rc == KV_OK && i < w->count; i++)
		rc = limit_stage(e, w, &w->keys[i]);
	if (rc == KV_OK)
		rc = engine_commit(e, &end);
	else
		engine_rollback(e);
	engine_unlock(e);
	return rc;
}

/* In a view. */
static int
limit_piece(struct engine *e, struct limit_work *w)
{
	struct kv_slice name;
	int rc;

	if ((rc = limit_first(e->tree, &w->at)) < 0)
		return rc;
	rc = engine_bucket_by_id(e, w->at.bid, &name, &w->bucket);
	w->end = rc == KV_ENOTFOUND;
	if (rc == KV_OK && (rc = limit_collect(e, w)) == KV_OK && w->count > 0)
		rc = limit_append(e, w);
	return w->end && rc == KV_ENOTFOUND ? KV_OK : rc;
}

int
limit_step(struct engine *e, bool *more)
{
	struct limit_work w = { .count = 0 };
	int rc = e->limits_looked ? KV_OK : limit_look(e->tree);

	if (rc < 0)
		return rc == KV_ENOSPC ? KV_OK : rc;
	e->limits_looked = true;
	if ((rc = engine_refresh(e)) < 0)
		return rc;
	rc = limit_piece(e, &w);
	e->revealed = 0; /* we show nobody anything */
	engine_release(e);
	engine_kick(e);
	if (rc == KV_OK) {
		*more = true;
		return limit_move(e->tree, &w.at, w.end);
	}
	/* None, no room in the log, or a bucket that changed: next time. */
	return rc == KV_ENOTFOUND || rc == KV_EAGAIN || rc == KV_ENOSPC ||
		rc == KV_ESTALE
	    ? KV_OK
	    : rc;
}
