/* SPDX-License-Identifier: ISC */
/* Resource limits. */

#include "supervisor/limits.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/log.h"

#define LIMITS_OWN_FILES 64 /* of a worker, beside its clients */

void
limits_set(void)
{
	struct rlimit files, none = { 0, 0 };
	const char *core = getenv("KV_CORE");

	umask(077);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files) < 0)
			(void)err_system("setrlimit", "RLIMIT_NOFILE");
	}
	if ((core == NULL || strcmp(core, "1") != 0) &&
	    setrlimit(RLIMIT_CORE, &none) < 0)
		(void)err_system("setrlimit", "RLIMIT_CORE");
}

int
limits_clients(struct conf *c, struct conf_error *e)
{
	char text[VALUE_TEXT_MAX];
	struct rlimit files;
	uint64_t most;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return KV_OK;
	most = files.rlim_cur <= 2 * LIMITS_OWN_FILES
	    ? LIMITS_OWN_FILES
	    : files.rlim_cur - LIMITS_OWN_FILES;
	if (conf_u64(c, CONF_MAX_CLIENTS) <= most)
		return KV_OK;
	if (conf_rank(c, CONF_MAX_CLIENTS) != CONF_BY_DEFAULT)
		log_warn("max_clients lowered from=%s to=%llu "
			 "reason=\"limit on open files (ulimit -n)\"",
		    conf_text(c, CONF_MAX_CLIENTS), (unsigned long long)most);
	value_format(OPTION_NUMBER, most, text);
	return conf_set(c, CONF_MAX_CLIENTS, text, CONF_BY_PARENT,
	    "limit on open files", e);
}
