/* SPDX-License-Identifier: ISC */

/* What was lost to writes that did not know of it. */

#include "base/bytes.h"
#include "engine/conflict.h"
#include "engine/scan.h"
#include "lib/embed.h"

/* A copy of all there are, 4 MiB at most: who shows them may be slow, and
 * nothing of the store is to be held up meanwhile. */
static int
conflicts_copy(struct engine *e, struct buf *to)
{
	const struct bucket *b;
	struct record r;
	struct scan *s;
	int rc;

	if ((rc = conflict_bucket(e, &b)) < 0 || (rc = scan_open(e, b, &s)) < 0)
		return rc;
	while ((rc = scan_next(s, &r)) == KV_OK) {
		char head[8];

		bytes_put_be32(head, (uint32_t)r.key.len);
		bytes_put_be32(head + 4, (uint32_t)r.value.len);
		if ((rc = buf_append(to, head, sizeof(head))) < 0 ||
		    (rc = buf_append(to, r.key.data, r.key.len)) < 0 ||
		    (rc = buf_append(to, r.value.data, r.value.len)) < 0)
			break;
	}
	scan_close(s);
	return rc;
}

static void
conflicts_convert(const struct conflict *c, struct kv_conflict *out)
{
	*out = (struct kv_conflict){ .bucket = c->bucket,
		.key = c->key,
		.lost = c->value,
		.lost_bytes = c->value_len,
		.lost_here = c->was_ours,
		.was_deletion = c->was_deletion,
		.is_deletion = c->is_deletion,
		.lost_tick = c->lost.tick,
		.lost_incarnation = c->lost.inc,
		.won_tick = c->won.tick,
		.won_incarnation = c->won.inc,
		.lost_ms = stamp_ms(c->lost),
		.won_ms = stamp_ms(c->won),
		.noticed_ms = c->noticed_ms };
}

static int
conflicts_tell(struct kv_slice all, struct kv_slice bucket,
    void (*each)(void *user, const struct kv_conflict *c), void *user)
{
	struct kv_conflict out;
	struct conflict c;
	struct record r;
	int rc;

	while (all.len > 0) {
		r.key.len = bytes_get_be32(all.data);
		r.value.len = bytes_get_be32(all.data + 4);
		r.key.data = all.data + 8;
		r.value.data = r.key.data + r.key.len;
		if ((rc = conflict_get(&r, &c)) < 0)
			return rc;
		all.len -= 8 + r.key.len + r.value.len;
		all.data = r.value.data + r.value.len;
		if (bucket.len > 0 && !slice_equal(bucket, c.bucket))
			continue;
		conflicts_convert(&c, &out);
		each(user, &out);
	}
	return KV_OK;
}

int
kv_conflicts(struct kv *kv, struct kv_slice bucket,
    void (*each)(void *user, const struct kv_conflict *c), void *user)
{
	struct buf all;
	int rc;

	if ((rc = embed_enter(kv)) < 0)
		return rc;
	buf_init(&all);
	rc = conflicts_copy(kv->engine, &all);
	embed_leave(kv);
	if (rc == KV_ENOTFOUND)
		rc = conflicts_tell(buf_slice(&all), bucket, each, user);
	buf_fini(&all);
	return rc;
}

/* ---- clearing ---- */

struct conflicts_clearing {
	struct kv_slice bucket;
	size_t *count;
};

static int
conflicts_commit_clear(struct engine *e, const void *arg, uint64_t *end)
{
	const struct conflicts_clearing *c = arg;
	int rc = conflict_clear(e, c->bucket, c->count);

	if (rc < 0) {
		engine_rollback(e);
		return rc;
	}
	return engine_commit(e, end);
}

int
kv_conflicts_clear(struct kv *kv, struct kv_slice bucket, size_t *count)
{
	const struct conflicts_clearing c = { bucket, count };
	const struct write_what w = { conflicts_commit_clear, &c, false };

	return write_do(kv, &w);
}
