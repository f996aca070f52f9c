/* SPDX-License-Identifier: ISC */

/* /proc/<pid>/stat (proc(5)): fields 4 ppid, 14 to 17 utime stime cutime
 * cstime in clock ticks.  What a child used is in its own line while it lives
 * and in cutime and cstime of its parent after that, so the sum over the tree
 * loses nothing but what orphans used. */

#include "cpu.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct process {
	int pid, parent;
	uint64_t ticks;
	bool counted;
};

static bool
read_stat(int pid, struct process *out)
{
	unsigned long long user, system, child_user, child_system;
	char path[64], line[1024], *end;
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if ((f = fopen(path, "re")) == NULL)
		return false;
	/* The name may hold anything but its closing parenthesis is last. */
	ok = fgets(line, sizeof(line), f) != NULL &&
	    (end = strrchr(line, ')')) != NULL &&
	    sscanf(end + 1,
		" %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu "
		"%llu",
		&out->parent, &user, &system, &child_user, &child_system) == 5;
	fclose(f);
	if (!ok)
		return false;
	out->pid = pid;
	out->ticks = user + system + child_user + child_system;
	out->counted = false;
	return true;
}

static size_t
read_all(struct process **out)
{
	struct process *all = NULL, *more, one;
	struct dirent *entry;
	size_t n = 0, cap = 0;
	DIR *dir;

	*out = NULL;
	if ((dir = opendir("/proc")) == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !read_stat((int)strtol(entry->d_name, NULL, 10), &one))
			continue;
		if (n == cap) {
			cap = cap == 0 ? 256 : 2 * cap;
			more = realloc(all, cap * sizeof(*all));
			if (more == NULL)
				break;
			all = more;
		}
		all[n++] = one;
	}
	closedir(dir);
	*out = all;
	return n;
}

static bool
is_counted(const struct process *all, size_t n, int pid)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (all[i].pid == pid)
			return all[i].counted;
	return false;
}

uint64_t
cpu_of_tree(int pid)
{
	struct process *all;
	uint64_t ticks = 0;
	size_t n, i;
	bool grown = true;

	n = read_all(&all);
	while (grown) {
		grown = false;
		for (i = 0; i < n; i++) {
			if (all[i].counted ||
			    (all[i].pid != pid &&
				!is_counted(all, n, all[i].parent)))
				continue;
			all[i].counted = grown = true;
			ticks += all[i].ticks;
		}
	}
	free(all);
	return ticks * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}
