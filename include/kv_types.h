/* SPDX-License-Identifier: ISC */
#ifndef KV_TYPES_H
#define KV_TYPES_H

/* What every layer shares: result codes, the borrowed slice, the limits. */

#include <stddef.h>
#include <stdint.h>

/* KV_API: what a program may call. */
#if defined(__GNUC__)
#define KV_API __attribute__((visibility("default")))
#define KV_CHECKED __attribute__((warn_unused_result))
#define KV_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define KV_API
#define KV_CHECKED
#define KV_PRINTF(fmt, args)
#endif

/* The one list of results.  Zero is success, failures are negative; an
 * answer such as "not found" is a code too but nothing went wrong. */
#define KV_RESULTS(X)                                                          \
	X(KV_OK, 0, "ok")                                                      \
	X(KV_ENOTFOUND, -1, "not found")                                       \
	X(KV_ENOMEM, -2, "out of memory")                                      \
	X(KV_ESYSTEM, -3, "system call failed")                                \
	X(KV_EINVAL, -4, "invalid argument")                                   \
	X(KV_ETOOBIG, -5, "too large")                                         \
	X(KV_ECORRUPT, -6, "corrupt data")                                     \
	X(KV_EVERSION, -7, "made by another version of kv")                    \
	X(KV_EBUSY, -8, "busy")                                                \
	X(KV_EAGAIN, -9, "log full, checkpoint in progress")                   \
	X(KV_ENOSPC, -10, "no space left")                                     \
	X(KV_EEXIST, -11, "exists already")                                    \
	X(KV_ETIMEOUT, -12, "timed out")                                       \
	X(KV_ECLOSED, -13, "closed")                                           \
	X(KV_EPROTO, -14, "protocol error")                                    \
	X(KV_EACCESS, -15, "permission denied")                                \
	X(KV_ETYPE, -16, "wrong kind of value")                                \
	X(KV_EMORE, -17, "more input needed")                                  \
	X(KV_ESTALE, -18, "changed meanwhile, try again")

enum kv_result {
#define X(name, value, text) name = (value),
	KV_RESULTS(X)
#undef X
};

/* Bytes that belong to somebody else; never outlives what it came from. */
struct kv_slice {
	const char *data;
	size_t len;
};

#define KV_KEY_MAX 500
#define KV_BUCKET_MAX 255

#endif
