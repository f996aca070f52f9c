/* SPDX-License-Identifier: ISC */
/* Following the log.  A feed that stands where the log no longer reaches first
 * reads the tree in seq order, one version per key, up to where that snapshot
 * was checkpointed, and goes on in the log from there. */

#include "engine/feed.h"

#include "base/bytes.h"
#include "engine/internal.h"
#include "engine/walk.h"
#include "tree/reissue.h"

/* Position of a feed that reads the tree. */
#define FEED_IN_TREE 0

static uint64_t
feed_segment_start(const struct engine *e, uint64_t number)
{
	return number * e->segment_size + SEGMENT_HEADER;
}

/* Records before it may be handed out. */
static uint64_t
feed_limit(const struct engine *e)
{
	uint64_t durable = engine_durable(e);

	return durable < e->view_end ? durable : e->view_end;
}

void
feed_tail(struct engine *e, struct feed *f)
{
	uint64_t limit = feed_limit(e), number = engine_segment_of(e, limit);
	struct walk w;

	/* What is durable may end where the segment before the view did. */
	if (number < e->view_lo)
		number = e->view_lo;
	f->messages = f->forgets = false;
	walk_begin(e, number, &w);
	walk_seek(e, &w, UINT64_MAX, limit, &f->seq);
	f->position = w.start + w.at;
}

static int
feed_check_row(struct engine *e, const char *name, uint64_t seq)
{
	struct kv_slice row;
	int rc;

	rc = tree_meta_get(e->tree, name, &row);
	if (rc == KV_ENOTFOUND)
		return KV_OK;
	if (rc < 0)
		return rc;
	if (row.len != 8)
		return KV_ECORRUPT;
	return seq < bytes_get_be64(row.data) ? KV_ENOTFOUND : KV_OK;
}

/* Are all changes behind f->seq still there?  The checkpointer notes how far it
 * has removed tombstones. */
static int
feed_check_purged(struct engine *e, const struct feed *f)
{
	int rc = feed_check_row(e, "purged_seq", f->seq);

	return rc < 0 || !f->forgets
	    ? rc
	    : feed_check_row(e, "purged_short", f->seq);
}

int
feed_seek(struct engine *e, struct feed *f, uint64_t seq)
{
	uint64_t number, before;
	struct walk w;
	int rc;

	f->seq = seq;
	f->messages = f->forgets = false;
	f->position = FEED_IN_TREE;
	if ((rc = reissue_check_seq(e->tree, seq)) < 0)
		return rc;
	for (number = e->view_hi; number + 1 > e->view_lo; number--) {
		const struct segment *s = engine_segment(e, number);

		if (segment_header(s)->first_seq - 1 > seq)
			continue;
		walk_begin(e, number, &w);
		walk_seek(e, &w, seq, e->view_end, &before);
		f->position = w.start + w.at;
		/* Who knows more than we do has it from a log that was lost,
		 * or from before a clock was set back. */
		return number == e->view_hi && before < seq &&
			f->position >= e->view_end
		    ? KV_ENOTFOUND
		    : KV_OK;
	}
	return feed_check_purged(e, f);
}

/* The tree has no order of what is local: what the log still has must be all
 * that there was since seq. */
static int
feed_seek_local(struct engine *e, struct feed *f, const struct bucket *b)
{
	const struct segment *s = engine_segment(e, e->view_lo);
	uint64_t first = segment_header(s)->first_seq;

	if (b->created.tick < first ||
	    (f->seq < b->dropped.tick && b->dropped.tick < first))
		return KV_ENOTFOUND;
	f->position = feed_segment_start(e, e->view_lo);
	return KV_OK;
}

int
feed_seek_in(struct engine *e, struct feed *f, uint64_t seq,
    const struct bucket *b)
{
	int rc = feed_seek(e, f, seq);

	if (rc == KV_OK && f->position == FEED_IN_TREE &&
	    b->options & BUCKET_LOCAL)
		return feed_seek_local(e, f, b);
	f->forgets = bucket_ttl_ms(b) > 0;
	if (rc == KV_OK && f->position == FEED_IN_TREE)
		rc = feed_check_purged(e, f);
	return rc;
}

/* The tree's next record behind f->seq; KV_ENOTFOUND when there is none. */
static int
feed_read_tree(struct engine *e, const struct feed *f, struct record *out)
{
	struct tree_scan *scan = NULL;
	int rc;

	if ((rc = tree_scan_open(e->tree, TREE_BY_SEQ, 0, &scan)) < 0)
		return rc;
	rc = tree_scan_seek(scan, (struct kv_slice){ "", 0 }, f->seq + 1);
	if (rc == KV_OK)
		rc = tree_scan_next(scan, out);
	tree_scan_close(scan);
	return rc;
}

/* KV_EAGAIN: the tree has no more, the place is in the log now. */
static int
feed_next_in_tree(struct engine *e, struct feed *f, struct record *out)
{
	uint64_t start = feed_segment_start(e, e->view_lo);
	struct tree_position p;
	int rc;

	if ((rc = feed_check_purged(e, f)) < 0 ||
	    (rc = tree_position(e->tree, &p)) < 0)
		return rc;
	rc = feed_read_tree(e, f, out);
	/* Behind p.seq lies what a half-done checkpoint has brought: some of
	 * the log's records, in no order. */
	if (rc == KV_OK && out->seq <= p.seq) {
		f->seq = out->seq;
		return KV_OK;
	}
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	if (p.seq > f->seq)
		f->seq = p.seq;
	f->position = p.checkpointed > start ? p.checkpointed : start;
	return KV_EAGAIN;
}

static int
feed_next_in_log(struct engine *e, struct feed *f, struct record *out)
{
	uint64_t limit = feed_limit(e);
	struct walk w;
	int rc;

	for (;;) {
		const struct wal_record *r;
		uint64_t at;

		if ((rc = walk_settle(e, &f->position)) < 0)
			return rc;
		if (f->position >= limit)
			return KV_EAGAIN;
		walk_begin(e, engine_segment_of(e, f->position), &w);
		w.at = at = f->position - w.start;
		rc = walk_next(&w, &r);
		if (rc == KV_ENOTFOUND) {
			f->position = w.start + w.end;
			continue;
		}
		if (rc < 0)
			return rc;
		if (w.start + w.at > limit)
			return KV_EAGAIN;
		f->position = w.start + w.at;
		if (r->seq <= f->seq)
			continue; /* feed_seek was told a later one */
		f->seq = r->seq;
		if (r->type == RECORD_MESSAGE ? f->messages
					      : r->type != RECORD_POSITION) {
			view_record(e, w.start + at, out);
			return KV_OK;
		}
	}
}

int
feed_next(struct engine *e, struct feed *f, struct record *out)
{
	int rc;

	if (f->position == FEED_IN_TREE) {
		rc = feed_next_in_tree(e, f, out);
		if (rc != KV_EAGAIN)
			return rc;
	}
	return feed_next_in_log(e, f, out);
}

/* followers counts the processes whose want_indexed is set: it is raised
 * before the word is set, and lowered by who sets it back to 0. */
static void
feed_set_want(struct engine *e, uint64_t want)
{
	struct control *c = e->control;
	_Atomic uint64_t *word = &e->process->want_indexed;
	uint64_t old = atomic_load(word);

	while (old == 0 || old > want) {
		if (old == 0)
			atomic_fetch_add(&c->followers, 1);
		if (atomic_compare_exchange_strong(word, &old, want))
			return;
		/* It was not 0 and a waker cleared it just now: once more. */
	}
}

bool
feed_want(struct engine *e, const struct feed *f)
{
	struct control *c = e->control;

	if (f->position == FEED_IN_TREE)
		return true;
	if (e->options.durability == DURABILITY_ALWAYS)
		return engine_want_durable(e, f->position + 1);
	if (atomic_load(&c->indexed_end) > f->position)
		return true;
	feed_set_want(e, f->position + 1);
	/* Sequentially consistent with the writer's store of indexed_end and
	 * its look at followers: one of the two sees the other. */
	return atomic_load(&c->indexed_end) > f->position;
}
