/* SPDX-License-Identifier: ISC */

/* Cursors.  In a turn they are the engine's scan.  Outside one they read ahead
 * a page at a time, each page in a turn of its own, so that a reader that is
 * slow (a terminal, a pager) keeps nobody from writing. */

#include <stdlib.h>

#include <utlist.h>

#include "engine/scan.h"
#include "lib/embed.h"

#define PAGE_BYTES (64u << 10)
#define PAGE_ENTRIES 512

/* An entry of a page; its bytes lie at offset in the page's buffer. */
struct line {
	struct kv_entry entry;
	size_t offset;
};

struct kv_cursor {
	struct kv *kv;
	uint64_t turn; /* 0: outside turns */
	struct scan *scan;
	struct kv_cursor *prev, *next;

	bool of_buckets;
	bool at_end;
	uint8_t bucket_len;
	char bucket[KV_BUCKET_MAX];
	struct buf prefix, from, to;

	struct buf last; /* key to go on behind, when not empty */
	struct buf bytes;
	struct line *lines;
	size_t count, at;
};

static int
open_scan(struct kv_cursor *c)
{
	struct engine *e = c->kv->engine;
	const struct bucket *b;
	int rc;

	if (c->of_buckets)
		return scan_open_buckets(e, &c->scan);
	rc = embed_bucket(e, kv_bytes(c->bucket, c->bucket_len), &b);
	return rc < 0 ? rc : scan_open(e, b, &c->scan);
}

static int
seek_start(struct kv_cursor *c)
{
	struct kv_slice from = buf_slice(&c->from);
	struct kv_slice prefix = buf_slice(&c->prefix);

	if (slice_compare(from, prefix) < 0)
		from = prefix;
	return from.len == 0 ? KV_OK : scan_seek(c->scan, from);
}

/* Is the key still in the range? */
static bool
is_within(const struct kv_cursor *c, struct kv_slice key)
{
	if (c->to.len > 0 && slice_compare(key, buf_slice(&c->to)) >= 0)
		return false;
	return key.len >= c->prefix.len &&
	    memcmp(key.data, c->prefix.data != NULL ? c->prefix.data : "",
		c->prefix.len) == 0;
}

static int
step(struct kv_cursor *c, struct kv_entry *out)
{
	struct record r;
	int rc;

	do {
		if ((rc = scan_next(c->scan, &r)) < 0)
			return rc;
	} while (c->of_buckets && bucket_is_hidden(r.key));
	if (!is_within(c, r.key))
		return KV_ENOTFOUND;
	embed_entry(&r, out);
	if (c->of_buckets)
		out->value.len = 0; /* its row is ours */
	return KV_OK;
}

/* ---- pages ---- */

static int
keep_line(struct kv_cursor *c, const struct kv_entry *entry)
{
	struct line *l = &c->lines[c->count];
	int rc;

	l->entry = *entry;
	l->offset = c->bytes.len;
	if ((rc = buf_append(&c->bytes, entry->key.data, entry->key.len)) < 0 ||
	    (rc = buf_append(&c->bytes, entry->value.data, entry->value.len)) <
		0)
		return rc;
	c->count++;
	return KV_OK;
}

static int
go_on(struct kv_cursor *c)
{
	if (c->last.len == 0)
		return seek_start(c);
	return scan_seek(c->scan, buf_slice(&c->last));
}

static int
fill_page(struct kv_cursor *c)
{
	struct kv_entry entry;
	int rc;

	if ((rc = open_scan(c)) < 0 || (rc = go_on(c)) < 0)
		return rc;
	while (c->count < PAGE_ENTRIES && c->bytes.len < PAGE_BYTES) {
		if ((rc = step(c, &entry)) == KV_ENOTFOUND) {
			c->at_end = true;
			return KV_OK;
		}
		if (rc < 0)
			return rc;
		if (c->last.len > 0 &&
		    slice_equal(entry.key, buf_slice(&c->last)))
			continue;
		if ((rc = keep_line(c, &entry)) < 0)
			return rc;
	}
	return KV_OK;
}

static int
read_page(struct kv_cursor *c)
{
	int rc;

	c->count = c->at = c->bytes.len = 0;
	if ((rc = engine_refresh(c->kv->engine)) < 0)
		return rc;
	/* A bucket that was dropped meanwhile has no more keys. */
	if ((rc = fill_page(c)) == KV_ENOTFOUND) {
		c->at_end = true;
		rc = KV_OK;
	}
	scan_close(c->scan);
	c->scan = NULL;
	embed_leave(c->kv);
	if (rc == KV_OK && c->count > 0) {
		const struct line *l = &c->lines[c->count - 1];

		c->last.len = 0;
		rc = buf_append(&c->last, c->bytes.data + l->offset,
		    l->entry.key.len);
	}
	return rc;
}

static int
next_of_page(struct kv_cursor *c, struct kv_entry *out)
{
	const struct line *l;
	int rc;

	if (c->kv->in_turn && c->at == c->count && !c->at_end)
		return KV_EBUSY;
	if (c->at == c->count && !c->at_end && (rc = read_page(c)) < 0)
		return rc;
	if (c->at == c->count)
		return KV_ENOTFOUND;
	l = &c->lines[c->at++];
	*out = l->entry;
	out->key.data = c->bytes.data + l->offset;
	out->value.data = out->key.data + out->key.len;
	return KV_OK;
}

/* ---- the interface ---- */

static int
copy_range(struct kv_cursor *c, const struct kv_range *range)
{
	int rc;

	if (range == NULL)
		return KV_OK;
	if ((rc = buf_append(&c->prefix, range->prefix.data,
		 range->prefix.len)) < 0 ||
	    (rc = buf_append(&c->from, range->from.data, range->from.len)) < 0)
		return rc;
	return buf_append(&c->to, range->to.data, range->to.len);
}

static int
start(struct kv_cursor *c)
{
	int rc;

	if (c->turn != 0) {
		rc = open_scan(c);
		return rc < 0 ? rc : seek_start(c);
	}
	if ((c->lines = calloc(PAGE_ENTRIES, sizeof(*c->lines))) == NULL)
		return KV_ENOMEM;
	if (c->of_buckets)
		return KV_OK;
	/* Say now that there is no such bucket. */
	if ((rc = engine_refresh(c->kv->engine)) < 0)
		return rc;
	rc = embed_bucket(c->kv->engine, kv_bytes(c->bucket, c->bucket_len),
	    &(const struct bucket *){ NULL });
	embed_leave(c->kv);
	return rc;
}

static int
cursor_new(struct kv *kv, struct kv_slice bucket, bool of_buckets,
    const struct kv_range *range, struct kv_cursor **out)
{
	struct kv_cursor *c;
	int rc;

	if (bucket.len > KV_BUCKET_MAX)
		return KV_ETOOBIG;
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return KV_ENOMEM;
	c->kv = kv;
	c->turn = kv->in_turn ? kv->turns : 0;
	c->of_buckets = of_buckets;
	c->bucket_len = (uint8_t)bucket.len;
	if (bucket.len > 0)
		memcpy(c->bucket, bucket.data, bucket.len);
	DL_APPEND(kv->cursors, c);
	if ((rc = copy_range(c, range)) < 0 || (rc = start(c)) < 0) {
		kv_cursor_close(c);
		return rc;
	}
	*out = c;
	return KV_OK;
}

int
kv_cursor_open(struct kv *kv, struct kv_slice bucket,
    const struct kv_range *range, struct kv_cursor **out)
{
	return cursor_new(kv, bucket, false, range, out);
}

int
kv_buckets(struct kv *kv, const struct kv_range *range, struct kv_cursor **out)
{
	return cursor_new(kv, kv_bytes(NULL, 0), true, range, out);
}

int
kv_cursor_next(struct kv_cursor *c, struct kv_entry *out)
{
	int rc;

	if (c->turn == 0)
		return next_of_page(c, out);
	if (c->scan == NULL)
		return KV_ECLOSED;
	if (c->at_end)
		return KV_ENOTFOUND;
	if ((rc = step(c, out)) == KV_ENOTFOUND)
		c->at_end = true;
	return rc;
}

void
kv_cursor_close(struct kv_cursor *c)
{
	if (c == NULL)
		return;
	scan_close(c->scan);
	DL_DELETE(c->kv->cursors, c);
	buf_fini(&c->prefix);
	buf_fini(&c->from);
	buf_fini(&c->to);
	buf_fini(&c->last);
	buf_fini(&c->bytes);
	free(c->lines);
	free(c);
}

void
cursor_end_turn(struct kv *kv)
{
	struct kv_cursor *c;

	DL_FOREACH(kv->cursors, c) {
		if (c->turn == 0)
			continue;
		scan_close(c->scan);
		c->scan = NULL;
	}
}

void
cursor_close_all(struct kv *kv)
{
	struct kv_cursor *c, *after;

	DL_FOREACH_SAFE(kv->cursors, c, after)
		kv_cursor_close(c);
}
