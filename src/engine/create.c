/* SPDX-License-Identifier: ISC */
/* A bucket comes, or is asked to be more than it is. */

#include "engine/internal.h"

/* What a bucket that lives is asked to be as well.  Its ttl_max is part of what
 * its records are, so it changes only while there are none. */
static int
create_join(struct engine *e, const struct bucket *b, uint32_t *options)
{
	uint32_t ttl = *options & ~BUCKET_FLAGS,
		 own = b->options & ~BUCKET_FLAGS;
	struct totals sums;
	int rc;

	if (ttl != 0 && ttl != own) {
		if ((rc = engine_totals(e, b, &sums)) < 0)
			return rc;
		if (sums.keys > 0)
			return KV_EEXIST;
		own = ttl;
	}
	*options = ((*options | b->options) & BUCKET_FLAGS) | own;
	return KV_OK;
}

int
engine_create(struct engine *e, struct kv_slice name, uint32_t options)
{
	struct bucket b;
	int rc;

	if (name.len == 0 || name.len > KV_BUCKET_MAX)
		return KV_ETOOBIG;
	rc = engine_bucket_row(e, name, &b);
	if (rc == KV_ENOTFOUND)
		b = (struct bucket){ .bid = engine_bucket_id(name) };
	else if (rc < 0)
		return rc;
	else if (bucket_is_live(&b)) {
		if ((rc = create_join(e, &b, &options)) < 0 ||
		    options == b.options)
			return rc;
	}
	b.options = options;
	return stage_bucket_row(e, name, &b, STAGE_CREATE);
}
