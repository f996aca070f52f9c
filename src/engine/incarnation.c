/* SPDX-License-Identifier: ISC */
/* Incarnations: the name of one life of the store's memory, part of every stamp
 * given in it, and the lineage of those before (kv-sync.7). */

#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "engine/recover.h"
#include "tree/apply.h"
#include "tree/schema.h"

/* Of a run of ours nothing is missing up to its end.  But what the log has
 * lost since (mode os after a power cut), it has lost of all runs. */
static void
incarnation_cut_ends(char *rows, size_t n, uint64_t seq)
{
	struct kv_slice rest = { rows, n };
	struct stamp end;

	for (; schema_take_lineage(&rest, &end); rows += SCHEMA_LINEAGE_ROW) {
		if (end.tick > seq)
			end.tick = seq;
		schema_put_lineage(rows, end);
	}
}

/* The last incarnation goes to the front of the lineage, unless an attempt
 * before this one has put it there. */
static int
incarnation_put_lineage(struct engine *e, uint64_t last)
{
	const struct stamp end = { .inc = last, .tick = e->control->born_tick };
	char rows[SCHEMA_LINEAGE_MAX * SCHEMA_LINEAGE_ROW];
	size_t n = SCHEMA_LINEAGE_ROW;
	struct kv_slice old;
	int rc;

	schema_put_lineage(rows, end);
	/* For when it has left the lineage. */
	if ((rc = apply_seen(e->tree, end.inc, end.tick)) < 0 ||
	    (rc = tree_renew(e->tree)) < 0)
		return rc;
	rc = tree_meta_get(e->tree, "lineage", &old);
	if (rc == KV_OK && old.len >= SCHEMA_LINEAGE_ROW &&
	    bytes_get_be64(old.data) == last) {
		tree_release(e->tree);
		return KV_OK;
	}
	if (rc == KV_OK) {
		if (old.len > sizeof(rows) - n)
			old.len = sizeof(rows) - n;
		memcpy(rows + n, old.data, old.len);
		incarnation_cut_ends(rows + n, old.len, end.tick);
		n += old.len;
	}
	tree_release(e->tree);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	return apply_meta(e->tree, "lineage", (struct kv_slice){ rows, n });
}

int
incarnation_store(struct engine *e)
{
	struct control *c = e->control;
	uint64_t last;
	char inc[8];
	int rc;

	if (atomic_load(&c->inc_stored))
		return KV_OK;
	if ((rc = recover_meta_u64(e, "inc", &last)) < 0)
		return rc;
	if (last != 0 && last != c->inc &&
	    (rc = incarnation_put_lineage(e, last)) < 0)
		return rc;
	bytes_put_be64(inc, c->inc);
	rc = apply_meta(e->tree, "inc", (struct kv_slice){ inc, 8 });
	if (rc == KV_OK)
		atomic_store(&c->inc_stored, 1);
	return rc;
}

uint64_t
incarnation_draw(void)
{
	uint64_t inc;

	do
		inc = rng_u64();
	while (inc == 0);
	return inc;
}

/* Under the mutex.  The tree knows it before the first record of it, which is
 * the first of a segment.  Should we die in between, append_repair() goes back
 * to that of the segment, and the next checkpointer stores that one again; if
 * all die, inc_next tells that the memory is still that of the tree. */
static int
incarnation_change(struct engine *e, uint64_t end)
{
	struct control *c = e->control;
	uint64_t number = engine_segment_of(e, atomic_load(&c->wal_end));
	uint64_t inc = incarnation_draw();
	char row[8];
	int rc;

	if (atomic_load(&c->memory_ready) <= number ||
	    atomic_load(&c->file_ready) <= number)
		return KV_EAGAIN;
	c->born_tick = end;
	atomic_store(&c->inc_stored, 0);
	c->inc_next = inc;
	if ((rc = incarnation_put_lineage(e, c->inc)) < 0)
		return rc;
	CRASH_POINT("clock.lineage");
	bytes_put_be64(row, inc);
	rc = apply_meta(e->tree, "inc", (struct kv_slice){ row, 8 });
	if (rc < 0)
		return rc;
	CRASH_POINT("clock.stored");
	c->inc = inc;
	CRASH_POINT("clock.renewed");
	if ((rc = append_roll(e)) < 0)
		return rc;
	CRASH_POINT("clock.rolled");
	c->start_tick = append_tick(c, clock_wall_ms());
	atomic_store(&c->inc_stored, 1);
	return KV_OK;
}

int
incarnation_renew(struct engine *e, uint64_t end)
{
	int rc;

	append_lock(e);
	rc = incarnation_change(e, end);
	append_unlock(e);
	if (rc == KV_OK) {
		engine_wake_followers(e);
		engine_wake_writer(e); /* the next file is due */
	}
	return rc;
}

int
incarnation_begin(struct engine *e)
{
	struct control *c = e->control;
	int rc;

	c->inc = incarnation_draw();
	rc = incarnation_store(e);
	if (rc != KV_ENOSPC)
		return rc;
	/* Nothing may be stamped with it before it is stored, but what is
	 * there can be read. */
	atomic_fetch_or(&c->trouble, TROUBLE_TREE_SPACE);
	log_error("recover trouble=\"%s\" action=\"writes are refused until "
		  "it is over\"",
	    engine_trouble_text(TROUBLE_TREE_SPACE));
	return KV_OK;
}
