/* SPDX-License-Identifier: ISC */
/* The sums of a bucket behind a drop that came from elsewhere, which hides what
 * is older than it, not all there is.
 *
 * A record's seq is above every stamp that its host knew when it came, its own
 * too.  So whatever is newer than the drop has a seq past it, and only that
 * end of the order is looked at, however large the bucket is. */

#include "engine/internal.h"

static void
survivors_count(const struct bucket *b, const struct record *r,
    struct totals *out)
{
	struct count count;

	stage_count(b, r, &count);
	out->keys += count.live;
	out->bytes += count.bytes;
	out->digest[0] += count.digest[0];
	out->digest[1] += count.digest[1];
}

/* The newest record of its key in the view, if the log's is that one. */
static void
survivors_add(struct engine *e, const struct bucket *b, uint64_t lsn,
    struct totals *out)
{
	const struct wal_record *w = engine_record_at(e, lsn);
	struct kv_slice key = wal_record_key(w);
	struct record r;

	if (wal_class(w->type) != WAL_KEY ||
	    view_find(e,
		index_hash_key(e->control->hash_secret, WAL_KEY, b->bid, key),
		WAL_KEY, b->bid, key, e->view_end) != lsn)
		return;
	view_record(e, lsn, &r);
	survivors_count(b, &r, out);
}

/* Back along the bucket's chain.  True: the log goes back beyond the drop. */
static bool
survivors_in_log(struct engine *e, const struct bucket *b, struct totals *out)
{
	uint64_t hash = index_hash_chain(e->control->hash_secret, b->bid);
	uint64_t lsn = view_find_chain(e, hash, b->bid, e->view_end);

	for (; lsn != 0; lsn = view_chain_back(e, hash, b->bid, lsn)) {
		if (engine_record_at(e, lsn)->seq < b->dropped.tick)
			return true;
		survivors_add(e, b, lsn, out);
	}
	return segment_header(engine_segment(e, e->view_lo))->first_seq <=
	    b->dropped.tick;
}

static int
survivors_in_tree(struct engine *e, const struct bucket *b, struct totals *out)
{
	uint64_t limit =
	    segment_header(engine_segment(e, e->view_lo))->first_seq;
	struct tree_scan *scan = NULL;
	struct record r;
	int rc;

	rc = tree_scan_open(e->tree, TREE_BY_SEQ, b->bid, &scan);
	if (rc == KV_OK)
		rc = tree_scan_seek(scan, (struct kv_slice){ "", 0 },
		    b->dropped.tick);
	while (rc == KV_OK && (rc = tree_scan_next(scan, &r)) == KV_OK) {
		if (r.seq >= limit) /* the log has it, or a newer one */
			break;
		if (r.type == RECORD_BUCKET || r.bid != b->bid ||
		    view_find(e,
			index_hash_key(e->control->hash_secret, WAL_KEY, b->bid,
			    r.key),
			WAL_KEY, b->bid, r.key, e->view_end) != 0)
			continue;
		survivors_count(b, &r, out);
	}
	tree_scan_close(scan);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* What the batch so far changes in that. */
static int
survivors_in_stage(struct engine *e, const struct bucket *b, struct totals *out)
{
	const struct stage *s = &e->stage;
	struct totals gone = { 0 };
	struct record r;
	size_t i;
	int rc;

	for (i = 0; i < s->count; i++) {
		const struct wal_record *w = stage_bytes(s, i);
		struct kv_slice key = wal_record_key(w);

		if (w->bid != b->bid || wal_class(w->type) != WAL_KEY)
			continue;
		if (s->items[i].earlier < 0) {
			rc = view_get_raw(e, s->items[i].hash, b->bid, key, &r);
			if (rc < 0 && rc != KV_ENOTFOUND)
				return rc;
			if (rc == KV_OK)
				survivors_count(b, &r, &gone);
		}
		if (stage_find(e, s->items[i].hash, WAL_KEY, b->bid, key) !=
		    (int32_t)i)
			continue;
		stage_view(e, (int32_t)i, &r);
		survivors_count(b, &r, out);
	}
	out->keys -= gone.keys;
	out->bytes -= gone.bytes;
	out->digest[0] -= gone.digest[0];
	out->digest[1] -= gone.digest[1];
	return KV_OK;
}

int
survivors_sum(struct engine *e, const struct bucket *b, struct totals *out)
{
	int rc = KV_OK;

	*out = (struct totals){ 0 };
	if (!survivors_in_log(e, b, out))
		rc = survivors_in_tree(e, b, out);
	return rc < 0 ? rc : survivors_in_stage(e, b, out);
}
