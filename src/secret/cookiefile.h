/* SPDX-License-Identifier: ISC */
#ifndef KV_SECRET_COOKIEFILE_H
#define KV_SECRET_COOKIEFILE_H

/* Cookies (sync/cookie.h) on disk: making a file that nobody else can read,
 * reading one that nobody else could have read or written. */

#include <stdbool.h>

#include "sync/cookie.h"

/* What was found and what was expected: one line for the one who named the
 * file, without its name and without any of its bytes.  No log lines. */
struct cookiefile_error {
	char text[256];
};

/* Make a file with one new secret: mode 0600, whole or not at all, on the disk
 * when this returns.  KV_EEXIST: it is there already and replace is not set.
 * KV_EINVAL: something is there that is no file, which is never replaced.
 * KV_ENOTFOUND: no such folder.  KV_EACCESS, KV_ENOSPC. */
KV_CHECKED int cookiefile_make(const char *path, uint8_t generation,
    bool replace, struct cookiefile_error *e);

/* Could it be made?  Nothing is touched. */
KV_CHECKED int cookiefile_may_make(const char *path,
    struct cookiefile_error *e);

/* Write what such a file would have to fd. */
KV_CHECKED int cookiefile_write(int fd, uint8_t generation,
    struct cookiefile_error *e);

/* A cookie in locked memory. */
struct cookiefile {
	struct cookie cookie; /* borrows from text */
	char *text;
};

/* KV_ENOTFOUND; KV_EACCESS: others own it or have rights to it; KV_EINVAL: a
 * link, no file, or damaged; KV_ETOOBIG. */
KV_CHECKED int cookiefile_read(const char *path, bool allow_weak,
    struct cookiefile *out, struct cookiefile_error *e);

/* Wipe it. */
void cookiefile_fini(struct cookiefile *c);

#endif
