/* SPDX-License-Identifier: ISC */
/* Do two nodes with the same vector have the same records?  Told when
 * our vector has stood still for a while and the peer's is the same; two
 * mismatches under one vector, some seconds apart, make a repair. */

#include "sync/core.h"

#include <stdlib.h>

#include "base/bytes.h"

#define STILL_MS 1000
#define REPAIR_MAX_MS (3600 * 1000)
#define MORE_MAX (65536 * FRAME_DIGEST_ROW) /* than we have */
#define FRAME_DIGESTS ((FRAME_MAX - 32) / FRAME_DIGEST_ROW * FRAME_DIGEST_ROW)

/* ---- vectors ---- */

/* Of our run we have all up to the head, whatever its row says. */
static struct ticks_sum
own_sum(const struct replica *r)
{
	struct ticks_sum sum = r->vector.sum;
	uint64_t inc = r->config.inc;

	ticks_sum_change(&sum, inc, vector_vv(&r->vector, inc), r->head);
	return sum;
}

static bool
is_even(const struct replica *r, const struct replica_link *l)
{
	const struct ticks_sum own = own_sum(r);

	return ticks_sum_equal(&own, &l->vv.sum);
}

/* ---- telling ---- */

static int
add_digest(void *user, uint64_t bid, const struct totals *t)
{
	struct item_digest d = { bid, { t->digest[0], t->digest[1] }, t->keys };

	return item_put_digest(user, &d);
}

static int
sum_own(struct replica *r)
{
	r->digest.len = 0;
	return r->store.ops->digests(r->store.self, add_digest, &r->digest);
}

static int
send_digest(struct replica *r, struct replica_link *l)
{
	struct frame f = { .type = FRAME_DIGEST };
	struct ticks_sum sum;
	struct kv_slice left;
	int rc;

	if ((rc = sum_own(r)) < 0)
		return rc;
	sum = own_sum(r);
	memcpy(f.u.digest.vv_hash, sum.word, sizeof(sum.word));
	left = buf_slice(&r->digest);
	do {
		f.u.digest.rows = left;
		if (left.len > FRAME_DIGESTS)
			f.u.digest.rows.len = FRAME_DIGESTS;
		left.data += f.u.digest.rows.len;
		left.len -= f.u.digest.rows.len;
		f.u.digest.flags = left.len > 0 ? FRAME_MORE : 0;
		rc = outbox_put(&l->outbox, &f);
	} while (rc == KV_OK && left.len > 0);
	l->digest_head = r->head;
	l->digest_version = r->vector.version;
	l->digest_next_ms = 0;
	return rc;
}

static bool
is_due(const struct replica *r, const struct replica_link *l, uint64_t *next_ms)
{
	bool is_new =
	    l->digest_head != r->head || l->digest_version != r->vector.version;

	if (!is_new && l->digest_next_ms == 0)
		return false;
	if (!is_new && r->now.mono_ms < l->digest_next_ms) {
		core_sooner(next_ms, l->digest_next_ms);
		return false;
	}
	return is_even(r, l);
}

int
digest_timers(struct replica *r, uint64_t *next_ms)
{
	struct replica_link *l;
	int rc = KV_OK;

	if (r->config.tuning.has_no_digests || r->resync.state != RESYNC_NONE)
		return KV_OK;
	if (r->digest_head != r->head ||
	    r->digest_version != r->vector.version) {
		r->digest_head = r->head;
		r->digest_version = r->vector.version;
		r->digest_ms = r->now.mono_ms;
	}
	if (r->now.mono_ms < r->digest_ms + STILL_MS) {
		core_sooner(next_ms, r->digest_ms + STILL_MS);
		return KV_OK;
	}
	for (l = r->links; l != NULL && rc == KV_OK; l = l->next)
		if (l->state == LINK_UP && is_due(r, l, next_ms))
			rc = send_digest(r, l);
	return rc;
}

/* ---- comparing ---- */

static int
compare_bids(const void *a, const void *b)
{
	uint64_t x = bytes_get_be64(a), y = bytes_get_be64(b);

	return (x > y) - (x < y);
}

static void
sort_rows(struct buf *rows)
{
	if (rows->len > 0)
		qsort(rows->data, rows->len / FRAME_DIGEST_ROW,
		    FRAME_DIGEST_ROW, compare_bids);
}

static bool
same_digest(const struct item_digest *a, const struct item_digest *b)
{
	return a->sum[0] == b->sum[0] && a->sum[1] == b->sum[1];
}

/* A bucket that only one of them tells of has a sum of nothing for the
 * other. */
static bool
same_sums(struct kv_slice ours, struct kv_slice theirs)
{
	static const struct item_digest none = { 0, { 0, 0 }, 0 };
	struct item_digest a, b;
	bool has_a = item_take_digest(&ours, &a);
	bool has_b = item_take_digest(&theirs, &b);
	bool takes_a, takes_b;

	while (has_a || has_b) {
		takes_a = has_a && (!has_b || a.bid <= b.bid);
		takes_b = has_b && (!has_a || b.bid <= a.bid);
		if (!same_digest(takes_a ? &a : &none, takes_b ? &b : &none))
			return false;
		if (takes_a)
			has_a = item_take_digest(&ours, &a);
		if (takes_b)
			has_b = item_take_digest(&theirs, &b);
	}
	return true;
}

/* The first mismatch under this vector, or one too many? */
static int
mismatch(struct replica *r, struct replica_link *l, const uint64_t hash[2])
{
	uint64_t wait = r->config.tuning.digest_ms;
	bool is_again = l->has_mismatch && l->vv_hash[0] == hash[0] &&
	    l->vv_hash[1] == hash[1];

	if (!is_again) {
		l->has_mismatch = true;
		l->vv_hash[0] = hash[0];
		l->vv_hash[1] = hash[1];
		l->mismatch_ms = r->now.mono_ms;
		l->digest_next_ms = r->now.mono_ms + wait;
		return KV_OK;
	}
	if (r->now.mono_ms < l->mismatch_ms + wait)
		return KV_OK;
	l->has_mismatch = false;
	if (l->repair_wait_ms < wait)
		l->repair_wait_ms = wait;
	else if (l->repair_wait_ms < REPAIR_MAX_MS)
		l->repair_wait_ms *= 2;
	l->digest_next_ms = r->now.mono_ms + l->repair_wait_ms;
	core_event(r, REPLICA_DIVERGED, l);
	return leaves_repair(r, l);
}

static int
compare(struct replica *r, struct replica_link *l, const uint64_t hash[2])
{
	const struct ticks_sum own = own_sum(r);
	int rc;

	if (own.word[0] != hash[0] || own.word[1] != hash[1] ||
	    r->resync.state != RESYNC_NONE || r->config.tuning.has_no_digests)
		return KV_OK;
	if ((rc = sum_own(r)) < 0)
		return rc;
	sort_rows(&r->digest);
	sort_rows(&l->digest);
	if (l->is_digest_long ||
	    !same_sums(buf_slice(&r->digest), buf_slice(&l->digest)))
		return mismatch(r, l, hash);
	l->has_mismatch = false;
	l->repair_wait_ms = 0;
	l->digest_next_ms = 0;
	return KV_OK;
}

/* How much of a peer's is kept.  Who has so many more buckets than we, and the
 * same vector, differs: no need to know in what. */
static int
digest_room(struct replica *r, size_t *room)
{
	int rc = KV_OK;

	*room = MORE_MAX;
	if (r->digest.len == 0)
		rc = sum_own(r);
	*room += r->digest.len;
	return rc;
}

int
digest_received(struct replica *r, struct replica_link *l,
    const struct frame *f)
{
	const struct frame_digest *d = &f->u.digest;
	size_t room;
	int rc;

	if ((rc = digest_room(r, &room)) < 0)
		return rc;
	l->is_digest_long |= l->digest.len + d->rows.len > room;
	if (!l->is_digest_long)
		rc = buf_append(&l->digest, d->rows.data, d->rows.len);
	if (rc < 0 || d->flags & FRAME_MORE)
		return rc;
	rc = compare(r, l, d->vv_hash);
	l->is_digest_long = false;
	l->digest.len = 0;
	buf_shrink(&l->digest, 4096);
	return rc;
}
