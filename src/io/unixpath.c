/* SPDX-License-Identifier: ISC */
/* Unix socket addresses for long paths. */

#include "io/unixpath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"

int
unixpath_open(const char *path, struct unixpath *out)
{
	const char *slash = strrchr(path, '/');
	size_t room = sizeof(out->address.sun_path), len = strlen(path);
	char dir[PATH_MAX];
	int n;

	*out = (struct unixpath){ .dir = -1 };
	out->address.sun_family = AF_UNIX;
	if (len < room) {
		memcpy(out->address.sun_path, path, len);
		return KV_OK;
	}
	if (slash == NULL || len >= sizeof(dir))
		return KV_ETOOBIG;
	n = snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path) + 1, path);
	if (n < 0)
		return KV_ETOOBIG;
	if ((out->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_from_errno(errno);
	n = snprintf(out->address.sun_path, room, "/proc/self/fd/%d%s",
	    out->dir, slash);
	if (n < 0 || (size_t)n >= room) {
		unixpath_close(out);
		return KV_ETOOBIG;
	}
	return KV_OK;
}

void
unixpath_close(struct unixpath *at)
{
	if (at->dir >= 0)
		close(at->dir);
	at->dir = -1;
}
