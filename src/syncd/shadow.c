/* SPDX-License-Identifier: ISC */
/* What comes in the shadow of a local bucket. */

#include "syncd/shadow.h"

#include <ctype.h>
#include <stdatomic.h>
#include <string.h>

#include "base/log.h"

/* Does a bucket of all hosts live that is called so and is not meant? */
static int
shadow_lies_on(struct engine *e, struct kv_slice name, bool *local, bool *there)
{
	const struct bucket *b;
	enum scope scope;
	int rc;

	if ((rc = engine_scope(e, name, &scope)) < 0)
		return rc;
	*local = scope == SCOPE_LOCAL;
	rc = engine_bucket_in(e, SCOPE_GLOBAL, name, &b);
	*there = rc == KV_OK;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

int
shadow_note(struct engine *e, const struct sync_batch *b, struct buf *to)
{
	bool local, there;
	size_t i;
	int rc = KV_OK;

	to->len = 0;
	if (atomic_load(&engine_control(e)->locals) == 0)
		return KV_OK;
	for (i = 0; rc == KV_OK && i < b->count; i++) {
		const struct record *r = &b->changes[i].item.record;

		/* Ours are noted for hashes of both kinds. */
		if (r->type != RECORD_BUCKET || bucket_is_hidden(r->key))
			continue;
		rc = shadow_lies_on(e, r->key, &local, &there);
		if (rc == KV_OK && local && !there)
			rc = buf_append(to, &i, sizeof(i));
	}
	return rc;
}

static void
shadow_tell_one(struct kv_slice name)
{
	char text[KV_BUCKET_MAX + 1];
	size_t i;

	for (i = 0; i < name.len && i < KV_BUCKET_MAX; i++)
		text[i] =
		    isprint((unsigned char)name.data[i]) && name.data[i] != '"'
		    ? name.data[i]
		    : '?';
	text[i] = '\0';
	log_warn(
	    "bucket shadowed bucket=\"%s\" effect=\"other hosts have one of "
	    "this name; here it means the one of this host alone\"",
	    text);
}

void
shadow_tell(struct engine *e, const struct sync_batch *b,
    const struct buf *noted)
{
	bool local, there;
	size_t at, i;

	for (at = 0; at < noted->len; at += sizeof(i)) {
		memcpy(&i, noted->data + at, sizeof(i));
		if (shadow_lies_on(e, b->changes[i].item.record.key, &local,
			&there) == KV_OK &&
		    local && there)
			shadow_tell_one(b->changes[i].item.record.key);
	}
}
