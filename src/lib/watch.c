/* SPDX-License-Identifier: ISC */

/* Watching a bucket: the engine's feed, one bucket of it. */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <utlist.h>

#include "engine/feed.h"
#include "lib/embed.h"
#include "tree/schema.h"

struct kv_watch {
	struct kv *kv;
	uint64_t bid;
	uint8_t name_len;
	char name[KV_BUCKET_MAX];
	struct feed feed;
	struct buf copy;
	struct kv_watch *prev, *next;
};

static int
stand(struct kv_watch *w, struct kv_slice bucket, uint64_t from)
{
	struct engine *e = w->kv->engine;
	const struct bucket *b;
	int rc;

	if ((rc = embed_enter(w->kv)) < 0)
		return rc;
	if ((rc = embed_bucket(e, bucket, &b)) < 0)
		goto out;
	w->bid = b->bid;
	w->name_len = (uint8_t)bucket.len;
	memcpy(w->name, bucket.data, bucket.len);
	if (from == KV_FROM_NOW)
		feed_tail(e, &w->feed);
	else if ((rc = feed_seek_in(e, &w->feed, from, b)) == KV_ENOTFOUND)
		rc = KV_ESTALE;
out:
	embed_leave(w->kv);
	return rc;
}

int
kv_watch_open(struct kv *kv, struct kv_slice bucket, uint64_t from,
    struct kv_watch **out)
{
	struct kv_watch *w;
	int rc;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return KV_ENOMEM;
	w->kv = kv;
	DL_APPEND(kv->watches, w);
	if ((rc = stand(w, bucket, from)) < 0) {
		kv_watch_close(w);
		return rc;
	}
	*out = w;
	return KV_OK;
}

void
kv_watch_close(struct kv_watch *w)
{
	if (w == NULL)
		return;
	DL_DELETE(w->kv->watches, w);
	buf_fini(&w->copy);
	free(w);
}

void
watch_close_all(struct kv *kv)
{
	struct kv_watch *w, *after;

	DL_FOREACH_SAFE(kv->watches, w, after)
		kv_watch_close(w);
}

/* A bucket's row says that it lives or that it was dropped. */
static int
read_row(const struct record *r, struct kv_change *out)
{
	struct bucket b;
	int rc;

	if ((rc = schema_get_bucket(r->value, &b)) < 0)
		return rc;
	out->type = bucket_is_live(&b) ? KV_CHANGE_CREATE : KV_CHANGE_DROP;
	out->key.len = out->value.len = 0;
	return KV_OK;
}

static int
read_change(const struct record *r, struct kv_change *out)
{
	*out = (struct kv_change){ .type = KV_CHANGE_PUT,
		.key = r->key,
		.value = r->value,
		.seq = r->seq,
		.written_ms = stamp_ms(r->stamp),
		.deadline_ms = r->deadline };
	if (r->type == RECORD_BUCKET)
		return read_row(r, out);
	if (r->type == RECORD_TOMB) {
		out->type = (r->flags & RECORD_EXPIRED) != 0 ? KV_CHANGE_EXPIRE
							     : KV_CHANGE_DELETE;
		if (r->flags & RECORD_SHORT)
			out->deadline_ms = 0; /* not of what was there */
	}
	return KV_OK;
}

/* Is it a row of what the name means?  A bucket of this host alone that comes,
 * or goes, changes that. */
static bool
concerns_row(struct kv_watch *w, const struct record *r)
{
	struct kv_slice name = scope_bare(r->key);
	struct bucket b;

	if (!slice_equal(name, kv_bytes(w->name, w->name_len)))
		return false;
	if (scope_of_id(r->bid) == SCOPE_GLOBAL)
		return r->bid == w->bid;
	if (schema_get_bucket(r->value, &b) < 0)
		return false;
	w->bid = bucket_is_live(&b) ? b.bid : engine_bucket_id(name);
	return true;
}

static bool
concerns(struct kv_watch *w, const struct record *r)
{
	if (r->type == RECORD_BUCKET)
		return concerns_row(w, r);
	/* The drop itself comes next. */
	if (r->type == RECORD_TOMB && r->flags & RECORD_DROP)
		return false;
	return r->bid == w->bid && r->type != RECORD_POSITION;
}

static int
next_in_view(struct kv_watch *w, struct kv_change *out)
{
	struct record r;
	struct kv_entry copy;
	int rc;

	do {
		rc = feed_next(w->kv->engine, &w->feed, &r);
		if (rc == KV_ENOTFOUND)
			return KV_ESTALE;
		if (rc < 0)
			return rc;
	} while (!concerns(w, &r));
	if ((rc = read_change(&r, out)) < 0 || w->kv->in_turn)
		return rc;
	copy.key = out->key;
	copy.value = out->value;
	if ((rc = embed_keep(&w->copy, &copy)) < 0)
		return rc;
	out->key = copy.key;
	out->value = copy.value;
	return KV_OK;
}

int
kv_watch_next(struct kv_watch *w, struct kv_change *out)
{
	int rc;

	do {
		if ((rc = embed_enter(w->kv)) < 0)
			return rc;
		rc = next_in_view(w, out);
		embed_leave(w->kv);
		if (rc != KV_EAGAIN)
			return rc;
		engine_wake_drain(w->kv->engine);
	} while (!w->kv->in_turn && feed_want(w->kv->engine, &w->feed));
	return KV_EAGAIN;
}

int
kv_watch_wait(struct kv_watch *w, int timeout_ms)
{
	struct pollfd p = { .fd = kv_watch_fd(w), .events = POLLIN };
	int n;

	if (feed_want(w->kv->engine, &w->feed))
		return KV_OK;
	if ((n = poll(&p, 1, timeout_ms)) > 0)
		return KV_OK;
	if (n == 0)
		return KV_ETIMEOUT;
	return errno == EINTR ? KV_EAGAIN : KV_ESYSTEM;
}

int
kv_watch_fd(const struct kv_watch *w)
{
	return engine_wake_fd(w->kv->engine);
}
