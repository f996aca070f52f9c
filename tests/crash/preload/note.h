/* SPDX-License-Identifier: ISC */
#ifndef KV_CRASH_NOTE_H
#define KV_CRASH_NOTE_H

/* For iotrace.c alone: which files are below the folder, and their events. */

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../trace.h"

static struct trace trace;
static char folder[PATH_MAX];
static size_t folder_len;

__attribute__((constructor)) static void
iotrace_start(void)
{
	const char *dir = getenv("IOTRACE_DIR"), *file = getenv("IOTRACE_FILE");

	if (dir == NULL || file == NULL || strlen(dir) >= sizeof(folder))
		return;
	if (trace_map(file, &trace) < 0) {
		fprintf(stderr, "iotrace: no trace %s\n", file);
		_exit(99);
	}
	strcpy(folder, dir);
	folder_len = strlen(dir);
}

/* The part of a path below the folder, NULL if it is not there. */
static inline const char *
below(const char *path)
{
	if (folder_len == 0 || strncmp(path, folder, folder_len) != 0)
		return NULL;
	if (path[folder_len] == '\0')
		return "";
	return path[folder_len] == '/' ? path + folder_len + 1 : NULL;
}

static inline const char *
path_of_fd(int fd, char path[PATH_MAX])
{
	char link[64];
	ssize_t n;

	if (folder_len == 0)
		return NULL;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if ((n = readlink(link, path, PATH_MAX - 1)) < 0)
		return NULL;
	path[n] = '\0';
	return below(path);
}

static inline const char *
path_at(int dirfd, const char *name, char path[PATH_MAX])
{
	char dir[PATH_MAX];

	if (folder_len == 0)
		return NULL;
	if (name[0] == '/' || dirfd == AT_FDCWD) {
		snprintf(path, PATH_MAX, "%s", name);
		return below(path);
	}
	if (path_of_fd(dirfd, dir) == NULL)
		return NULL;
	if ((size_t)snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		return NULL;
	return below(path);
}

static inline uint64_t
inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

static inline uint64_t
note(enum trace_type type, struct trace_event e, const char *a, const char *b)
{
	size_t n = strlen(a) + 1, m = b == NULL ? 0 : strlen(b) + 1;
	char *to = trace_room(&trace, n + m);

	if (to == NULL)
		return 0;
	memcpy(to, a, n);
	if (b != NULL)
		memcpy(to + n, b, m);
	e.data = (uint64_t)(to - trace.data);
	e.data_len = n + m;
	e.who = (uint32_t)getpid();
	return trace_add(&trace, type, &e);
}

static inline void
done(uint64_t number, uint64_t inode, int64_t returned)
{
	int saved = errno;

	trace_add(&trace, TRACE_DONE,
	    &(struct trace_event){ .who = (uint32_t)getpid(),
		.file = inode,
		.len = (uint64_t)returned,
		.aux = number });
	errno = saved;
}

#endif
