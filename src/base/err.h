/* SPDX-License-Identifier: ISC */
#ifndef KV_BASE_ERR_H
#define KV_BASE_ERR_H

/* Failures.  Who makes a system call logs its failure once, here; the rest
 * passes the code up in silence. */

#include "kv_types.h"

/* Text of a result code; static, never NULL. */
const char *err_text(int rc);

/* Log "<call> <object>: <strerror(errno)>" as an error and return the code
 * that fits errno (KV_ENOSPC, KV_ENOMEM, KV_EACCESS, else KV_ESYSTEM). */
int err_system(const char *call, const char *object);

/* The code that fits an errno value, without a log line. */
int err_from_errno(int errnum);

#endif
