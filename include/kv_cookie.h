/* SPDX-License-Identifier: ISC */
#ifndef KV_COOKIE_H
#define KV_COOKIE_H

/* A part of kv.h, which includes it. */

#include <stdbool.h>

#include <kv_types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the cookie: the secret that hosts share -------------------------- */

/* A file of up to four lines "generation secret", or one bare secret (kv(1),
 * cookie).  No secret comes out of these calls but into the file, and none
 * stands in an error's text. */

#define KV_COOKIE_LINES 4
#define KV_COOKIE_FINGERPRINT 9 /* eight hex digits and a NUL */

struct kv_cookie_line {
	uint8_t generation; /* says which secret is meant; public */
	bool weak;	    /* below 16 bytes */
	char fingerprint[KV_COOKIE_FINGERPRINT];
};

struct kv_cookie {
	size_t count; /* at least 1; hosts dial with the first */
	struct kv_cookie_line lines[KV_COOKIE_LINES];
};

/* What was found and what was expected: one line, without the file's name. */
struct kv_cookie_error {
	char text[256];
};

/* ~/.kv.cookie.  KV_ENOTFOUND: no HOME; KV_ETOOBIG: size is too small. */
KV_API KV_CHECKED int kv_cookie_default_file(char *to, size_t size);

/* Make a file with one new secret of 256 random bits: mode 0600, whole or not
 * at all, on the disk when this returns.  KV_EEXIST: it is there already and
 * replace is not set.  KV_EINVAL: something is there that is no file, which is
 * never replaced.  KV_ENOTFOUND: no such folder.  KV_EACCESS, KV_ENOSPC. */
KV_API KV_CHECKED int kv_cookie_new(const char *path, uint8_t generation,
    bool replace, struct kv_cookie_error *e);

/* Write what such a file would have, secret included, to fd. */
KV_API KV_CHECKED int kv_cookie_write(int fd, uint8_t generation,
    struct kv_cookie_error *e);

/* What is in a file.  With the name of a cluster also fingerprints, equal
 * where secret and cluster are: 64 MiB and some 70 ms for each; NULL: none.
 * A weak secret can be found from its fingerprint, so not for logs.
 * KV_ENOTFOUND; KV_EACCESS: others own it or have rights to it; KV_EINVAL: a
 * link, no file, or damaged; KV_ETOOBIG. */
KV_API KV_CHECKED int kv_cookie_show(const char *path, const char *cluster,
    struct kv_cookie *out, struct kv_cookie_error *e);

#ifdef __cplusplus
}
#endif

#endif
