/* SPDX-License-Identifier: ISC */
/* Ordered walks: the tree's cursor, the recent keys and what is staged,
 * merged.  A key that stands in the log is looked up there, by the index, as of
 * the view; the tree's version counts only where the log has none, and both
 * only where nothing is staged. */

#include "engine/scan.h"

#include <stdlib.h>

#include "engine/internal.h"
#include "engine/merge.h"
#include "engine/staged.h"

/* Rows of buckets: those of this host alone stand together, under names with
 * a prefix.  A scan of their own goes beside that of the others, and what both
 * have comes in the order of its bare names. */
struct scan_locals {
	struct scan *scan;	  /* NULL: there are none */
	struct record row, other; /* what comes next of both */
	bool has_row, has_other;
	bool rows_ended, others_ended;
	bool also_shadowed;
	struct kv_slice shadow; /* the name of the last local one */
};

struct scan {
	struct engine *engine;
	struct scan_locals locals; /* of a WAL_BUCKET_ROW scan */
	enum wal_class class;
	struct bucket bucket; /* of a WAL_KEY scan */
	uint64_t view_end;    /* of the view it was opened in */
	struct tree_scan *tree;
	struct merge *recent; /* NULL: the tree has everything */
	struct record ahead;  /* what the tree's cursor stands on */
	bool has_ahead;
	bool tree_ended;
	struct staged *staged; /* NULL: nothing was staged when it was opened */
	struct record seen;    /* the view's next record, while has_seen */
	bool has_seen;
	bool view_ended;
	bool only_expired;
	bool also_expired;
};

static int
scan_new(struct engine *e, enum wal_class class, const struct bucket *b,
    struct scan **out)
{
	struct scan *s;
	int rc;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return KV_ENOMEM;
	s->engine = e;
	s->class = class;
	s->view_end = e->view_end;
	if (b != NULL)
		s->bucket = *b;
	rc = tree_scan_open(e->tree,
	    class == WAL_KEY ? TREE_BY_KEY : TREE_BY_BUCKET, s->bucket.bid,
	    &s->tree);
	if (rc == KV_OK && !e->log_empty)
		rc = merge_open(e, class, s->bucket.bid, &s->recent);
	if (rc == KV_OK && e->stage.count > 0 &&
	    (class != WAL_KEY || stage_find_bucket(e, s->bucket.bid) != NULL))
		rc = staged_open(e, class, s->bucket.bid, &s->staged);
	if (rc == KV_OK)
		rc = scan_seek(s, (struct kv_slice){ "", 0 });
	if (rc < 0) {
		scan_close(s);
		return rc;
	}
	*out = s;
	return KV_OK;
}

int
scan_open(struct engine *e, const struct bucket *b, struct scan **out)
{
	return scan_new(e, WAL_KEY, b, out);
}

int
scan_open_buckets(struct engine *e, struct scan **out)
{
	int rc = scan_new(e, WAL_BUCKET_ROW, NULL, out);

	if (rc < 0 || atomic_load(&e->control->locals) == 0)
		return rc;
	rc = scan_new(e, WAL_BUCKET_ROW, NULL, &(*out)->locals.scan);
	if (rc == KV_OK)
		rc = scan_seek(*out, (struct kv_slice){ "", 0 });
	if (rc < 0) {
		scan_close(*out);
		*out = NULL;
	}
	return rc;
}

void
scan_also_shadowed(struct scan *s)
{
	s->locals.also_shadowed = true;
}

void
scan_also_expired(struct scan *s)
{
	s->also_expired = true;
}

void
scan_only_expired(struct scan *s)
{
	s->only_expired = true;
}

static void
scan_free(struct scan *s)
{
	tree_scan_close(s->tree);
	merge_close(s->recent);
	staged_close(s->staged);
	free(s);
}

void
scan_close(struct scan *s)
{
	if (s == NULL)
		return;
	if (s->locals.scan != NULL)
		scan_free(s->locals.scan);
	scan_free(s);
}

static int
scan_seek_rows(struct scan *s, struct kv_slice key)
{
	if (s->recent != NULL)
		merge_seek(s->recent, key);
	if (s->staged != NULL)
		staged_seek(s->engine, s->staged, key);
	s->has_seen = false;
	s->view_ended = false;
	s->has_ahead = false;
	s->tree_ended = false;
	return tree_scan_seek(s->tree, key, 0);
}

int
scan_seek(struct scan *s, struct kv_slice key)
{
	struct scan_locals *l = &s->locals;
	char room[SCOPE_NAME_MAX];
	int rc;

	if (l->scan == NULL)
		return scan_seek_rows(s, key);
	/* No name is longer. */
	if (key.len > KV_BUCKET_MAX)
		key.len = KV_BUCKET_MAX;
	l->has_row = l->has_other = l->rows_ended = l->others_ended = false;
	l->shadow.len = 0;
	rc = scan_seek_rows(l->scan, scope_row_name(SCOPE_LOCAL, key, room));
	return rc < 0 ? rc : scan_seek_rows(s, key);
}

/* See to it that `ahead` is the tree's next record, if it has one. */
static int
scan_look_ahead(struct scan *s)
{
	int rc;

	if (s->has_ahead || s->tree_ended)
		return KV_OK;
	rc = tree_scan_next(s->tree, &s->ahead);
	s->has_ahead = rc == KV_OK;
	s->tree_ended = rc == KV_ENOTFOUND;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* The newest record of a recent key before the end of the view; KV_ENOTFOUND
 * when all it has is newer. */
static int
scan_find(struct scan *s, const struct wal_record *w, struct record *out)
{
	struct engine *e = s->engine;
	struct kv_slice key = wal_record_key(w);
	uint64_t lsn;

	lsn = view_find(e,
	    index_hash_key(e->control->hash_secret, s->class, w->bid, key),
	    s->class, w->bid, key, s->view_end);
	if (lsn == 0)
		return KV_ENOTFOUND;
	view_record(e, lsn, out);
	if (out->end > e->revealed)
		e->revealed = out->end;
	return KV_OK;
}

/* The view's next record, in whatever state; steps. */
static int
scan_step_view(struct scan *s, struct record *out)
{
	const struct wal_record *w;
	int rc, order;

	for (;;) {
		if ((rc = scan_look_ahead(s)) < 0)
			return rc;
		w = s->recent == NULL ? NULL : merge_peek(s->recent);
		if (w == NULL && !s->has_ahead)
			return KV_ENOTFOUND;
		order = w == NULL ? 1
		    : !s->has_ahead
		    ? -1
		    : slice_compare(wal_record_key(w), s->ahead.key);
		if (order >= 0) {
			*out = s->ahead;
			s->has_ahead = false;
		}
		if (order > 0)
			return KV_OK;
		merge_step(s->recent);
		if (scan_find(s, w, out) == KV_OK || order == 0)
			return KV_OK;
	}
}

/* See to it that `seen` is the view's next record, if it has one. */
static int
scan_look(struct scan *s)
{
	int rc;

	if (s->has_seen || s->view_ended)
		return KV_OK;
	rc = scan_step_view(s, &s->seen);
	s->has_seen = rc == KV_OK;
	s->view_ended = rc == KV_ENOTFOUND;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* The next record, staged or of the view, in whatever state; steps. */
static int
scan_step(struct scan *s, struct record *out)
{
	int rc, order;

	if (s->staged == NULL)
		return scan_step_view(s, out);
	if ((rc = scan_look(s)) < 0)
		return rc;
	if (!staged_peek(s->engine, s->staged, out)) {
		*out = s->seen;
		rc = s->has_seen ? KV_OK : KV_ENOTFOUND;
		s->has_seen = false;
		return rc;
	}
	order = s->has_seen ? slice_compare(s->seen.key, out->key) : 1;
	if (order < 0)
		*out = s->seen;
	else
		staged_step(s->staged);
	if (order <= 0)
		s->has_seen = false;
	return KV_OK;
}

/* Is it there for those who ask by name? */
static int
scan_shows(const struct scan *s, const struct record *r, bool *shows)
{
	struct bucket row;
	int rc;

	if (s->class == WAL_KEY) {
		*shows = r->type == RECORD_PUT &&
		    (s->also_expired ||
			record_is_expired(r, s->engine->now_ms) ==
			    s->only_expired) &&
		    bucket_shows(&s->bucket, r->stamp);
		return KV_OK;
	}
	if ((rc = schema_get_bucket(r->value, &row)) < 0)
		return rc;
	*shows = bucket_is_live(&row);
	return KV_OK;
}

static int
scan_next_row(struct scan *s, struct record *out)
{
	bool shows = false;
	int rc;

	while (!shows) {
		if ((rc = scan_step(s, out)) < 0)
			return rc;
		if ((rc = scan_shows(s, out, &shows)) < 0)
			return rc;
	}
	return KV_OK;
}

/* ---- buckets of both kinds ---- */

/* See to it that `row` is the next of this host's, if there is one. */
static int
scan_look_local(struct scan_locals *l)
{
	int rc = KV_OK;

	if (l->has_row || l->rows_ended)
		return KV_OK;
	rc = scan_next_row(l->scan, &l->row);
	l->has_row = rc == KV_OK && scope_of_name(l->row.key) == SCOPE_LOCAL;
	l->rows_ended = !l->has_row;
	l->row.key = scope_bare(l->row.key);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* The same of the others, but for those that a local one hides. */
static int
scan_look_other(struct scan *s)
{
	struct scan_locals *l = &s->locals;
	int rc = KV_OK;

	while (rc == KV_OK && !l->has_other && !l->others_ended) {
		rc = scan_next_row(s, &l->other);
		l->others_ended = rc == KV_ENOTFOUND;
		if (rc < 0)
			break;
		l->has_other = true;
		if (scope_of_name(l->other.key) == SCOPE_LOCAL) {
			l->has_other = false;
			rc = scan_seek_rows(s, slice_of(SCOPE_PREFIX_END));
		}
	}
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* One of this host before the one of all hosts that is called alike. */
static int
scan_next_name(struct scan *s, struct record *out)
{
	struct scan_locals *l = &s->locals;
	int rc;

	for (;;) {
		if ((rc = scan_look_local(l)) < 0 ||
		    (rc = scan_look_other(s)) < 0)
			return rc;
		if (l->has_row &&
		    (!l->has_other ||
			slice_compare(l->row.key, l->other.key) <= 0)) {
			*out = l->row;
			l->shadow = l->row.key;
			l->has_row = false;
			return KV_OK;
		}
		if (!l->has_other)
			return KV_ENOTFOUND;
		*out = l->other;
		l->has_other = false;
		if (l->also_shadowed || !slice_equal(out->key, l->shadow))
			return KV_OK;
	}
}

int
scan_next(struct scan *s, struct record *out)
{
	return s->locals.scan == NULL ? scan_next_row(s, out)
				      : scan_next_name(s, out);
}
