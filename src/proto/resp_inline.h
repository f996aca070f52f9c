/* SPDX-License-Identifier: ISC */
#ifndef KV_PROTO_RESP_INLINE_H
#define KV_PROTO_RESP_INLINE_H

/* The words of an inline command, split as Redis' sdssplitargs() does: at ASCII
 * white space; "..." with \n \r \t \b \a \xHH and \c, '...' with \', a quote
 * may begin inside a word, and a closing quote must stand before white space
 * or the end.  Unlike Redis, NUL is an ordinary byte. */

#include "proto/request.h"

/* line is without its line end.  Words with quotes live in req->scratch, the
 * others borrow from line.  KV_EINVAL: unbalanced quotes; KV_ENOMEM. */
KV_CHECKED int resp_inline_split(struct kv_slice line, struct request *req);

#endif
