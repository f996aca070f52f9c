/* SPDX-License-Identifier: ISC */
#ifndef KV_IO_UNIXPATH_H
#define KV_IO_UNIXPATH_H

/* Socket addresses for paths longer than the 107 bytes of sun_path: the folder
 * is opened and named through /proc/self/fd. */

#include <sys/un.h>

#include "kv_types.h"

struct unixpath {
	struct sockaddr_un address;
	int dir; /* keeps the folder open while the address is used, or -1 */
};

/* KV_ETOOBIG when even the last part of the path is too long; KV_ENOTFOUND
 * when there is no such folder.  No log lines. */
KV_CHECKED int unixpath_open(const char *path, struct unixpath *out);
void unixpath_close(struct unixpath *at);

#endif
