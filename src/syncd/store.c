/* SPDX-License-Identifier: ISC */
/* sync/store.h on the engine. */

#include "syncd/store.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "engine/clockwatch.h"
#include "engine/foreign.h"
#include "engine/scan.h"
#include "engine/trail.h"
#include "syncd/batch.h"
#include "syncd/rows.h"
#include "syncd/shadow.h"
#include "tree/range.h"
#include "tree/schema.h"

#define STORE_PIECE 256 /* records that are appended at once */
#define STORE_COUNT_MAX 100000

struct syncd_store {
	struct engine *engine;
	struct syncd_self self;
	struct buf lineage;
	struct rows *rows; /* of the log's end */
	uint64_t purges;   /* that rows knows of */
	struct trail head;
	struct tally tally; /* of what stands in front of it */
	bool viewing;

	/* Of the snapshot; opened when asked for. */
	struct trail_view trail;
	struct tree_range *range;

	struct foreign_batch batch; /* of a commit */
	struct buf shadowed;	    /* buckets of it, see syncd/shadow.h */
};

/* ---- the snapshot ---- */

static void
store_release(void *self)
{
	struct syncd_store *s = self;

	trail_end(&s->trail);
	tree_range_close(s->range);
	s->range = NULL;
	if (!s->viewing)
		return;
	s->viewing = false;
	engine_release(s->engine);
	engine_kick(s->engine);
}

static int
store_refresh(void *self)
{
	struct syncd_store *s = self;
	int rc;

	store_release(s);
	/* What we said of ourselves would be said in another run's name. */
	if (s->self.inc != 0 &&
	    (s->self.inc != engine_control(s->engine)->inc ||
		clockwatch_jumped(s->engine))) {
		engine_ask_checkpoint(s->engine);
		return KV_ESTALE;
	}
	if ((rc = engine_refresh(s->engine)) < 0)
		return rc;
	s->viewing = true;
	if ((rc = trail_head(s->engine, &s->head, &s->tally)) < 0)
		store_release(s);
	return rc;
}

/* ---- by seq, by range, by key ---- */

static uint64_t
store_head(void *self)
{
	return ((struct syncd_store *)self)->head.seq;
}

static uint64_t
store_clock(void *self)
{
	const struct syncd_store *s = self;

	return __atomic_load_n(&engine_control(s->engine)->seq,
	    __ATOMIC_RELAXED);
}

static int
store_item(struct sync_item *item)
{
	int rc;

	if (item->record.type != RECORD_BUCKET)
		return KV_OK;
	rc = schema_get_bucket(item->record.value, &item->bucket);
	item->record.value = (struct kv_slice){ NULL, 0 };
	return rc;
}

static int
store_next(void *self, struct sync_cursor *c, struct sync_item *out)
{
	struct syncd_store *s = self;
	struct trail t = { c->seq, c->place };
	int rc;

	rc = trail_next(s->engine, &s->trail, &t, &out->record);
	*c = (struct sync_cursor){ t.seq, t.place, t.place == 0 };
	return rc < 0 ? rc : store_item(out);
}

static int
store_range(void *self, uint64_t bid, struct kv_slice key, bool after,
    struct sync_item *out)
{
	struct syncd_store *s = self;
	int rc;

	if (s->range == NULL &&
	    (rc = tree_range_open(engine_tree(s->engine), &s->range)) < 0)
		return rc;
	rc = tree_range_next(s->range, bid, key, after, &out->record);
	return rc < 0 ? rc : store_item(out);
}

static int
store_get(void *self, uint64_t bid, struct kv_slice key, struct record *out)
{
	return engine_get_raw(((struct syncd_store *)self)->engine, bid, key,
	    out);
}

static uint64_t
store_bucket_id(void *self, struct kv_slice name)
{
	(void)self;
	return engine_bucket_id(name);
}

/* ---- rows and notes ---- */

static bool
store_doubts(void *self)
{
	return clockwatch_doubts(((struct syncd_store *)self)->engine);
}

static uint64_t
store_purges(void *self)
{
	struct syncd_store *s = self;
	struct kv_slice row;

	if (tree_meta_get(engine_tree(s->engine), "purges", &row) < 0 ||
	    row.len != 8)
		return 0;
	return bytes_get_be64(row.data);
}

static int
store_rows_of_tree(struct syncd_store *s,
    int (*each)(void *user, const struct sync_row *row), void *user)
{
	struct tree *t = engine_tree(s->engine);
	struct tree_position p;
	struct rows *rows = NULL;
	int rc;

	rc = rows_read_tree(&rows, t);
	if (rc == KV_OK)
		rc = tree_position(t, &p);
	if (rc == KV_OK)
		rc = rows_add_lineage(&rows, s->self.lineage, s->self.uid,
		    p.seq);
	if (rc == KV_OK)
		rc = rows_each(rows, each, user);
	rows_free(&rows);
	return rc;
}

static int
store_rows(void *self, bool tree,
    int (*each)(void *user, const struct sync_row *row), void *user)
{
	struct syncd_store *s = self;
	uint64_t purges;
	int rc;

	if (tree)
		return store_rows_of_tree(s, each, user);
	if ((purges = store_purges(s)) != s->purges) {
		rc = rows_read_purged(&s->rows, engine_tree(s->engine));
		if (rc < 0)
			return rc;
		s->purges = purges;
	}
	return rows_each(s->rows, each, user);
}

static int
store_note(void *self, struct kv_slice name, struct kv_slice *value)
{
	struct syncd_store *s = self;
	char key[KV_KEY_MAX];

	if (name.len >= sizeof(key))
		return KV_ETOOBIG;
	key[0] = BATCH_NOTE;
	memcpy(key + 1, name.data, name.len);
	return foreign_note(s->engine, false,
	    (struct kv_slice){ key, name.len + 1 }, value);
}

/* ---- the tree catching up ---- */

static uint64_t
store_tree_head(void *self)
{
	struct syncd_store *s = self;
	struct tree_position p;

	return tree_position(engine_tree(s->engine), &p) < 0 ? 0 : p.seq;
}

/* What stands in the log is counted already; what is older is in the tree,
 * where of each key the last change alone is left. */
static int
store_count(void *self, uint64_t seq, bool own, uint64_t *n)
{
	struct syncd_store *s = self;
	uint64_t begun = s->tally.begun, in_log;
	int rc;

	if (seq > 0 && tally_since(&s->tally, seq, own, n))
		return KV_OK;
	/* Then all that the tree has is counted, for nothing. */
	if (seq == 0 && !own && store_tree_head(s) > begun)
		begun = store_tree_head(s);
	if (!tally_since(&s->tally, begun, own, &in_log))
		in_log = 0;
	rc = tree_count_since(engine_tree(s->engine), seq, begun,
	    own ? s->self.inc : 0, STORE_COUNT_MAX, n);
	*n += in_log;
	return rc;
}

static bool
store_settle(void *self, uint64_t *since)
{
	struct syncd_store *s = self;
	struct tree_position p;

	if (*since == 0)
		*since = engine_position(s->engine);
	if (tree_position(engine_tree(s->engine), &p) == KV_OK &&
	    p.checkpointed >= *since)
		return true;
	engine_ask_checkpoint(s->engine);
	return false;
}

/* ---- writing ---- */

/* Data may come into the log without what is claimed of it, never the other way
 * round: it would be sent again, and be no news.  So only the last piece has to
 * be one with the claims, and clients of this host who write meanwhile do not
 * wait for the mutex while thousands of records are appended. */
static int
store_append(struct syncd_store *s, const struct sync_batch *b,
    uint64_t *position)
{
	const struct foreign *items = s->batch.items;
	size_t left = b->count, claims = s->batch.count - b->count;
	int rc = KV_OK;

	for (; rc == KV_OK && left > STORE_PIECE; left -= STORE_PIECE) {
		rc = foreign_commit(s->engine, items, STORE_PIECE, position);
		items += STORE_PIECE;
	}
	return rc < 0
	    ? rc
	    : foreign_commit(s->engine, items, left + claims, position);
}

static int
store_commit(void *self, const struct sync_batch *b, uint64_t *position)
{
	struct syncd_store *s = self;
	size_t i;
	int rc;

	s->shadowed.len = 0;
	/* Memory first: what the log has must be known here. */
	rc = foreign_batch_fill(&s->batch, b);
	for (i = 0; rc == KV_OK && i < b->row_count; i++)
		rc = rows_reserve(&s->rows, b->rows[i].inc);
	if (rc == KV_OK)
		rc = shadow_note(s->engine, b, &s->shadowed);
	if (rc == KV_OK)
		rc = store_append(s, b, position);
	shadow_tell(s->engine, b, &s->shadowed); /* some may have come */
	if (rc < 0)
		return rc;
	for (i = 0; rc == KV_OK && i < b->row_count; i++)
		rc = rows_put(&s->rows, &b->rows[i], true);
	return rc < 0 ? rc : trail_head(s->engine, &s->head, &s->tally);
}

static uint64_t
store_durable(void *self)
{
	return engine_durable(((struct syncd_store *)self)->engine);
}

/* ---- digests ---- */

static int
digest_of(struct syncd_store *s, const struct record *r, struct totals *out)
{
	struct bucket b;
	int rc;

	if ((rc = schema_get_bucket(r->value, &b)) < 0)
		return rc;
	if (b.options & BUCKET_LOCAL)
		return KV_ENOTFOUND;
	if ((rc = engine_totals(s->engine, &b, out)) < 0)
		return rc;
	/* Counts have in them what deadlines end, on each host when its clock
	 * says so. */
	out->keys = out->bytes = 0;
	return KV_OK;
}

static int
store_digests(void *self,
    int (*each)(void *user, uint64_t bid, const struct totals *t), void *user)
{
	struct syncd_store *s = self;
	struct scan *scan = NULL;
	struct record r;
	struct totals t;
	int rc;

	rc = scan_open_buckets(s->engine, &scan);
	if (rc == KV_OK)
		scan_also_shadowed(scan);
	while (rc == KV_OK && (rc = scan_next(scan, &r)) == KV_OK) {
		rc = digest_of(s, &r, &t);
		if (rc == KV_OK)
			rc = each(user, r.bid, &t);
		else if (rc == KV_ENOTFOUND)
			rc = KV_OK;
	}
	scan_close(scan);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* ---- opening ---- */

/* Newest first: what is there already is newer. */
static int
load_row(void *user, const struct record *note)
{
	struct syncd_store *s = user;
	struct schema_vector v;
	struct sync_row row;
	int rc = schema_get_vector(note->key, note->value, &v);

	if (rc < 0)
		return rc == KV_ENOTFOUND ? KV_OK : rc;
	row = (struct sync_row){ v.inc, v.vv, v.announced, v.purged, v.own,
		v.full, v.full_head, v.uid };
	return rows_put(&s->rows, &row, false);
}

static int
load_self(struct syncd_store *s)
{
	const struct control *c = engine_control(s->engine);
	struct kv_slice lineage;
	int rc;

	rc = tree_meta_get(engine_tree(s->engine), "lineage", &lineage);
	if (rc == KV_OK)
		rc = buf_append(&s->lineage, lineage.data, lineage.len);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	s->self = (struct syncd_self){ .uid = c->store_id,
		.inc = c->inc,
		.start = c->start_tick,
		.lineage = buf_slice(&s->lineage) };
	return KV_OK;
}

static int
load(struct syncd_store *s)
{
	int rc;

	if ((rc = store_refresh(s)) < 0)
		return rc;
	rc = load_self(s);
	if (rc == KV_OK)
		rc = foreign_notes(s->engine, load_row, s);
	if (rc == KV_OK)
		rc = rows_read_tree(&s->rows, engine_tree(s->engine));
	s->purges = store_purges(s);
	if (rc == KV_OK)
		rc = rows_add_lineage(&s->rows, s->self.lineage, s->self.uid,
		    UINT64_MAX);
	store_release(s);
	return rc;
}

int
syncd_store_new(struct engine *e, struct syncd_store **out)
{
	struct syncd_store *s;
	int rc;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return KV_ENOMEM;
	s->engine = e;
	if ((rc = load(s)) < 0) {
		syncd_store_free(s);
		return rc;
	}
	*out = s;
	return KV_OK;
}

void
syncd_store_free(struct syncd_store *s)
{
	if (s == NULL)
		return;
	store_release(s);
	rows_free(&s->rows);
	buf_fini(&s->lineage);
	foreign_batch_fini(&s->batch);
	buf_fini(&s->shadowed);
	free(s);
}

const struct syncd_self *
syncd_store_self(const struct syncd_store *s)
{
	return &s->self;
}

struct sync_store
syncd_store_ops(struct syncd_store *s)
{
	static const struct sync_store_ops ops = {
		.refresh = store_refresh,
		.release = store_release,
		.head = store_head,
		.clock = store_clock,
		.next = store_next,
		.range = store_range,
		.get = store_get,
		.bucket_id = store_bucket_id,
		.rows = store_rows,
		.tree_head = store_tree_head,
		.count = store_count,
		.settle = store_settle,
		.doubts = store_doubts,
		.purges = store_purges,
		.note = store_note,
		.commit = store_commit,
		.durable = store_durable,
		.digests = store_digests,
	};

	return (struct sync_store){ &ops, s };
}
