/* SPDX-License-Identifier: ISC */
/* Does everything agree?  First the log, in one view: each record's check, its
 * links, its entries in the index.  Then the sums: what each bucket's last
 * record in the log says against a recount over log and tree.  The log's part
 * of that recount is copied and the segments are let go before the tree is
 * walked, so that writers never wait for it.  Last the tree by itself. */

#include "engine/verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine/maintain.h"
#include "engine/merge.h"

/* While a checkpoint is half applied the tree cannot be checked. */
#define VERIFY_TRIES 1000
#define VERIFY_PAUSE_NS 10000000

/* One key of the log, as it counts; the key's bytes follow. */
struct verify_key {
	struct count count;
	size_t len;
};

void
verify_found(struct verify *v, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	v->found++;
	v->report(v->user, line);
}

int
verify_bucket(struct verify *v, uint64_t bid, struct verify_bucket **out)
{
	struct verify_bucket *b;

	HASH_FIND(hh, v->buckets, &bid, sizeof(bid), b);
	if (b == NULL) {
		if ((b = calloc(1, sizeof(*b))) == NULL)
			return KV_ENOMEM;
		b->bid = bid;
		HASH_ADD(hh, v->buckets, bid, sizeof(b->bid), b);
	}
	*out = b;
	return KV_OK;
}

static void
verify_free_buckets(struct verify *v)
{
	struct verify_bucket *b, *next;

	HASH_ITER(hh, v->buckets, b, next) {
		HASH_DEL(v->buckets, b);
		buf_fini(&b->keys);
		free(b);
	}
}

/* Drop stamps of buckets whose row is not in the log. */
static int
verify_read_rows(struct verify *v)
{
	struct tree_scan *scan = NULL;
	struct verify_bucket *b;
	struct bucket row;
	struct record r;
	int rc;

	rc = tree_scan_open(v->e->tree, TREE_BY_BUCKET, 0, &scan);
	while (rc == KV_OK && (rc = tree_scan_next(scan, &r)) == KV_OK) {
		if ((rc = schema_get_bucket(r.value, &row)) < 0)
			break;
		HASH_FIND(hh, v->buckets, &row.bid, sizeof(row.bid), b);
		if (b != NULL && !b->has_row)
			b->dropped = row.dropped;
	}
	tree_scan_close(scan);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
verify_copy_key(struct verify *v, struct verify_bucket *b,
    const struct wal_record *w)
{
	struct engine *e = v->e;
	struct bucket hides = { .bid = b->bid, .dropped = b->dropped };
	struct kv_slice key = wal_record_key(w);
	struct verify_key copy = { .len = key.len };
	struct record r;
	uint64_t lsn;
	int rc;

	lsn = view_find(e,
	    index_hash_key(e->control->hash_secret, WAL_KEY, b->bid, key),
	    WAL_KEY, b->bid, key, e->view_end);
	if (lsn == 0)
		return KV_OK; /* newer than the view */
	view_record(e, lsn, &r);
	stage_count(&hides, &r, &copy.count);
	rc = buf_append(&b->keys, &copy, sizeof(copy));
	return rc < 0 ? rc : buf_append(&b->keys, key.data, key.len);
}

/* The newest versions in the log, in key order. */
static int
verify_copy_keys(struct verify *v, struct verify_bucket *b)
{
	const struct wal_record *w;
	struct merge *m;
	int rc;

	if ((rc = merge_open(v->e, WAL_KEY, b->bid, &m)) < 0)
		return rc;
	merge_seek(m, (struct kv_slice){ "", 0 });
	while (rc == KV_OK && (w = merge_peek(m)) != NULL) {
		rc = verify_copy_key(v, b, w);
		merge_step(m);
	}
	merge_close(m);
	return rc;
}

static void
verify_add(struct totals *t, const struct count *c)
{
	t->keys += c->live;
	t->bytes += c->bytes;
	t->digest[0] += c->digest[0];
	t->digest[1] += c->digest[1];
}

/* Step over one copied key; false at the end. */
static bool
verify_take_key(const struct verify_bucket *b, size_t *at,
    struct verify_key *key, struct kv_slice *bytes)
{
	if (*at == b->keys.len)
		return false;
	memcpy(key, b->keys.data + *at, sizeof(*key));
	*bytes =
	    (struct kv_slice){ b->keys.data + *at + sizeof(*key), key->len };
	*at += sizeof(*key) + key->len;
	return true;
}

/* Add what the tree has and the log has not. */
static int
verify_add_tree(struct verify *v, const struct verify_bucket *b,
    struct totals *sum)
{
	struct bucket hides = { .bid = b->bid, .dropped = b->dropped };
	struct tree_scan *scan = NULL;
	struct kv_slice ahead;
	struct verify_key key;
	struct record r;
	struct count count;
	size_t at = 0;
	bool has = verify_take_key(b, &at, &key, &ahead);
	int rc;

	rc = tree_scan_open(v->e->tree, TREE_BY_KEY, b->bid, &scan);
	while (rc == KV_OK && (rc = tree_scan_next(scan, &r)) == KV_OK) {
		while (has && slice_compare(ahead, r.key) < 0)
			has = verify_take_key(b, &at, &key, &ahead);
		if (has && slice_equal(ahead, r.key))
			continue;
		stage_count(&hides, &r, &count);
		verify_add(sum, &count);
	}
	tree_scan_close(scan);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

static int
verify_recount(struct verify *v, const struct verify_bucket *b)
{
	const struct totals *said = &b->totals;
	struct totals sum = { 0 };
	struct verify_key key;
	struct kv_slice bytes;
	size_t at = 0;
	int rc;

	while (verify_take_key(b, &at, &key, &bytes))
		verify_add(&sum, &key.count);
	if ((rc = verify_add_tree(v, b, &sum)) < 0)
		return rc;
	if (sum.keys != said->keys || sum.bytes != said->bytes)
		verify_found(v,
		    "bucket %016" PRIx64 ": the log says %" PRIu64
		    " keys, %" PRIu64 " bytes; there are %" PRIu64
		    " keys, %" PRIu64 " bytes",
		    b->bid, said->keys, said->bytes, sum.keys, sum.bytes);
	if (sum.digest[0] != said->digest[0] ||
	    sum.digest[1] != said->digest[1])
		verify_found(v,
		    "bucket %016" PRIx64 ": digest %016" PRIx64 "%016" PRIx64
		    " in the log, %016" PRIx64 "%016" PRIx64 " recounted",
		    b->bid, said->digest[0], said->digest[1], sum.digest[0],
		    sum.digest[1]);
	return KV_OK;
}

static int
verify_sums(struct verify *v)
{
	struct verify_bucket *b, *next;
	int rc;

	if ((rc = verify_read_rows(v)) < 0)
		return rc;
	HASH_ITER(hh, v->buckets, b, next) {
		if ((rc = verify_copy_keys(v, b)) < 0)
			return rc;
	}
	/* From here on only the tree's snapshot is needed. */
	atomic_store_explicit(&v->e->process->pin, CONTROL_NO_PIN,
	    memory_order_release);
	HASH_ITER(hh, v->buckets, b, next) {
		if ((rc = verify_recount(v, b)) < 0)
			return rc;
	}
	return KV_OK;
}

static void
verify_digest(const struct record *r, uint64_t sum[2])
{
	uint64_t digest[2];

	bucket_digest(r->bid, r->key, r->stamp, digest);
	sum[0] += digest[0];
	sum[1] += digest[1];
}

static int
verify_tree(struct verify *v, void (*progress)(void *, uint64_t, uint64_t))
{
	struct tree_check check = { verify_digest, v->report, progress,
		v->user };
	const struct timespec pause = { 0, VERIFY_PAUSE_NS };
	int rc = KV_EBUSY, tries;

	for (tries = 0; rc == KV_EBUSY && tries < VERIFY_TRIES; tries++) {
		/* With no checkpointer to finish it, it is for us to do. */
		if (tries > 0 &&
		    (v->e->options.role != ROLE_LIBRARY ||
			maintain_settle(v->e) < 0))
			nanosleep(&pause, NULL);
		if ((rc = tree_renew(v->e->tree)) < 0)
			return rc;
		rc = tree_check(v->e->tree, &check);
		tree_release(v->e->tree);
	}
	if (rc > 0)
		v->found += rc;
	return rc < 0 ? rc : KV_OK;
}

int
engine_verify(struct engine *e, void (*report)(void *, const char *),
    void (*progress)(void *, uint64_t, uint64_t), void *user)
{
	struct verify v = { .e = e, .report = report, .user = user };
	int rc;

	if ((rc = engine_refresh(e)) < 0)
		return rc;
	rc = verify_log(&v);
	/* Sums over bytes that are wrong would tell nothing more. */
	if (rc == KV_OK && v.found == 0)
		rc = verify_sums(&v);
	engine_release(e);
	verify_free_buckets(&v);
	if (rc == KV_OK)
		rc = verify_tree(&v, progress);
	return rc < 0 ? rc : v.found;
}
