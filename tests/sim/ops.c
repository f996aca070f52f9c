/* SPDX-License-Identifier: ISC */
/* The array store as sync/store.h wants it. */

#include <assert.h>

#include "base/buf.h"
#include "base/hash.h"
#include "state.h"
#include "sync/merge.h"
#include "tick.h"

static int
ops_refresh(void *self)
{
	struct sim_store *s = self;

	assert(!s->is_reading);
	if (s->has_no_snapshot)
		return KV_EBUSY;
	s->is_reading = true;
	return KV_OK;
}

static void
ops_release(void *self)
{
	struct sim_store *s = self;

	assert(s->is_reading);
	s->is_reading = false;
}

static uint64_t
ops_head(void *self)
{
	return ((struct sim_store *)self)->now.head;
}

static uint64_t
ops_clock(void *self)
{
	return ((struct sim_store *)self)->now.clock;
}

static bool
bucket_is_local(const struct sim_bucket *b)
{
	return (b->row.options & BUCKET_LOCAL) != 0;
}

static void
bucket_item(const struct sim_store *s, const struct sim_bucket *b,
    struct sync_item *out)
{
	struct record *r = &out->record;

	*r = (struct record){ .type = RECORD_BUCKET };
	r->seq = b->row.seq;
	r->stamp = bucket_is_live(&b->row) ? b->row.created : b->row.dropped;
	r->flags = r->stamp.inc == s->inc ? 0 : RECORD_FOREIGN;
	r->bid = b->row.bid;
	r->key = b->name;
	out->bucket = b->row;
}

static int
ops_next(void *self, struct sync_cursor *c, struct sync_item *out)
{
	struct sim_store *s = self;
	const struct record *r, *best = NULL;
	const struct sim_bucket *b, *bucket = NULL;
	uint64_t seq = UINT64_MAX;
	unsigned i;

	assert(s->is_reading);
	c->has_gaps = true; /* there is one version of a key */
	for (i = 0; i < s->now.record_count; i++) {
		r = &s->now.records[i];
		if (r->seq <= c->seq || r->seq >= seq ||
		    r->flags & RECORD_LOCAL)
			continue;
		best = r;
		seq = r->seq;
	}
	for (i = 0; i < s->now.bucket_count; i++) {
		b = &s->now.buckets[i];
		if (b->row.seq <= c->seq || b->row.seq >= seq ||
		    bucket_is_local(b))
			continue;
		bucket = b;
		seq = b->row.seq;
	}
	if (seq == UINT64_MAX) {
		/* As a log with claims at its end is passed by. */
		if (c->seq < s->now.clock)
			c->seq = s->now.clock;
		return KV_ENOTFOUND;
	}
	c->seq = seq;
	if (bucket != NULL)
		bucket_item(s, bucket, out);
	else
		out->record = *best;
	return KV_OK;
}

/* The first bucket row of the tree at or after bid. */
static const struct sim_bucket *
bucket_from(const struct sim_state *t, uint64_t bid, bool after)
{
	const struct sim_bucket *b;
	unsigned i;

	for (i = state_bucket_place(t, bid); i < t->bucket_count; i++) {
		b = &t->buckets[i];
		if (!bucket_is_local(b) && !(after && b->row.bid == bid))
			return b;
	}
	return NULL;
}

static int
ops_range(void *self, uint64_t bid, struct kv_slice key, bool after,
    struct sync_item *out)
{
	struct sim_store *s = self;
	const struct sim_state *t = &s->tree;
	/* A bucket's place is (bid, ""): past it unless we stand right on it. */
	const struct sim_bucket *b = bucket_from(t, bid, key.len > 0 || after);
	const struct record *r = NULL;
	unsigned i;

	assert(s->is_reading);
	for (i = state_place(t, bid, key); i < t->record_count; i++) {
		r = &t->records[i];
		if (!(r->flags & RECORD_LOCAL) &&
		    !(after && r->bid == bid && slice_equal(r->key, key)))
			break;
		r = NULL;
	}
	if (b == NULL && r == NULL)
		return KV_ENOTFOUND;
	if (b != NULL && (r == NULL || b->row.bid <= r->bid))
		bucket_item(s, b, out);
	else
		out->record = *r;
	return KV_OK;
}

static int
ops_get(void *self, uint64_t bid, struct kv_slice key, struct record *out)
{
	struct sim_store *s = self;
	const struct record *r = sim_find(&s->now, bid, key);

	assert(s->is_reading);
	if (r == NULL)
		return KV_ENOTFOUND;
	*out = *r;
	return KV_OK;
}

static uint64_t
ops_bucket_id(void *self, struct kv_slice name)
{
	(void)self;
	return sim_bucket_id(name);
}

static int
ops_rows(void *self, bool tree,
    int (*each)(void *user, const struct sync_row *row), void *user)
{
	struct sim_store *s = self;
	const struct sim_state *t = tree ? &s->tree : &s->now;
	unsigned i;
	int rc;

	assert(s->is_reading);
	for (i = 0; i < t->row_count; i++) {
		if ((rc = each(user, &t->rows[i])) < 0)
			return rc;
	}
	return KV_OK;
}

static uint64_t
ops_tree_head(void *self)
{
	return ((struct sim_store *)self)->tree.head;
}

static int
ops_count(void *self, uint64_t seq, bool own, uint64_t *n)
{
	const struct sim_store *s = self;
	unsigned i;

	(void)own; /* about */
	*n = 0;
	for (i = 0; i < s->now.record_count; i++)
		*n += s->now.records[i].seq > seq;
	return KV_OK;
}

static bool
ops_settle(void *self, uint64_t *since)
{
	struct sim_store *s = self;

	if (*since == 0)
		*since = s->now.position + 1;
	if (s->tree.position + 1 >= *since)
		return true;
	s->wants_tree = true;
	return false;
}

static bool
ops_doubts(void *self)
{
	return ((struct sim_store *)self)->is_doubted;
}

static uint64_t
ops_purges(void *self)
{
	return ((struct sim_store *)self)->purges;
}

static int
ops_note(void *self, struct kv_slice name, struct kv_slice *value)
{
	struct sim_store *s = self;
	unsigned i;

	assert(s->is_reading);
	for (i = 0; i < s->now.note_count; i++) {
		if (slice_equal(s->now.notes[i].name, name)) {
			*value = s->now.notes[i].value;
			return KV_OK;
		}
	}
	return KV_ENOTFOUND;
}

/* ---- commit ---- */

static void
merge_record(struct sim_store *s, const struct record *in)
{
	const struct record *was = sim_find(&s->now, in->bid, in->key);
	struct record limited = *in, *r = &limited, *at;
	uint8_t relay;

	tick_absorb(s, r->stamp.tick);
	rivals_meet(s, r, was);
	if (!merge_wins(was, r))
		return;
	short_limit(&s->now, stamp_ms(r->stamp), r);
	relay = merge_relay(was, s->inc);
	at = state_enter(&s->now, r);
	if (was == NULL)
		at->key = arena_copy(s->arena, r->key);
	at->type = r->type;
	at->flags = (uint8_t)(r->flags &
	    (RECORD_DEADLINE | RECORD_EXPIRED | RECORD_SHORT));
	at->flags |= RECORD_FOREIGN | relay;
	at->stamp = r->stamp;
	at->deadline = r->deadline;
	at->marks = r->marks & RECORD_PREV;
	at->prev = r->prev;
	at->value = arena_copy(s->arena, r->value);
	at->seq = s->now.head = tick_next(s);
}

static void
merge_row(struct sim_store *s, const struct sync_item *in)
{
	struct sim_bucket *b = state_bucket(&s->now, in->record.key);

	assert(!(in->bucket.options & BUCKET_LOCAL));
	tick_absorb(s, in->bucket.created.tick);
	tick_absorb(s, in->bucket.dropped.tick);
	if (b == NULL)
		b = state_enter_bucket(&s->now,
		    arena_copy(s->arena, in->record.key));
	if (merge_bucket(&b->row, &in->bucket))
		b->row.seq = s->now.head = tick_next(s);
}

/* Just this stamp becomes a tombstone; what has to be handed on still has. */
static void
erase_record(struct sim_store *s, const struct record *r)
{
	const struct record *was = sim_find(&s->now, r->bid, r->key);
	struct record *at;

	if (!merge_erases(was, r->stamp) || was->type != RECORD_PUT)
		return;
	at = state_enter(&s->now, was);
	at->type = RECORD_TOMB;
	at->flags |= RECORD_FOREIGN;
	at->value = (struct kv_slice){ "", 0 };
	short_limit(&s->now, stamp_ms(at->stamp), at);
	at->seq = s->now.head = tick_next(s);
}

static void
put_note(struct sim_store *s, struct kv_slice name, struct kv_slice value)
{
	struct sim_state *t = &s->now;
	unsigned i;

	for (i = 0; i < t->note_count; i++) {
		if (slice_equal(t->notes[i].name, name))
			break;
	}
	if (value.len == 0) {
		if (i < t->note_count)
			t->notes[i] = t->notes[--t->note_count];
		return;
	}
	if (i == t->note_count) {
		assert(t->note_count < SIM_NOTES);
		t->notes[t->note_count++].name = arena_copy(s->arena, name);
	}
	t->notes[i].value = arena_copy(s->arena, value);
}

static void
put_rows(struct sim_store *s, const struct sync_row *rows, size_t count)
{
	struct sync_row *row;
	uint64_t purged;
	size_t i;

	for (i = 0; i < count; i++) {
		row = state_row(&s->now, rows[i].inc);
		purged = row->purged; /* the checkpointer's own */
		if (rows[i].announced < row->announced &&
		    s->watch.gave_up != NULL)
			s->watch.gave_up(s->watch.user, row);
		*row = rows[i];
		if (row->purged < purged)
			row->purged = purged;
	}
}

/* A large batch goes into the log in pieces, the claims with the last: only the
 * first ones got there. */
static int
cut_commit(struct sim_store *s)
{
	s->now.position++;
	s->claims++;
	if (!s->cut_kills)
		return KV_EAGAIN;
	sim_sync(s);
	s->is_burnt = true;
	return KV_ESYSTEM;
}

static int
ops_commit(void *self, const struct sync_batch *b, uint64_t *position)
{
	struct sim_store *s = self;
	const struct sync_item *in;
	size_t i;

	assert(s->is_reading);
	if (s->is_burnt)
		return KV_ESYSTEM;
	if (s->refuse < 0)
		return s->refuse;
	if (s->room > 0 &&
	    b->count + b->row_count + (b->note_name.len > 0) > s->room)
		return KV_ETOOBIG;
	for (i = 0; i < b->count; i++) {
		if (s->cut > 0 && --s->cut == 0)
			return cut_commit(s);
		in = &b->changes[i].item;
		assert(!(in->record.flags & RECORD_LOCAL));
		if (b->changes[i].how == CHANGE_ERASE)
			erase_record(s, &in->record);
		else if (in->record.type == RECORD_BUCKET)
			merge_row(s, in);
		else
			merge_record(s, &in->record);
	}
	s->now.clock += b->row_count; /* they have a place in the log */
	put_rows(s, b->rows, b->row_count);
	if (b->note_name.len > 0)
		put_note(s, b->note_name, b->note_value);
	*position = ++s->now.position;
	s->claims++;
	if (s->fills > 0 && --s->fills == 0)
		s->refuse = KV_EAGAIN;
	if (s->fuse > 0 && --s->fuse == 0) {
		sim_sync(s);
		s->is_burnt = true;
	}
	return KV_OK;
}

static uint64_t
ops_durable(void *self)
{
	return ((struct sim_store *)self)->synced.position;
}

/* ---- digests ---- */

static bool
add_digest(const struct sim_state *t, const struct bucket *b,
    struct totals *sum)
{
	const struct record *r;
	uint64_t h;
	unsigned i;

	for (i = state_place(t, b->bid, (struct kv_slice){ "", 0 });
	     i < t->record_count && t->records[i].bid == b->bid; i++) {
		r = &t->records[i];
		if (!bucket_shows(b, r->stamp))
			return false; /* is still being swept */
		if (r->type != RECORD_PUT || r->deadline != 0)
			continue;
		/* A tick beside a short key would be lost as the seed. */
		h = hash_bytes(r->key.data, r->key.len, b->bid);
		h = hash_u64(hash_u64(h ^ r->stamp.tick) ^ r->stamp.inc);
		sum->keys++;
		sum->bytes += r->key.len + r->value.len;
		sum->digest[0] += h;
		sum->digest[1] += hash_u64(h);
	}
	return true;
}

static int
ops_digests(void *self,
    int (*each)(void *user, uint64_t bid, const struct totals *t), void *user)
{
	struct sim_store *s = self;
	const struct bucket *b;
	struct totals sum;
	unsigned i;
	int rc;

	assert(s->is_reading);
	for (i = 0; i < s->now.bucket_count; i++) {
		b = &s->now.buckets[i].row;
		sum = (struct totals){ 0 };
		if (b->options & BUCKET_LOCAL || !bucket_is_live(b) ||
		    !add_digest(&s->now, b, &sum))
			continue;
		if ((rc = each(user, b->bid, &sum)) < 0)
			return rc;
	}
	return KV_OK;
}

struct sync_store
sim_store_ops(struct sim_store *s)
{
	static const struct sync_store_ops ops = {
		.refresh = ops_refresh,
		.release = ops_release,
		.head = ops_head,
		.clock = ops_clock,
		.next = ops_next,
		.range = ops_range,
		.get = ops_get,
		.bucket_id = ops_bucket_id,
		.rows = ops_rows,
		.tree_head = ops_tree_head,
		.count = ops_count,
		.settle = ops_settle,
		.doubts = ops_doubts,
		.purges = ops_purges,
		.note = ops_note,
		.commit = ops_commit,
		.durable = ops_durable,
		.digests = ops_digests,
	};

	return (struct sync_store){ &ops, s };
}
