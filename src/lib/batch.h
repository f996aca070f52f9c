/* SPDX-License-Identifier: ISC */
#ifndef KV_LIB_BATCH_H
#define KV_LIB_BATCH_H

/* A batch is a list of changes in one buffer.  It is kept apart from the
 * engine's stage so that it can be staged again when a commit has to be
 * repeated. */

#include <kv.h>

#include "base/buf.h"

enum batch_kind {
	BATCH_PUT,
	BATCH_DELETE,
	BATCH_CREATE,
	BATCH_DROP,
	BATCH_EXPECT,
};

struct batch_change {
	enum batch_kind kind;
	uint64_t number; /* deadline of a put, seq of an expectation, enum
			  * bucket_option and more of a create */
	struct kv_slice bucket, key, value;
};

struct kv_batch {
	struct buf bytes;
	size_t changes;
	size_t expectations;
};

/* The change at *at, then step; false at the end. */
bool batch_next(const struct kv_batch *b, size_t *at, struct batch_change *out);

#endif
