/* SPDX-License-Identifier: ISC */
/* Where do two stores differ?  When their digests do, each end asks the other
 * for the sums of 256 leaves, then for those of the leaves within the ones that
 * differ, and reads only the records of these: one walk through the tree each
 * time, in steps.  With so many that it does not pay they are read at once. */

#include "sync/core.h"

#define SLICE 4096   /* records of one walk in a turn */
#define SETTLE_MS 10 /* between two looks */
#define PAYS 64	     /* leaves of the first level that differ */
#define OWED_MS (2 * 60 * 1000)

void
leaves_reset(struct replica *r)
{
	leaf_scan_end(&r->repair.scan);
	r->repair.link = NULL;
	r->repair.has_theirs = false;
}

void
leaves_link_gone(struct replica *r, struct replica_link *l)
{
	leaf_scan_end(&l->leaves);
	if (r->repair.link == l)
		leaves_reset(r);
}

/* ---- asking ---- */

int
leaves_put(struct replica_link *l, uint64_t id, enum frame_leaves_what what,
    const struct leaf_mask *mask)
{
	struct frame f = { .type = FRAME_LEAVES };

	f.u.leaves.id = id;
	f.u.leaves.what = (uint8_t)what;
	f.u.leaves.bytes =
	    (struct kv_slice){ (const char *)mask->bits, LEAF_MASKS };
	return outbox_put(&l->outbox, &f);
}

static int
ask(struct replica *r, uint8_t level, const struct leaf_mask *mask)
{
	struct repair *p = &r->repair;

	p->has_theirs = false;
	p->since_ms = r->now.mono_ms;
	leaf_scan_begin(&p->scan, level, mask);
	return leaves_put(p->link, ++r->resync.id,
	    level == 1 ? LEAVES_FIRST : LEAVES_SECOND, mask);
}

int
leaves_repair(struct replica *r, struct replica_link *l)
{
	struct leaf_mask all;

	if (r->repair.link != NULL)
		return KV_OK;
	leaf_mask_all(&all);
	if (!(l->features & FEATURE_LEAVES))
		return resync_repair(r, l, NULL);
	r->repair.link = l;
	return ask(r, 1, &all);
}

/* Both sums are there. */
static int
compare(struct replica *r)
{
	struct repair *p = &r->repair;
	struct leaf_mask mask = p->scan.mask;
	unsigned level = p->scan.level, n;
	struct replica_link *l = p->link;

	n = leaf_differ(&p->scan.sums, &p->theirs, mask.bits[level - 1]);
	if (level == 1 && n > 0 && n <= PAYS)
		return ask(r, 2, &mask);
	if (MUTATED(LEAF_OF_OTHERS))
		memcpy(mask.bits[1], mask.bits[0], LEAF_MASK);
	leaves_reset(r);
	return n == 0 ? KV_OK : resync_repair(r, l, &mask);
}

static int
walk_own(struct replica *r, uint64_t *next_ms)
{
	struct repair *p = &r->repair;
	int rc = KV_OK;

	if (p->link == NULL)
		return KV_OK;
	if (r->resync.state != RESYNC_NONE ||
	    r->now.mono_ms >= p->since_ms + OWED_MS) {
		leaves_reset(r);
		return KV_OK;
	}
	if (p->scan.is_open) {
		rc = leaf_scan_step(&p->scan, r->store, SLICE);
		r->wants_turn |= rc == KV_EAGAIN && p->scan.is_settled;
		core_sooner(next_ms, r->now.mono_ms + SETTLE_MS);
	}
	if (rc < 0)
		return rc == KV_EAGAIN ? KV_OK : rc;
	p->scan.is_open = false;
	if (p->has_theirs)
		return compare(r);
	core_sooner(next_ms, p->since_ms + OWED_MS);
	return KV_OK;
}

int
leaves_sums(struct replica *r, struct replica_link *l, const struct frame *f)
{
	struct repair *p = &r->repair;

	if (p->link != l || f->u.leaves.id != r->resync.id || p->has_theirs)
		return KV_OK; /* it took too long */
	if (f->u.leaves.bytes.len != LEAF_SUMS)
		return link_refuse(r, l, BYE_PROTOCOL, "sums of other leaves");
	leaf_sums_get(f->u.leaves.bytes.data, &p->theirs);
	p->has_theirs = true;
	r->wants_turn = true;
	return KV_OK;
}

/* ---- answering ---- */

int
leaves_asked(struct replica *r, struct replica_link *l, const struct frame *f)
{
	const struct frame_leaves *g = &f->u.leaves;
	struct leaf_mask mask;

	if (r->config.tuning.no_features & FEATURE_LEAVES)
		return KV_OK; /* an extension that is not known here */
	memcpy(mask.bits, g->bytes.data, LEAF_MASKS);
	if (g->what == LEAVES_RECORDS)
		return range_leaves(r, l, g->id, &mask);
	/* A newer question: nobody waits for the answer to the one before. */
	leaf_scan_begin(&l->leaves, g->what == LEAVES_FIRST ? 1 : 2, &mask);
	l->leaves_id = g->id;
	return KV_OK;
}

static int
answer(struct replica_link *l)
{
	struct frame f = { .type = FRAME_SUMS };
	char bytes[LEAF_SUMS];
	int rc;

	leaf_sums_put(bytes, &l->leaves.sums);
	f.u.leaves.id = l->leaves_id;
	f.u.leaves.bytes = (struct kv_slice){ bytes, LEAF_SUMS };
	rc = outbox_put(&l->outbox, &f);
	leaf_scan_end(&l->leaves);
	return rc;
}

int
leaves_timers(struct replica *r, uint64_t *next_ms)
{
	struct replica_link *l;
	int rc = walk_own(r, next_ms);

	for (l = r->links; l != NULL && rc == KV_OK; l = l->next) {
		if (!l->leaves.is_open)
			continue;
		rc = leaf_scan_step(&l->leaves, r->store, SLICE);
		if (rc == KV_OK)
			rc = answer(l);
		if (rc != KV_EAGAIN)
			continue;
		r->wants_turn |= l->leaves.is_settled;
		core_sooner(next_ms, r->now.mono_ms + SETTLE_MS);
		rc = KV_OK;
	}
	return rc;
}
