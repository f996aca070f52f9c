/* SPDX-License-Identifier: ISC */

/* Messages, exit codes, arguments that are numbers. */

#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

void
tool_say(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	fputs("kv: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

void
tool_hide(void)
{
	struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		tool_say("no core file: %s", strerror(errno));
}

static int
exit_of(const struct tool *t, int rc)
{
	switch (rc) {
	case KV_ENOTFOUND:
		return EXIT_ABSENT;
	case KV_EINVAL:
	case KV_ETOOBIG:
		return EXIT_USAGE;
	case KV_ECLOSED:
	case KV_ETIMEOUT:
		return t->client != NULL ? EXIT_NOBODY : EXIT_TROUBLE;
	default:
		return EXIT_TROUBLE;
	}
}

static const char *
trouble_of(const struct tool *t)
{
	struct kv_status status;

	if (t->store == NULL)
		return NULL;
	kv_status(t->store, &status);
	return status.trouble;
}

int
tool_failed(const struct tool *t, const char *what, int rc)
{
	const char *trouble = rc == KV_ENOSPC ? trouble_of(t) : NULL;

	if (t->client != NULL && rc == KV_ECLOSED)
		tool_say("%s: %s closed the connection", what, t->where);
	else if (t->client != NULL && rc == KV_ETIMEOUT)
		tool_say("%s: no answer from %s within %d ms", what, t->where,
		    t->timeout_ms);
	else
		tool_say("%s: %s", what,
		    trouble != NULL ? trouble : kv_error(rc));
	return exit_of(t, rc);
}

int
tool_no_bucket(const struct tool *t)
{
	tool_say("no such bucket: %s", t->argv[0]);
	return EXIT_ABSENT;
}

int64_t
tool_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool
tool_number(const char *option, const char *text, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0)
		return true;
	tool_say("%s: \"%s\": expected a number", option, text);
	return false;
}

bool
tool_duration(const char *option, const char *text, uint64_t *ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 },
		{ "h", 3600000 }, { "d", 86400000 } };
	size_t i;
	char *end;

	errno = 0;
	*ms = strtoull(text, &end, 10);
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (text[0] < '0' || text[0] > '9' || errno != 0 ||
		    strcmp(end, units[i].name) != 0 ||
		    *ms > UINT64_MAX / 2 / units[i].ms)
			continue;
		*ms *= units[i].ms;
		return true;
	}
	tool_say("%s: \"%s\": expected a time such as 500ms, 90s, 5m, 2h, 7d",
	    option, text);
	return false;
}
