/* SPDX-License-Identifier: ISC */
#ifndef KV_CONF_ERROR_H
#define KV_CONF_ERROR_H

/* What is wrong with a configuration, in one line for the one who wrote it. */

#include "conf/options.h"
#include "kv_types.h"

struct conf_error {
	char text[640]; /* one line, no newline, printable */
};

/* Write the line, make it printable, return rc. */
int error_set(struct conf_error *e, int rc, const char *fmt, ...)
    KV_PRINTF(3, 4);

/* `port: "70000" (flag -p): expected ports from 0 to 65535 ...`; KV_EINVAL. */
int error_bad_value(struct conf_error *e, enum conf_id id, const char *value,
    const char *origin);

/* `unknown option "prot" (file:3), did you mean "port"?`; KV_EINVAL. */
int error_unknown(struct conf_error *e, const char *name, const char *origin);

#endif
