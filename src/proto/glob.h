/* SPDX-License-Identifier: ISC */
#ifndef KV_PROTO_GLOB_H
#define KV_PROTO_GLOB_H

/* Redis' glob patterns (stringmatchlen() in its util.c): * ? [a-z] [^a] and \
 * before a byte that is to mean itself.  Bytes, not characters. */

#include <stdbool.h>

#include "base/buf.h"

/* Never exponential, no recursion; a pattern so hostile that it would take
 * millions of steps matches nothing. */
bool glob_match(struct kv_slice pattern, struct kv_slice text,
    bool ignore_case);

/* What every match (with ignore_case false) begins with; borrows from the
 * pattern.  As long as the pattern: it matches only itself. */
struct kv_slice glob_literal_prefix(struct kv_slice pattern);

/* Does it match everything, as "*" does? */
bool glob_is_all(struct kv_slice pattern);

#endif
