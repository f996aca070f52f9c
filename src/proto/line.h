/* SPDX-License-Identifier: ISC */
#ifndef KV_PROTO_LINE_H
#define KV_PROTO_LINE_H

/* The line protocol, both directions (man/kv-protocol.7).
 *
 * A line ends with LF.  Words are separated by the white space of Unicode that
 * is not "no-break" (09-0D 20 85 1680 2000-2006 2008-200A 2028 2029 205F 3000)
 * in UTF-8; all other bytes, also those that are not UTF-8, belong to words
 * and mean nothing. */

#include <stdbool.h>

#include "proto/reply.h"
#include "proto/request.h"

/* Zeroed at the start; offsets only, so the input may move between calls (the
 * same contract as resp.h). */
struct line_parser {
	size_t scanned;	 /* no LF before this */
	bool discarding; /* in the rest of a line that was too long */
};

/* The next line of the input.  Whatever the result, drop req->used bytes from
 * the front of the input before the next call.
 *
 * KV_OK      a line; req->count is the number of its words, 0 for a blank one,
 *            but only the first REQUEST_ARGS_EMBEDDED words are in req->args.
 * KV_EMORE   no whole line yet.
 * KV_ETOOBIG a line of more than max bytes before its LF: answer once; its rest
 *            will be skipped by later calls.
 * KV_EPROTO  the line has the form *<digits>: it begins a RESP request.  The
 *            line is not used up: give what is left to resp_parse() from now
 *            on. */
KV_CHECKED int line_parse(struct line_parser *p, struct kv_slice in, size_t max,
    struct request *req);

/* Split text without line end into words, as above. */
void line_split(struct kv_slice text, struct request *req);

/* How many bytes of white space *p begins with, 0 when it is none. */
size_t line_space(const char *p, const char *end);

/* Answers.  Values go out as they are. */
void line_ok(struct reply *r);
void line_value(struct reply *r, struct kv_slice value); /* and OK */
void line_not_found(struct reply *r);
void line_unknown(struct reply *r);
void line_error(struct reply *r, const char *why);     /* ERROR why */
void line_item(struct reply *r, struct kv_slice text); /* a line as it is */
void line_number(struct reply *r, int64_t x);

/* Notifications. */
void line_set_to(struct reply *r, struct kv_slice key, struct kv_slice value);
void line_deleted(struct reply *r, struct kv_slice key);
void line_gap(struct reply *r);

#endif
