/* SPDX-License-Identifier: ISC */
#ifndef KV_SKIP_H
#define KV_SKIP_H

/* Stepping over answers as fast as can be: only where one ends matters, and
 * whether it was an error. */

#include <stdbool.h>
#include <stddef.h>

/* Zeroed at the start. */
struct skip {
	size_t bytes;	/* of a string, still to come */
	size_t open;	/* values still to come before the answer is whole */
	bool failed;	/* an error was seen */
	char error[96]; /* the first one's text */
};

/* Go over n bytes; returns how many were used up, at most n: a line in two
 * pieces is given again as a whole.  *answers grows by those that ended.
 * lines: 0 for RESP, else how many lines make an answer.  Bytes that are no
 * RESP count as an error. */
size_t skip_answers(struct skip *s, const char *p, size_t n, unsigned lines,
    size_t *answers);

#endif
