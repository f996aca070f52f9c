/* SPDX-License-Identifier: ISC */
/* How much memory a link costs: what the limits of the design (kv-sync.7,
 * LIMITS) come to. */

#include "sync/core.h"

/* Large buffers in each direction: of a pool, and of both. */
#define LARGE_POOL 2
#define LARGE_ALL 3

static size_t
pending_held(const struct pending *s)
{
	return s->bytes + s->cap * sizeof(*s->changes);
}

static size_t
receiver_held(const struct receiver *from)
{
	return from->reader.partial.cap + from->parked.cap +
	    pending_held(&from->stage);
}

/* Each of the two pools can always have one. */
bool
core_has_large(const unsigned used[2], unsigned pool)
{
	return used[pool] < LARGE_POOL && used[0] + used[1] < LARGE_ALL;
}

size_t
replica_held(const struct replica *r, const struct replica_link *l)
{
	size_t i, n;

	if (l == NULL)
		return pending_held(&r->batch.stage) + r->batch.note.cap +
		    pending_held(&r->resync.erased) + r->scratch.cap +
		    r->digest.cap;
	n = sizeof(*l) + l->outbox.bytes.cap + l->answer.key.cap +
	    l->answer.hi.cap + l->digest.cap;
	for (i = 1; i < CORE_STREAMS; i++)
		n += l->to[i].out.cap + receiver_held(&l->from[i]);
	return n;
}
