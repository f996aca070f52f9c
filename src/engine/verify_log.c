/* SPDX-License-Identifier: ISC */
/* The log's half of engine_verify(): records, links, index. */

#include <inttypes.h>
#include <stdlib.h>

#include "engine/verify.h"
#include "engine/walk.h"

/* A bit for each eight bytes of a segment. */
struct bits {
	uint64_t *words;
};

struct log_check {
	struct verify *v;
	const struct segment *segment;
	uint64_t start;	   /* LSN of the segment */
	uint64_t end;	   /* offset where the view ends in it */
	struct bits first; /* a record begins here */
	struct bits newer; /* ... and one of the same key follows */
	struct bits later; /* ... and one of the same bucket follows */
};

static int
bits_new(struct bits *b, uint64_t bytes)
{
	b->words = calloc((bytes >> 9) + 1, sizeof(b->words[0]));
	return b->words == NULL ? KV_ENOMEM : KV_OK;
}

static bool
bits_has(const struct bits *b, uint64_t offset)
{
	return b->words[offset >> 9] >> (offset >> 3 & 63) & 1;
}

static void
bits_set(struct bits *b, uint64_t offset)
{
	b->words[offset >> 9] |= 1ull << (offset >> 3 & 63);
}

static void
check_header(struct log_check *c, uint64_t number)
{
	const struct engine *e = c->v->e;
	const struct segment_header *h = segment_header(c->segment), *before;

	if (segment_header_verify(h) < 0 || h->number != number ||
	    h->store_id != e->store_id || h->size != e->segment_size)
		verify_found(c->v, "segment %" PRIu64 ": damaged header",
		    number);
	if (number == e->view_lo)
		return;
	before = segment_header(engine_segment(e, number - 1));
	if (h->prev_nonce != before->nonce)
		verify_found(c->v,
		    "segment %" PRIu64 ": does not follow the one before",
		    number);
}

static bool
is_same_key(const struct wal_record *a, const struct wal_record *b)
{
	return wal_class(a->type) == wal_class(b->type) && a->bid == b->bid &&
	    slice_equal(wal_record_key(a), wal_record_key(b));
}

/* A link leads back to the start of a record that no other link leads to. */
static const struct wal_record *
check_link(struct log_check *c, uint64_t at, uint64_t to, struct bits *taken,
    const char *what)
{
	if (to == 0)
		return NULL;
	if (to >= at || !bits_has(&c->first, to)) {
		verify_found(c->v, "record %" PRIu64 ": its %s leads nowhere",
		    c->start + at, what);
		return NULL;
	}
	if (bits_has(taken, to))
		verify_found(c->v,
		    "record %" PRIu64 ": two records have it as their %s",
		    c->start + to, what);
	bits_set(taken, to);
	return segment_record(c->segment, to);
}

static void
check_links(struct log_check *c, const struct wal_record *w, uint64_t at)
{
	const struct wal_record *other;

	other =
	    check_link(c, at, (uint64_t)w->prev << 3, &c->newer, "predecessor");
	if (other != NULL && !is_same_key(other, w))
		verify_found(c->v,
		    "record %" PRIu64 ": its predecessor has another key",
		    c->start + at);
	other = check_link(c, at, (uint64_t)w->bucket_prev << 3, &c->later,
	    "predecessor in its bucket");
	if (other != NULL && other->bid != w->bid)
		verify_found(c->v,
		    "record %" PRIu64 ": its predecessor has another bucket",
		    c->start + at);
}

/* Enter the record's bucket: the last one's totals stay. */
static int
check_bucket(struct log_check *c, const struct wal_record *w, uint64_t at)
{
	struct verify_bucket *b;
	struct bucket row;
	struct record r;
	int rc;

	if (w->type == RECORD_POSITION || w->type == RECORD_MESSAGE)
		return KV_OK;
	if ((rc = verify_bucket(c->v, w->bid, &b)) < 0)
		return rc;
	b->totals = w->totals;
	if (w->type != RECORD_BUCKET)
		return KV_OK;
	view_record(c->v->e, c->start + at, &r);
	if (schema_get_bucket(r.value, &row) < 0 || row.bid != w->bid) {
		verify_found(c->v, "record %" PRIu64 ": not a bucket row",
		    c->start + at);
		return KV_OK;
	}
	b->dropped = row.dropped;
	b->has_row = true;
	return KV_OK;
}

/* Forward over the records.  False: the rest cannot be read. */
static int
check_records(struct log_check *c, bool *whole)
{
	const struct segment_header *h = segment_header(c->segment);
	uint64_t last = h->first_seq - 1, at;
	const struct wal_record *w;
	struct walk walk;
	int rc;

	walk_begin(c->v->e, c->start / c->v->e->segment_size, &walk);
	c->end = walk.end;
	while (at = walk.at, (rc = walk_next(&walk, &w)) == KV_OK) {
		if (wal_record_verify(w, w->len, h->nonce, c->start + at) < 0) {
			verify_found(c->v, "record %" PRIu64 ": wrong check",
			    c->start + at);
			continue;
		}
		if (w->seq <= last)
			verify_found(c->v,
			    "record %" PRIu64 ": seq %" PRIu64
			    " after %" PRIu64,
			    c->start + at, w->seq, last);
		last = w->seq;
		bits_set(&c->first, at);
		check_links(c, w, at);
		if ((rc = check_bucket(c, w, at)) < 0)
			return rc;
	}
	*whole = walk.at == walk.end;
	if (!*whole)
		verify_found(c->v,
		    "segment %" PRIu64 ": no record at %" PRIu64
		    ", its records should end at %" PRIu64,
		    h->number, c->start + walk.at, c->start + walk.end);
	return KV_OK;
}

/* The index may know newer records than the view. */
static uint64_t
check_back(const struct log_check *c, uint64_t at, bool chain)
{
	while (at >= c->end) {
		const struct wal_record *w = segment_record(c->segment, at);

		at = (uint64_t)(chain ? w->bucket_prev : w->prev) << 3;
	}
	return at;
}

static void
check_entry(struct log_check *c, uint64_t at, uint64_t found, const char *what)
{
	if (found != at)
		verify_found(c->v,
		    "record %" PRIu64 ": the index has %" PRIu64
		    " as the newest of its %s",
		    c->start + at, found == 0 ? 0 : c->start + found, what);
}

/* Each record that no other follows is what the index leads to. */
static void
check_index(struct log_check *c)
{
	uint64_t secret = c->v->e->control->hash_secret, at;
	const struct segment *s = c->segment;
	const struct wal_record *w;
	struct walk walk;

	walk_begin(c->v->e, c->start / c->v->e->segment_size, &walk);
	while (at = walk.at, walk_next(&walk, &w) == KV_OK) {
		enum wal_class class = wal_class(w->type);
		struct kv_slice key = wal_record_key(w);

		if (class == WAL_MESSAGE)
			continue;
		if (!bits_has(&c->newer, at))
			check_entry(c, at,
			    check_back(c,
				index_find(s,
				    index_hash_key(secret, class, w->bid, key),
				    class, w->bid, key),
				false),
			    "key");
		if (!bits_has(&c->newer, at) && class == WAL_BUCKET_ROW)
			check_entry(c, at,
			    check_back(c,
				index_find_row(s,
				    index_hash_row(secret, w->bid), w->bid),
				false),
			    "bucket's rows");
		if (!bits_has(&c->later, at))
			check_entry(c, at,
			    check_back(c,
				index_find_chain(s,
				    index_hash_chain(secret, w->bid), w->bid),
				true),
			    "bucket");
	}
}

static int
check_segment(struct verify *v, uint64_t number)
{
	struct log_check c = { .v = v };
	int found = v->found, rc;
	bool whole = false;

	c.segment = engine_segment(v->e, number);
	c.start = number * v->e->segment_size;
	if ((rc = bits_new(&c.first, v->e->segment_size)) < 0 ||
	    (rc = bits_new(&c.newer, v->e->segment_size)) < 0 ||
	    (rc = bits_new(&c.later, v->e->segment_size)) < 0)
		goto out;
	check_header(&c, number);
	if ((rc = check_records(&c, &whole)) < 0)
		goto out;
	/* With wrong links or records every entry would be a finding. */
	if (whole && v->found == found)
		check_index(&c);
out:
	free(c.first.words);
	free(c.newer.words);
	free(c.later.words);
	return rc;
}

int
verify_log(struct verify *v)
{
	uint64_t number;
	int rc = KV_OK;

	for (number = v->e->view_lo; rc == KV_OK && number <= v->e->view_hi;
	     number++)
		rc = check_segment(v, number);
	return rc;
}
