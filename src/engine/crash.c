/* SPDX-License-Identifier: ISC */
/* Named places to die, compiled into the crash build only: KV_CRASH=name:n in
 * the environment kills the process when it comes there for the n-th time. */

#include "engine/internal.h"

#ifdef KV_CRASH_POINTS

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
crash_point(const char *name)
{
	static const char *wanted;
	static long left = -1;
	size_t len = strlen(name);

	if (left == 0)
		return;
	if (wanted == NULL) {
		if ((wanted = getenv("KV_CRASH")) == NULL) {
			left = 0;
			return;
		}
		left = strchr(wanted, ':') != NULL
		    ? strtol(strchr(wanted, ':') + 1, NULL, 10)
		    : 1;
	}
	if (strncmp(wanted, name, len) != 0 ||
	    (wanted[len] != ':' && wanted[len] != '\0'))
		return;
	if (--left == 0)
		kill(getpid(), SIGKILL);
}

#endif
