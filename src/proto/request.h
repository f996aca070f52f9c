/* SPDX-License-Identifier: ISC */
#ifndef KV_PROTO_REQUEST_H
#define KV_PROTO_REQUEST_H

/* One request as it came in: the words of a line, the arguments of a RESP
 * command.
 *
 * A request is long-lived and reused: one per worker, not one per connection
 * (it is over 1 KiB and must not be moved or copied).  What a connection keeps
 * between reads is its small parser (resp.h, line.h).
 *
 * The arguments borrow from the input given to the parser, or from scratch
 * when an inline command had quotes: they are gone when that input moves and
 * when the request is parsed into again. */

#include "base/buf.h"

#define REQUEST_ARGS_MAX 1048576 /* Redis' limit */
#define REQUEST_ARGS_EMBEDDED 64

struct request {
	struct kv_slice *args;
	size_t count; /* of args */
	size_t used; /* bytes of input to drop, also when there is no request */
	size_t cap;
	struct buf scratch;
	struct kv_slice embedded[REQUEST_ARGS_EMBEDDED];
};

void request_init(struct request *r);
void request_fini(struct request *r);

/* Room for one more argument.  KV_ENOMEM leaves r as it was. */
KV_CHECKED int request_grow(struct request *r);

/* Give back what an unusually large request took; the arguments are gone. */
void request_trim(struct request *r);

#endif
