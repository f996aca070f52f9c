/* SPDX-License-Identifier: ISC */
/* A bucket goes, and its keys with it: who follows them is told of each, as if
 * they had been deleted one by one.  A bucket of many keys is one record all
 * the same, marked as hiding what nobody was told of. */

#include "engine/internal.h"
#include "engine/scan.h"

#define DROP_TELL_KEYS 1000	   /* of one bucket */
#define DROP_TELL_BYTES (1u << 20) /* of what is staged in all */

static int
drop_tell_key(struct engine *e, const struct bucket *b, const struct record *r)
{
	/* One that is staged has no stamp yet that could be handed on. */
	if (record_is_expired(r, e->now_ms) && r->stamp.tick < STAGE_TICK)
		return engine_expire(e, b, r);
	return stage_tomb(e, b, r->key, RECORD_DROP);
}

static int
drop_tell(struct engine *e, const struct bucket *b)
{
	struct totals sums;
	struct record r;
	struct scan *s;
	int rc;

	if ((rc = engine_totals(e, b, &sums)) < 0)
		return rc;
	if (sums.keys == 0 || sums.keys > DROP_TELL_KEYS ||
	    e->stage.bytes.len > DROP_TELL_BYTES ||
	    e->stage.bytes.len > e->segment_size / 8)
		return KV_OK;
	if ((rc = scan_open(e, b, &s)) < 0)
		return rc;
	scan_also_expired(s);
	while ((rc = scan_next(s, &r)) == KV_OK)
		if ((rc = drop_tell_key(e, b, &r)) < 0)
			break;
	scan_close(s);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

int
engine_drop_in(struct engine *e, enum scope scope, struct kv_slice name)
{
	char room[SCOPE_NAME_MAX];
	struct bucket b;
	int rc;

	if ((rc = engine_row_in(e, scope, name, &b)) < 0)
		return rc;
	if (!bucket_is_live(&b))
		return KV_ENOTFOUND;
	if ((rc = drop_tell(e, &b)) < 0)
		return rc;
	return stage_bucket_row(e, scope_row_name(scope, name, room), &b,
	    STAGE_DROP);
}

int
engine_drop(struct engine *e, struct kv_slice name)
{
	enum scope scope;
	int rc = engine_scope(e, name, &scope);

	return rc < 0 ? rc : engine_drop_in(e, scope, name);
}
