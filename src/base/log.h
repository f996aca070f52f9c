/* SPDX-License-Identifier: ISC */
#ifndef KV_BASE_LOG_H
#define KV_BASE_LOG_H

/* One line per event on stderr: verb, then key=value.  error: someone must
 * act.  warn: we coped.  info: life of the process.  debug: off by default.
 * Never a key's value, never a secret, never twice. */

#include "kv_types.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/* Name shown in each line (borrowed for the life of the process) and the
 * least urgent level that is shown.  Default: "kv", info. */
void log_init(const char *program, enum log_level level);

void log_error(const char *fmt, ...) KV_PRINTF(1, 2);
void log_warn(const char *fmt, ...) KV_PRINTF(1, 2);
void log_info(const char *fmt, ...) KV_PRINTF(1, 2);
void log_debug(const char *fmt, ...) KV_PRINTF(1, 2);

#endif
