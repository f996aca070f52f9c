/* SPDX-License-Identifier: ISC */
#ifndef KV_PRINT_H
#define KV_PRINT_H

/* Output: bytes as they are into a file or pipe, made readable and harmless
 * for a terminal; colours only there and not with NO_COLOR
 * (https://no-color.org); JSON one value a line. */

#include <jansson.h>
#include <kv.h>

void print_bytes(struct kv_slice s);

/* In double quotes with escapes, wherever it goes. */
void print_quoted(struct kv_slice s);

bool print_is_terminal(void);

enum print_colour { PRINT_PLAIN, PRINT_GREEN, PRINT_RED, PRINT_DIM };
void print_coloured(enum print_colour colour, const char *text);

/* A string, or when the bytes are no UTF-8 {"base64": "..."}. */
json_t *print_to_json(struct kv_slice s);

/* A number as a string: readers that keep numbers in doubles would lose the
 * end of a seq. */
json_t *print_number_to_json(uint64_t x);

/* One line; takes the reference. */
void print_json(json_t *value);

/* Of the wall clock, in local time: "2026-11-22 12:15:39". */
void print_time(uint64_t ms);

/* How far a long job is, as a line on stderr: on a terminal only, and not in
 * its first second. */
struct print_progress {
	const char *what;
	int64_t began_ms;
	int percent; /* shown, -1: nothing */
	bool on_terminal;
};

void print_progress_begin(struct print_progress *p, const char *what);
void print_progress(struct print_progress *p, uint64_t done, uint64_t of);
void print_progress_end(struct print_progress *p); /* and before other output */

/* Flush; EXIT_TROUBLE after saying so when output was lost. */
int print_end(int code);

#endif
