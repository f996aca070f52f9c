/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_COOKIE_H
#define KV_SYNC_COOKIE_H

/* The cookie file: the secrets that let hosts trust each other (man
 * kv-sync.7).
 *
 *	# comments and blank lines anywhere
 *	2 q3Jm0k...		the first line: used when dialling
 *	1 oldsecret		every line: accepted from others
 *
 * A generation is 0 to 255, and public: it says which of the secrets is meant.
 * A file of one token only, as Erlang's, means generation 0.  Reading the file
 * is the program's: open(O_NOFOLLOW | O_CLOEXEC), fstat, cookie_check_file(),
 * read, cookie_parse(), and wiping the bytes when the keys are made. */

#include <stdbool.h>
#include <sys/stat.h>

#include "kv_types.h"

#define COOKIE_FILE_MAX 4096
#define COOKIE_LINES_MAX 4
#define COOKIE_SECRET_MIN 16 /* shorter ones are weak */

struct cookie_line {
	uint8_t generation;
	struct kv_slice secret; /* borrows from what was parsed */
};

struct cookie {
	size_t count; /* at least 1 */
	struct cookie_line lines[COOKIE_LINES_MAX];
};

/* What is wrong, for the one who wrote the file; never any of its bytes. */
struct cookie_error {
	char text[160];
};

/* Refuse a file that others could have read or written.  KV_EACCESS; KV_EINVAL
 * for what is no file; KV_ETOOBIG. */
KV_CHECKED int cookie_check_file(const struct stat *st, uid_t euid,
    struct cookie_error *e);

/* KV_EINVAL with a line number and what was expected; KV_ETOOBIG.  Weak
 * secrets are an error unless allow_weak. */
KV_CHECKED int cookie_parse(struct kv_slice text, bool allow_weak,
    struct cookie *out, struct cookie_error *e);

bool cookie_is_weak(const struct cookie *c);

/* Half the time it takes to try all secrets made like the weakest one of c
 * (same length, same kinds of characters) at so many guesses a second:
 * seconds, UINT64_MAX when it does not fit. */
uint64_t cookie_guess_seconds(const struct cookie *c, unsigned per_second);

/* A whole new file with one line, a secret of 256 random bits; *len is without
 * the NUL.  Wipe it. */
#define COOKIE_NEW_FILE_MAX 256
void cookie_new_file(uint8_t generation, char to[COOKIE_NEW_FILE_MAX],
    size_t *len);

#endif
