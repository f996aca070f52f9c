/* SPDX-License-Identifier: ISC */
/* What time does to records, while the clock can be trusted: a passed deadline
 * becomes a tombstone (a record like any other, so subscribers and sums follow),
 * an old tombstone and what a dropped bucket left are removed from the tree. */

#include <string.h>

#include "base/clock.h"
#include "engine/clockwatch.h"
#include "engine/internal.h"
#include "engine/maintain.h"
#include "engine/scan.h"
#include "engine/soon.h"
#include "tree/apply.h"

#define SWEEP_BATCH 64	     /* under one hold of the append mutex */
#define SWEEP_PURGE 2000     /* rows in one transaction */
#define SWEEP_DOUBT_MS 10000 /* look again whether the clock can be trusted */
#define SWEEP_ROOM_MS 60000  /* for what waited until there was room */

struct due {
	uint64_t bid;
	uint64_t seq;
	uint16_t len;
	char key[KV_KEY_MAX];
};

/* The tree's entry may be of a version that the log has replaced, by our own
 * tombstone for one, and stay until the checkpoint. */
static bool
sweep_is_current(struct engine *e, const struct record *r)
{
	struct record newest;

	return engine_get_raw(e, r->bid, r->key, &newest) == KV_OK &&
	    newest.type == RECORD_PUT && newest.seq == r->seq;
}

/* Up to n records whose deadline has passed, from where the last sweep since
 * the last checkpoint stopped. */
static int
sweep_collect(struct engine *e, struct due *due, size_t n, size_t *count,
    uint64_t *next_ms)
{
	struct tree_scan *scan = NULL;
	struct record r;
	int rc;

	*count = 0;
	*next_ms = 0;
	rc = tree_scan_open(e->tree, TREE_BY_DEADLINE, 0, &scan);
	if (rc == KV_OK)
		rc = tree_scan_seek(scan, (struct kv_slice){ NULL, 0 },
		    e->swept_ms);
	while (rc == KV_OK && *count < n) {
		if ((rc = tree_scan_next(scan, &r)) < 0)
			break;
		if (r.deadline > e->now_ms) {
			*next_ms = r.deadline;
			break;
		}
		e->swept_ms = r.deadline;
		if (!sweep_is_current(e, &r))
			continue;
		due[*count] = (struct due){ .bid = r.bid,
			.seq = r.seq,
			.len = (uint16_t)r.key.len };
		memcpy(due[*count].key, r.key.data, r.key.len);
		(*count)++;
	}
	tree_scan_close(scan);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* Under the mutex: is this version still the newest? */
static int
sweep_expire(struct engine *e, const struct due *d)
{
	struct kv_slice key = { d->key, d->len };
	struct kv_slice name;
	struct bucket b;
	struct record r;
	int rc;

	rc = engine_get_raw(e, d->bid, key, &r);
	if (rc < 0 || r.type != RECORD_PUT || r.seq != d->seq)
		return rc == KV_ENOTFOUND ? KV_OK : rc;
	rc = engine_bucket_by_id(e, d->bid, &name, &b);
	if (rc == KV_ENOTFOUND)
		b = (struct bucket){ .bid = d->bid };
	else if (rc < 0)
		return rc;
	return engine_expire(e, &b, &r);
}

static int
sweep_batch(struct engine *e, const struct due *due, size_t n)
{
	uint64_t end = 0;
	size_t i;
	int rc = KV_OK;

	engine_lock(e);
	for (i = 0; rc == KV_OK && i < n; i++)
		rc = sweep_expire(e, &due[i]);
	if (rc == KV_OK)
		rc = engine_commit(e, &end);
	else
		engine_rollback(e);
	engine_unlock(e);
	if (rc == KV_OK)
		atomic_fetch_add(&e->control->stats.expired, n);
	return rc;
}

int
engine_sweep_bucket(struct engine *e, const struct bucket *b)
{
	struct due due[SWEEP_BATCH];
	struct scan *s = NULL;
	struct record r;
	size_t n = 0;
	int rc;

	if ((rc = scan_open(e, b, &s)) < 0)
		return rc;
	scan_only_expired(s);
	while (n < SWEEP_BATCH && (rc = scan_next(s, &r)) == KV_OK) {
		due[n] = (struct due){ .bid = b->bid,
			.seq = r.seq,
			.len = (uint16_t)r.key.len };
		memcpy(due[n++].key, r.key.data, r.key.len);
	}
	scan_close(s);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	return n == 0 ? KV_OK : sweep_batch(e, due, n);
}

int
engine_own_deadlines(struct engine *e)
{
	return soon_new(&e->soon);
}

uint64_t
engine_next_deadline(const struct engine *e)
{
	return e->soon == NULL ? 0 : soon_next(e->soon);
}

int
engine_expire_own(struct engine *e)
{
	bool doubted = clockwatch_doubts(e);
	struct due due[SWEEP_BATCH];
	struct record r;
	size_t n = 0;
	int rc;

	while (
	    n < SWEEP_BATCH && soon_take(e->soon, e->now_ms, &r, due[n].key)) {
		due[n].bid = r.bid;
		due[n].seq = r.seq;
		due[n].len = (uint16_t)r.key.len;
		n += !doubted && sweep_is_current(e, &r);
	}
	e->revealed = 0; /* we show nobody anything */
	if (n == 0)
		return KV_OK;
	rc = sweep_batch(e, due, n);
	return rc == KV_EAGAIN || rc == KV_ENOSPC || rc == KV_ESTALE ? KV_OK
								     : rc;
}

static int
sweep_deadlines(struct engine *e, bool *more, uint64_t *next_ms)
{
	struct due due[SWEEP_BATCH];
	size_t n = 0;
	int rc;

	if ((rc = engine_refresh(e)) < 0)
		return rc;
	rc = sweep_collect(e, due, SWEEP_BATCH, &n, next_ms);
	if (rc == KV_OK && n > 0)
		rc = sweep_batch(e, due, n);
	*more = rc == KV_OK && n == SWEEP_BATCH;
	e->revealed = 0; /* we show nobody anything */
	engine_release(e);
	engine_kick(e);
	/* No room in the log, or a bucket that changed: next time. */
	return rc == KV_EAGAIN || rc == KV_ENOSPC || rc == KV_ESTALE ? KV_OK
								     : rc;
}

/* Tombstones that are not needed any more, while the clock can be trusted. */
static int
sweep_tombs(struct engine *e, bool *more, uint64_t *next_ms)
{
	uint64_t retention = e->options.retention_ms, next = 0;
	size_t purged = 0, shorts = 0;
	int rc = KV_OK;

	if (e->now_ms > BUCKET_DRIFT_MS) /* not the first minutes of 1970 */
		rc = apply_purge_short(e->tree, e->now_ms - BUCKET_DRIFT_MS,
		    SWEEP_PURGE, &next, &shorts);
	if (rc == KV_OK && retention > 0 && e->now_ms > retention)
		rc = apply_purge_tombs(e->tree, e->now_ms - retention,
		    SWEEP_PURGE, &e->purged_to, &purged);
	atomic_fetch_add(&e->control->stats.purged, purged + shorts);
	if (purged + shorts > 0 || e->purged_to.seq != 0)
		*more = true;
	/* At its millisecond it is not over yet. */
	next += BUCKET_DRIFT_MS + 1;
	if (next > BUCKET_DRIFT_MS + 1 && (*next_ms == 0 || next < *next_ms))
		*next_ms = next;
	return rc;
}

/* While nothing can be written, what peers have sent waits outside the log, and
 * nobody knows here how old it is: the tombstones it may meet are kept until it
 * had its turn. */
static bool
sweep_has_room(struct engine *e, uint64_t *next_ms)
{
	uint64_t now = clock_boot_ms();

	if (engine_trouble(e) != 0)
		e->troubled_ms = now;
	if (e->troubled_ms == 0 || now - e->troubled_ms >= SWEEP_ROOM_MS)
		return true;
	*next_ms = clock_wall_ms() + SWEEP_DOUBT_MS;
	return false;
}

int
sweep_step(struct engine *e, bool *more, uint64_t *next_ms)
{
	size_t dropped = 0;
	bool doubted;
	int rc;

	if (e->process == NULL)
		return KV_OK; /* recovery has no view */
	doubted = clockwatch_doubts(e);
	if (doubted)
		*next_ms = clock_wall_ms() + SWEEP_DOUBT_MS;
	else if ((rc = sweep_deadlines(e, more, next_ms)) < 0 ||
	    (rc = limit_step(e, more)) < 0)
		return rc;
	rc = apply_purge_dropped(e->tree, SWEEP_PURGE, &dropped);
	atomic_fetch_add(&e->control->stats.purged, dropped);
	*more |= dropped > 0;
	if (rc == KV_OK && !doubted && sweep_has_room(e, next_ms))
		rc = sweep_tombs(e, more, next_ms);
	return rc == KV_ENOSPC ? KV_OK : rc;
}
