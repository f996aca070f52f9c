/* SPDX-License-Identifier: ISC */
#ifndef KV_PROTO_RESP_H
#define KV_PROTO_RESP_H

/* Requests in Redis' protocol (https://redis.io/docs/reference/protocol-spec):
 * arrays of bulk strings, and inline commands with the quoting of Redis'
 * sdssplitargs().  Answers and error texts are those of Redis 7.0.
 *
 * A connection keeps one struct resp_parser, zeroed at the start.  It holds
 * offsets only, so the buffer may be moved or compacted between calls, as
 * long as
 *  - the first byte given is the first one after the bytes dropped so far,
 *  - bytes given once are given again, unchanged, with more behind them, until
 *    req->used says that they are done with.
 * Nothing is scanned twice because it came in pieces: the parser remembers how
 * far it got, and a request that needed several calls is gone over once more,
 * length by length, when its last byte is there. */

#include <stdbool.h>

#include "proto/request.h"

/* After bulk and inline, Redis' own: what a client that has yet to
 * authenticate may send. */
#define RESP_GUEST_ARGS 10
#define RESP_GUEST_BULK 16384
#define RESP_INLINE_MAX 65536

struct resp_limits {
	size_t bulk;	    /* bytes in one argument, at most SIZE_MAX / 4 */
	size_t inline_line; /* bytes in an inline command or a count line */
	bool guest;	    /* not authenticated yet */
};

enum resp_fault {
	RESP_FINE,
	RESP_BAD_MULTIBULK,
	RESP_BAD_BULK,
	RESP_NO_DOLLAR,
	RESP_BIG_INLINE,
	RESP_BIG_MULTIBULK_COUNT,
	RESP_BIG_BULK_COUNT,
	RESP_UNBALANCED,
	RESP_GUEST_MULTIBULK,
	RESP_GUEST_BULK_LENGTH,
};

struct resp_parser {
	size_t at;	/* where the element in progress begins */
	size_t scanned; /* no line end before this */
	size_t need;	/* after KV_EMORE: at least so many bytes more, >= 1 */
	uint32_t left;	/* arguments still to come */
	uint8_t fault;	/* enum resp_fault, after KV_EPROTO */
	char byte;	/* what stood where '$' was expected */
};

/* The next request of the input.  Whatever the result, drop req->used bytes
 * from the front of the input before the next call (after KV_OK: when done
 * with the request).
 *
 * KV_OK      req has at least one argument.  Empty lines and arrays of no
 *            elements before it were skipped, as Redis does.
 * KV_EMORE   not all there yet; p->need is a hint for sizing the buffer: it
 *            covers the rest of a bulk string whose length line was seen, which
 *            is at most limits->bulk.  The whole request is not bounded here:
 *            who buffers it must (REQUEST_ARGS_MAX bulks may follow).
 * KV_EPROTO  answer resp_fault_text() and close: there is no way to go on.
 * KV_ENOMEM  close. */
KV_CHECKED int resp_parse(struct resp_parser *p, struct kv_slice in,
    const struct resp_limits *limits, struct request *req);

/* "Protocol error: invalid bulk length" and so on, without the "-ERR ",
 * written to to, which is returned. */
#define RESP_FAULT_MAX 64
const char *resp_fault_text(const struct resp_parser *p,
    char to[RESP_FAULT_MAX]);

#endif
