/* SPDX-License-Identifier: ISC */
#ifndef KV_SERVE_MARKS_H
#define KV_SERVE_MARKS_H

/* Which output waits for which position of the log: one queue for all
 * connections, in the order of the replies.  The queue is looked at from its
 * head only, so a reply may wait for the position of one before it: those are
 * microseconds apart and become durable by the same write. */

#include <stdbool.h>

#include "kv_types.h"

struct conn;

struct mark {
	struct conn *conn;
	uint64_t lsn;
	uint64_t offset; /* of the connection's output: may leave up to here */
};

struct marks {
	struct mark *ring;
	size_t cap; /* a power of two, or 0 */
	size_t head;
	size_t tail;
};

void marks_fini(struct marks *m);
KV_CHECKED int marks_push(struct marks *m, struct mark mark);

/* The oldest, or NULL. */
const struct mark *marks_first(const struct marks *m);
void marks_pop(struct marks *m);

#endif
