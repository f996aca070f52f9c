/* SPDX-License-Identifier: ISC */
#ifndef KV_BASE_SCOPE_H
#define KV_BASE_SCOPE_H

/* The two spaces of buckets.  One of this host alone and one that all hosts
 * have may be called alike: they have nothing else in common.
 *
 * What clients say is a bare name.  A bucket's row is kept, in the log and in
 * the tree, under its row name: the bare name of one that all hosts have, and
 * of one of this host alone that with a prefix which no bare name begins with,
 * because such names are the server's own.  Ids say what they are of. */

#include <string.h>

#include "base/record.h"

enum scope {
	SCOPE_GLOBAL,
	SCOPE_LOCAL,
};

#define SCOPE_PREFIX "\001local/"
#define SCOPE_PREFIX_LEN (sizeof(SCOPE_PREFIX) - 1)
#define SCOPE_PREFIX_END "\001local0" /* behind all row names that have it */
#define SCOPE_NAME_MAX (KV_BUCKET_MAX + SCOPE_PREFIX_LEN)

/* The ids of local buckets are those from here on. */
#define SCOPE_LOCAL_IDS 0xffffff0000000000u

static inline enum scope
scope_of_id(uint64_t bid)
{
	return bid >= SCOPE_LOCAL_IDS ? SCOPE_LOCAL : SCOPE_GLOBAL;
}

static inline enum scope
scope_of_name(struct kv_slice row_name)
{
	return row_name.len >= SCOPE_PREFIX_LEN &&
		memcmp(row_name.data, SCOPE_PREFIX, SCOPE_PREFIX_LEN) == 0
	    ? SCOPE_LOCAL
	    : SCOPE_GLOBAL;
}

/* What clients call a bucket. */
static inline struct kv_slice
scope_bare(struct kv_slice row_name)
{
	if (scope_of_name(row_name) == SCOPE_LOCAL) {
		row_name.data += SCOPE_PREFIX_LEN;
		row_name.len -= SCOPE_PREFIX_LEN;
	}
	return row_name;
}

/* What its row is kept under; a bare name is at most KV_BUCKET_MAX long.
 * Borrows from `to`, or is the bare name. */
static inline struct kv_slice
scope_row_name(enum scope scope, struct kv_slice bare, char to[SCOPE_NAME_MAX])
{
	if (scope == SCOPE_GLOBAL)
		return bare;
	memcpy(to, SCOPE_PREFIX, SCOPE_PREFIX_LEN);
	memcpy(to + SCOPE_PREFIX_LEN, bare.data, bare.len);
	return (struct kv_slice){ to, SCOPE_PREFIX_LEN + bare.len };
}

#endif
