/* SPDX-License-Identifier: ISC */
/* A bucket comes, of all hosts or of this one alone, or is asked to be more than
 * it is. */

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

/* An id is a hash, of 40 bits for a local bucket: where there are 100,000, two
 * names share one in one store of 200. */
static int
create_new(struct engine *e, struct kv_slice row_name, struct bucket *b)
{
	struct bucket other;
	struct kv_slice name;
	int rc;

	*b = (struct bucket){ .bid = engine_bucket_id(row_name) };
	if (stage_find_bucket(e, b->bid) != NULL)
		return KV_EEXIST;
	rc = engine_bucket_by_id(e, b->bid, &name, &other);
	if (rc == KV_OK)
		return KV_EEXIST;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

int
engine_create_in(struct engine *e, enum scope scope, struct kv_slice name,
    uint32_t options)
{
	char room[SCOPE_NAME_MAX];
	struct kv_slice row_name;
	struct bucket b;
	int rc;

	if (name.len == 0 || name.len > KV_BUCKET_MAX)
		return KV_ETOOBIG;
	/* From now on names are looked for among them, too. */
	if (scope == SCOPE_LOCAL)
		atomic_fetch_add(&e->control->locals, 1);
	row_name = scope_row_name(scope, name, room);
	rc = engine_row_in(e, scope, name, &b);
	if (rc == KV_ENOTFOUND)
		rc = create_new(e, row_name, &b);
	if (rc < 0)
		return rc;
	if (bucket_is_live(&b)) {
		if ((rc = create_join(e, &b, &options)) < 0 ||
		    options == b.options)
			return rc;
	}
	b.options = options;
	return stage_bucket_row(e, row_name, &b, STAGE_CREATE);
}

/* Local buckets of an older make have the id, and the row, of one that all
 * hosts have. */
static int
create_old_local(struct engine *e, struct kv_slice name, enum scope *scope)
{
	const struct bucket *b;
	int rc = engine_bucket_in(e, SCOPE_GLOBAL, name, &b);

	if (rc == KV_OK && b->options & BUCKET_LOCAL)
		*scope = SCOPE_GLOBAL;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

int
engine_create(struct engine *e, struct kv_slice name, uint32_t options)
{
	enum scope scope = SCOPE_LOCAL;
	int rc;

	rc = options & BUCKET_LOCAL ? create_old_local(e, name, &scope)
				    : engine_scope(e, name, &scope);
	if (rc < 0)
		return rc;
	if (scope == SCOPE_LOCAL)
		options |= BUCKET_LOCAL;
	return engine_create_in(e, scope, name, options);
}
