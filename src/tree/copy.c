/* SPDX-License-Identifier: ISC */
/* The tree's folder as files: making it, copying it, its measures. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "tree/internal.h"

int
tree_sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = KV_OK;

	if (fd < 0)
		return err_system("open", path);
	if (fsync(fd) < 0)
		rc = err_system("fsync", path);
	close(fd);
	return rc;
}

static int
sync_parent(const char *path)
{
	char parent[PATH_MAX], *slash;

	if (strlen(path) >= sizeof(parent))
		return KV_EINVAL;
	strcpy(parent, path);
	slash = strrchr(parent, '/');
	if (slash == NULL)
		return tree_sync_folder(".");
	if (slash == parent)
		slash++;
	*slash = '\0';
	return tree_sync_folder(parent);
}

int
tree_make_folder(const char *path)
{
	if (mkdir(path, 0700) == 0)
		return sync_parent(path);
	return errno == EEXIST ? KV_OK : err_system("mkdir", path);
}
