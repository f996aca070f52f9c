/* SPDX-License-Identifier: ISC */
#ifndef KV_IO_SPAWN_H
#define KV_IO_SPAWN_H

/* A child process with an exact start: its descriptors, signals and death are
 * what this says and nothing is inherited by accident. */

#include <sys/types.h>

#include "kv_types.h"

#define SPAWN_FIRST_FD 3
#define SPAWN_FDS_MAX 256

/* What to run.  All memory is the caller's. */
struct spawn {
	const char *path;
	char *const *argv; /* NULL-terminated; argv[0] is the name in ps */
	char *const *envp; /* NULL: ours */
	const int *fds; /* fds[i] becomes descriptor 3 + i there; -1: closed */
	size_t fd_count;
};

/* fork and exec.  The child has /dev/null as stdin, our stdout and stderr, the
 * given descriptors and no others; default signal dispositions and an empty
 * mask; a process group of its own (a terminal's ^C reaches only us); and is
 * killed by the kernel when we die.  Returns after exec: KV_ENOTFOUND,
 * KV_EACCESS or another code, logged, when the program cannot be run. */
KV_CHECKED int spawn_process(const struct spawn *what, pid_t *out);

#endif
