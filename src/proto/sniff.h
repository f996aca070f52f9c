/* SPDX-License-Identifier: ISC */
#ifndef KV_PROTO_SNIFF_H
#define KV_PROTO_SNIFF_H

/* Which protocol a new connection speaks (man/kv-protocol.7, "Which protocol"):
 * its first line decides. */

#include <stdbool.h>

#include "base/buf.h"

enum sniff_answer {
	SNIFF_MORE,  /* no whole line yet */
	SNIFF_LINE,  /* line_parse() from the first byte on */
	SNIFF_RESP,  /* resp_parse() from the first byte on */
	SNIFF_BLANK, /* one blank line, nothing after it: Redis clients may send
		      * one first.  Ask again with more bytes, or after 20 ms of
		      * silence take it for SNIFF_LINE */
	SNIFF_CLOSE, /* HTTP: close without an answer */
};

/* Zeroed at the start; the contract for the input is that of resp.h, and no
 * byte is used up by sniffing. */
struct sniffer {
	size_t scanned; /* no LF before this */
};

/* max is the limit that line_parse() will be given: a first line longer than
 * that is line mode's to refuse.  is_command says whether a word names a Redis
 * command, in any case. */
enum sniff_answer sniff_protocol(struct sniffer *s, struct kv_slice in,
    size_t max, bool (*is_command)(struct kv_slice word));

#endif
