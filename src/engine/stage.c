/* SPDX-License-Identifier: ISC */
/* The stage: records of the batch being made, in private memory, with all that
 * can be found out about them before the append mutex is taken. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/internal.h"

/* Up to so many entries a walk beats a table. */
#define STAGE_LINEAR 8

#define STAGE_KEEP (4u << 20) /* give back what a larger batch took */

void
stage_fini(struct stage *s)
{
	buf_fini(&s->bytes);
	free(s->items);
	free(s->buckets);
	free(s->item_table.at);
	free(s->bucket_table.at);
	*s = (struct stage){ 0 };
}

static void
table_clear(struct stage_table *t)
{
	free(t->at);
	*t = (struct stage_table){ NULL, 0 };
}

void
stage_clear(struct stage *s)
{
	if (s->bytes.len > STAGE_KEEP)
		buf_fini(&s->bytes);
	s->bytes.len = 0;
	s->summed = 0;
	s->clock = 0;
	s->batch++;
	s->count = s->cause_from = 0;
	s->rows = s->timed = s->message_to = 0;
	s->bucket_count = 0;
	if (s->item_table.size > 0)
		table_clear(&s->item_table);
	if (s->bucket_table.size > 0)
		table_clear(&s->bucket_table);
}

static void
table_put(struct stage_table *t, uint64_t hash, size_t index)
{
	size_t at = hash & (t->size - 1);

	while (t->at[at] != 0)
		at = (at + 1) & (t->size - 1);
	t->at[at] = (uint32_t)index + 1;
}

/* Make room for entry number count; true when the table was made anew and all
 * entries must be put again. */
static int
table_fit(struct stage_table *t, size_t count, bool *anew)
{
	size_t size = 64;

	*anew = false;
	if (count <= STAGE_LINEAR || count * 2 <= t->size)
		return KV_OK;
	while (size < count * 4)
		size *= 2;
	table_clear(t);
	if ((t->at = calloc(size, sizeof(t->at[0]))) == NULL)
		return KV_ENOMEM;
	t->size = size;
	*anew = true;
	return KV_OK;
}

static bool
stage_is_key(const struct stage *s, size_t item, uint64_t hash,
    enum wal_class class, uint64_t bid, struct kv_slice key)
{
	const struct wal_record *w = stage_bytes(s, item);

	return s->items[item].hash == hash && w->bid == bid &&
	    wal_class(w->type) == class && slice_equal(wal_record_key(w), key);
}

int32_t
stage_find(const struct engine *e, uint64_t hash, enum wal_class class,
    uint64_t bid, struct kv_slice key)
{
	const struct stage *s = &e->stage;
	int32_t found = -1;
	size_t i;

	if (s->item_table.size == 0) {
		for (i = s->count; i > 0; i--)
			if (stage_is_key(s, i - 1, hash, class, bid, key))
				return (int32_t)(i - 1);
		return -1;
	}
	for (i = hash & (s->item_table.size - 1); s->item_table.at[i] != 0;
	     i = (i + 1) & (s->item_table.size - 1)) {
		size_t item = s->item_table.at[i] - 1;

		if ((int32_t)item > found &&
		    stage_is_key(s, item, hash, class, bid, key))
			found = (int32_t)item;
	}
	return found;
}

void
stage_view(const struct engine *e, int32_t item, struct record *out)
{
	const struct wal_record *w = stage_bytes(&e->stage, (size_t)item);

	wal_record_view(w, 0, 0, out);
	out->end = 0; /* the batch's own position covers it */
	if (!(w->flags & RECORD_FOREIGN))
		out->stamp.tick = STAGE_TICK + (uint64_t)item;
}

void
stage_count(const struct bucket *b, const struct record *r, struct count *out)
{
	*out = (struct count){ .live = false };
	if (r->type != RECORD_PUT || !bucket_shows(b, r->stamp))
		return;
	out->live = true;
	out->deadline = r->deadline;
	out->bytes = r->key.len + r->value.len;
	if (r->deadline == 0)
		bucket_digest(r->bid, r->key, r->stamp, out->digest);
}

static int
stage_add_bucket(struct engine *e, const struct bucket *of, uint64_t hash,
    uint32_t *out)
{
	struct stage *s = &e->stage;
	struct stage_bucket *b;
	bool anew;
	size_t i;
	int rc;

	if (s->bucket_count == s->bucket_cap) {
		size_t cap = s->bucket_cap == 0 ? 8 : s->bucket_cap * 2;

		b = realloc(s->buckets, cap * sizeof(*b));
		if (b == NULL)
			return KV_ENOMEM;
		s->buckets = b;
		s->bucket_cap = cap;
	}
	b = &s->buckets[s->bucket_count];
	*b = (struct stage_bucket){ .bid = of->bid,
		.hash = hash,
		.options = of->options,
		.drop = -1,
		.ahead_drop = -1 };
	if (of->dropped.tick < STAGE_TICK)
		b->dropped = of->dropped;
	/* The tree's sums matter only while no segment has newer ones. */
	if (e->log_empty ||
	    view_find_chain(e, hash, of->bid, e->view_end) == 0) {
		rc = tree_get_totals(e->tree, of->bid, &b->tree);
		if (rc < 0)
			return rc;
	}
	rc = table_fit(&s->bucket_table, s->bucket_count + 1, &anew);
	if (rc < 0)
		return rc;
	s->bucket_count++;
	for (i = anew ? 0 : s->bucket_count - 1;
	     s->bucket_table.size > 0 && i < s->bucket_count; i++)
		table_put(&s->bucket_table, s->buckets[i].hash, i);
	*out = (uint32_t)(s->bucket_count - 1);
	return KV_OK;
}

static struct stage_bucket *
stage_bucket_at(const struct stage *s, uint64_t bid, uint64_t hash)
{
	size_t i, at;

	if (s->bucket_table.size == 0) {
		for (i = s->bucket_count; i > 0; i--)
			if (s->buckets[i - 1].bid == bid)
				return &s->buckets[i - 1];
		return NULL;
	}
	for (at = hash & (s->bucket_table.size - 1);
	     s->bucket_table.at[at] != 0;
	     at = (at + 1) & (s->bucket_table.size - 1)) {
		i = s->bucket_table.at[at] - 1;
		if (s->buckets[i].bid == bid)
			return &s->buckets[i];
	}
	return NULL;
}

struct stage_bucket *
stage_find_bucket(const struct engine *e, uint64_t bid)
{
	return stage_bucket_at(&e->stage, bid,
	    index_hash_chain(e->control->hash_secret, bid));
}

static int
stage_bucket_of(struct engine *e, const struct bucket *of, uint32_t *out)
{
	uint64_t hash = index_hash_chain(e->control->hash_secret, of->bid);
	const struct stage_bucket *b =
	    stage_bucket_at(&e->stage, of->bid, hash);

	if (b == NULL)
		return stage_add_bucket(e, of, hash, out);
	*out = (uint32_t)(b - e->stage.buckets);
	return KV_OK;
}

int
stage_look(struct engine *e, enum wal_class class, uint64_t bid,
    struct kv_slice key, struct stage_old *out)
{
	uint64_t revealed = e->revealed;
	int rc;

	out->hash = index_hash_key(e->control->hash_secret, class, bid, key);
	out->has = false;
	index_prefetch(engine_segment(e, e->view_hi), out->hash);
	out->earlier = stage_find(e, out->hash, class, bid, key);
	if (out->earlier >= 0 || class != WAL_KEY)
		return KV_OK;
	rc = view_get_raw(e, out->hash, bid, key, &out->record);
	e->revealed = revealed; /* nobody is shown it */
	out->has = rc == KV_OK;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* Messages are not looked for. */
static void
stage_enter_item(struct stage *s, size_t item)
{
	if (s->items[item].bucket != STAGE_NO_BUCKET)
		table_put(&s->item_table, s->items[item].hash, item);
}

static int
stage_add_item(struct stage *s, const struct stage_item *item)
{
	bool anew;
	size_t i;
	int rc;

	if (s->count == s->cap) {
		size_t cap = s->cap == 0 ? 64 : s->cap * 2;
		struct stage_item *items =
		    realloc(s->items, cap * sizeof(*items));

		if (items == NULL)
			return KV_ENOMEM;
		s->items = items;
		s->cap = cap;
	}
	if ((rc = table_fit(&s->item_table, s->count + 1, &anew)) < 0)
		return rc;
	s->items[s->count++] = *item;
	for (i = anew ? 0 : s->count - 1;
	     s->item_table.size > 0 && i < s->count; i++)
		stage_enter_item(s, i);
	return KV_OK;
}

static int
stage_check(const struct engine *e, const struct record *r, size_t len)
{
	if (r->key.len > KV_KEY_MAX ||
	    (r->key.len == 0 && !record_may_be_unnamed(r)))
		return KV_ETOOBIG;
	/* A batch must fit one segment, behind its header, before its END. */
	if (e->stage.bytes.len + len >
	    e->segment_size - SEGMENT_HEADER - WAL_RECORD_MIN)
		return KV_ETOOBIG;
	/* A key, a bucket's row and its chain. */
	if (stage_entries(&e->stage) + 3 > stage_entries_max(e))
		return KV_ETOOBIG;
	if (engine_trouble(e) != 0)
		return KV_ENOSPC;
	return KV_OK;
}

/* Staged bytes are borrowed until the commit, so they must not move: room for
 * the largest batch at once, which is memory only where it is written. */
static int
stage_reserve(struct engine *e)
{
	struct buf *b = &e->stage.bytes;

	return b->cap >= e->segment_size
	    ? KV_OK
	    : buf_reserve(b, e->segment_size - b->len);
}

int
stage_over(struct engine *e, const struct bucket *b, const struct record *r,
    enum stage_row row, const struct stage_old *old)
{
	struct stage *s = &e->stage;
	struct stage_item item = { .row = row,
		.hash = old->hash,
		.earlier = old->earlier };
	int rc;

	if (r->key.len > KV_KEY_MAX || r->value.len > e->segment_size)
		return KV_ETOOBIG;
	item.len = (uint32_t)wal_record_size(r->flags, r->marks, r->key.len,
	    r->value.len);
	if ((rc = stage_check(e, r, item.len)) < 0 ||
	    (rc = stage_bucket_of(e, b, &item.bucket)) < 0 ||
	    (rc = stage_reserve(e)) < 0)
		return rc;
	if (old->has)
		stage_count(b, &old->record, &item.before);
	item.offset = (uint32_t)s->bytes.len;
	told_encode(s, &item, r);
	if ((rc = stage_add_item(s, &item)) < 0)
		return rc;
	s->bytes.len += item.len;
	s->rows += row != STAGE_NO_ROW;
	s->timed += r->type == RECORD_PUT && r->deadline != 0;
	return KV_OK;
}

int
stage_record(struct engine *e, const struct bucket *b, const struct record *r,
    enum stage_row row)
{
	struct stage_old old;
	int rc;

	if (r->key.len > KV_KEY_MAX)
		return KV_ETOOBIG;
	rc = stage_look(e, wal_class((uint8_t)r->type), r->bid, r->key, &old);
	return rc < 0 ? rc : stage_over(e, b, r, row, &old);
}

static uint8_t
stage_scope(const struct bucket *b)
{
	return b->options & BUCKET_LOCAL ? RECORD_LOCAL : 0;
}

int
engine_put(struct engine *e, const struct bucket *b, struct kv_slice key,
    struct kv_slice value, uint64_t deadline)
{
	struct record r = { .type = RECORD_PUT,
		.flags = stage_scope(b),
		.bid = b->bid,
		.deadline = deadline,
		.key = key,
		.value = value };
	int rc;

	if (deadline != 0)
		r.flags |= RECORD_DEADLINE;
	bucket_limit(b, e->now_ms, &r);
	if ((rc = conflict_prev(e, b, &r)) < 0)
		return rc;
	return stage_record(e, b, &r, STAGE_NO_ROW);
}

void
engine_alone(struct engine *e, uint64_t bid, struct kv_slice prefix)
{
	struct stage_item *item = &e->stage.items[e->stage.count - 1];

	assert(e->stage.count > 0 && prefix.len <= sizeof(item->prefix));
	item->alone = true;
	item->rival = bid;
	item->prefix_len = (uint8_t)prefix.len;
	memcpy(item->prefix, prefix.data, prefix.len);
}

int
stage_tomb(struct engine *e, const struct bucket *b, struct kv_slice key,
    uint8_t flags)
{
	struct record r = { .type = RECORD_TOMB,
		.flags = (uint8_t)(stage_scope(b) | flags),
		.bid = b->bid,
		.key = key };
	int rc;

	bucket_limit(b, e->now_ms, &r);
	if ((rc = conflict_prev(e, b, &r)) < 0)
		return rc;
	return stage_record(e, b, &r, STAGE_NO_ROW);
}

int
engine_delete(struct engine *e, const struct bucket *b, struct kv_slice key)
{
	return stage_tomb(e, b, key, 0);
}

int
engine_expire(struct engine *e, const struct bucket *b,
    const struct record *expired)
{
	struct record r = { .type = RECORD_TOMB,
		.bid = b->bid,
		.stamp = expired->stamp,
		.marks = expired->marks & RECORD_PREV,
		.deadline = expired->deadline,
		.prev = expired->prev,
		.key = expired->key };

	/* Still what replaced a write of ours here: it proves the claims that
	 * were made of that one (kv-sync.7). */
	r.flags = (uint8_t)(stage_scope(b) | RECORD_FOREIGN | RECORD_DEADLINE |
	    RECORD_EXPIRED | (expired->flags & RECORD_RELAY));
	bucket_limit(b, stamp_ms(expired->stamp), &r);
	return stage_record(e, b, &r, STAGE_NO_ROW);
}

int
stage_message(struct engine *e, struct record *r)
{
	struct stage *s = &e->stage;
	struct stage_item item = { .bucket = STAGE_NO_BUCKET, .earlier = -1 };
	int rc;

	r->type = RECORD_MESSAGE;
	r->flags |= RECORD_LOCAL;
	if (r->key.len > KV_KEY_MAX || r->value.len > e->segment_size)
		return KV_ETOOBIG;
	item.len = (uint32_t)wal_record_size(r->flags, r->marks, r->key.len,
	    r->value.len);
	if ((rc = stage_check(e, r, item.len)) < 0 ||
	    (rc = stage_reserve(e)) < 0)
		return rc;
	item.offset = (uint32_t)s->bytes.len;
	wal_record_encode(s->bytes.data + s->bytes.len, r);
	if ((rc = stage_add_item(s, &item)) < 0)
		return rc;
	s->bytes.len += item.len;
	if (r->bid == MESSAGE_CHANNEL && !(r->flags & RECORD_FOREIGN))
		s->message_to = s->bytes.len;
	return KV_OK;
}

int
stage_bucket_row(struct engine *e, struct kv_slice name, struct bucket *b,
    enum stage_row row)
{
	char value[SCHEMA_BUCKET_ROW];
	struct stamp stamp = { STAGE_TICK + e->stage.count, 0 };
	struct record r = { .type = RECORD_BUCKET,
		.flags = stage_scope(b),
		.bid = b->bid,
		.key = name,
		.value = { value, sizeof(value) } };

	if (row == STAGE_CREATE)
		b->created = stamp;
	else
		b->dropped = stamp;
	schema_put_bucket(value, b);
	return stage_record(e, b, &r, row);
}

size_t
engine_staged(const struct engine *e)
{
	return e->stage.bytes.len;
}

void
engine_rollback(struct engine *e)
{
	stage_clear(&e->stage);
}
