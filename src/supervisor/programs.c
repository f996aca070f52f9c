/* SPDX-License-Identifier: ISC */
/* Finding the programs of the children. */

#include "supervisor/programs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

int
programs_folder(char to[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", to, PATH_MAX - 1);
	char *slash;

	if (n < 0)
		return err_system("readlink", "/proc/self/exe");
	to[n] = '\0';
	if ((slash = strrchr(to, '/')) != NULL)
		*slash = '\0';
	return KV_OK;
}

bool
programs_find(const char *folder, const char *name, char to[PATH_MAX])
{
	const struct {
		const char *folder, *below;
	} places[] = { { folder, "" }, { folder, "/../libexec/kv" },
		{ KV_BUILD_LIBEXECDIR, "" } };
	size_t i;
	int n;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		n = snprintf(to, PATH_MAX, "%s%s/%s", places[i].folder,
		    places[i].below, name);
		if (n > 0 && n < PATH_MAX && access(to, X_OK) == 0)
			return true;
	}
	log_error("program missing name=%s dir=%s libexecdir=%s", name, folder,
	    KV_BUILD_LIBEXECDIR);
	return false;
}
