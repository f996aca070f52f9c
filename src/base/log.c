/* SPDX-License-Identifier: ISC */
/* The log sink: one write(2) per line, so that lines of several processes
 * on one stderr never mix. */

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX 1024

static const char *log_program = "kv";
static enum log_level log_max = LOG_LEVEL_INFO;

void
log_init(const char *program, enum log_level level)
{
	log_program = program;
	log_max = level;
}

static size_t
log_prefix(char *line, size_t size, const char *level)
{
	struct timespec now;
	struct tm tm;
	char stamp[32];
	int n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	n = snprintf(line, size, "%s.%03ldZ %s[%d] %s: ", stamp,
	    now.tv_nsec / 1000000, log_program, (int)getpid(), level);
	return n < 0 ? 0 : (size_t)n;
}

static void KV_PRINTF(3, 0) log_line(enum log_level level, const char *name,
    const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX];
	size_t len;
	int n;

	if (level > log_max)
		return;
	len = log_prefix(line, sizeof(line), name);
	n = vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	len += n < 0 ? 0 : (size_t)n;
	if (len > sizeof(line) - 1)
		len = sizeof(line) - 1;
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nobody left to tell */
}

#define LOG_FUNCTION(function, level, name)                                    \
	void function(const char *fmt, ...)                                    \
	{                                                                      \
		va_list ap;                                                    \
                                                                               \
		va_start(ap, fmt);                                             \
		log_line(level, name, fmt, ap);                                \
		va_end(ap);                                                    \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR, "error")
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN, "warn")
LOG_FUNCTION(log_info, LOG_LEVEL_INFO, "info")
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG, "debug")
