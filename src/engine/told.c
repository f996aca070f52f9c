/* SPDX-License-Identifier: ISC */
/* What a record tells beside its change: why it was made. */

#include "engine/internal.h"

void
engine_because(struct engine *e, uint8_t cause)
{
	e->stage.cause = cause;
	e->stage.cause_from = e->stage.count;
}

int
engine_put_built(struct engine *e, const struct bucket *b, struct kv_slice key,
    struct kv_slice value, uint64_t deadline)
{
	int rc;

	e->stage.built = true;
	rc = engine_put(e, b, key, value, deadline);
	e->stage.built = false;
	return rc;
}

/* Was one like it staged a moment ago, for the same cause?  What a deadline
 * adds between two fields of a hash is looked past. */
static bool
told_again(const struct stage *s, uint32_t bucket, const struct record *r)
{
	size_t i = s->count, most = 4;

	while (i-- > s->cause_from && most-- > 0)
		if (s->items[i].bucket == bucket &&
		    stage_bytes(s, i)->type == (uint8_t)r->type)
			return true;
	return false;
}

void
told_encode(struct stage *s, const struct stage_item *item,
    const struct record *r)
{
	struct record told = *r;

	if (s->built)
		told.flags |= RECORD_BUILT;
	told.cause = s->cause;
	if (s->cause != 0 && told_again(s, item->bucket, r))
		told.marks |= RECORD_AGAIN;
	wal_record_encode(s->bytes.data + item->offset, &told);
}

void
told_new(struct wal_record *w, const struct count *before, uint64_t now_ms)
{
	if (!before->live ||
	    (before->deadline != 0 && before->deadline <= now_ms))
		w->marks |= RECORD_NEW;
}
