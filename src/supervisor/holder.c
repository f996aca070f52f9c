/* SPDX-License-Identifier: ISC */
/* Finding the process that holds a port: its socket's inode in /proc/net/tcp,
 * then the process with a descriptor of that inode (proc(5)). */

#include "supervisor/holder.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define HOLDER_LIMIT_NS 50000000
#define TCP_STATE_LISTEN 0x0a

/* Inode of the listening socket in one of the tables, 0 if there is none. */
static unsigned long
holder_inode(const char *table, uint16_t port)
{
	unsigned long inode, found = 0;
	unsigned local, state;
	char line[512];
	FILE *f;

	if ((f = fopen(table, "re")) == NULL)
		return 0;
	while (found == 0 && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line,
			" %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s "
			"%*s %*u %*u %lu",
			&local, &state, &inode) == 3 &&
		    local == port && state == TCP_STATE_LISTEN)
			found = inode;
	}
	fclose(f);
	return found;
}

static bool
holder_has_socket(int proc, const char *pid, const char *wanted)
{
	char path[300], link[64];
	struct dirent *entry;
	bool found = false;
	ssize_t n;
	DIR *fds;
	int fd;

	snprintf(path, sizeof(path), "%s/fd", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (fds = fdopendir(fd)) == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && (entry = readdir(fds)) != NULL) {
		n = readlinkat(fd, entry->d_name, link, sizeof(link) - 1);
		link[n < 0 ? 0 : n] = '\0';
		found = strcmp(link, wanted) == 0;
	}
	closedir(fds);
	return found;
}

static void
holder_describe(int proc, const char *pid, char *to, size_t size)
{
	char path[300], name[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "%s/comm", pid);
	if ((fd = openat(proc, path, O_RDONLY | O_CLOEXEC)) >= 0) {
		n = read(fd, name, sizeof(name) - 1);
		close(fd);
	}
	name[n < 0 ? 0 : n] = '\0';
	name[strcspn(name, "\n")] = '\0';
	snprintf(to, size, " (held by %.10s %s)", pid, name);
}

void
holder_of_port(uint16_t port, char *to, size_t size)
{
	uint64_t end = clock_mono_ns() + HOLDER_LIMIT_NS;
	struct dirent *entry;
	unsigned long inode;
	char wanted[64];
	DIR *proc;

	to[0] = '\0';
	if ((inode = holder_inode("/proc/net/tcp", port)) == 0 &&
	    (inode = holder_inode("/proc/net/tcp6", port)) == 0)
		return;
	snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
	if ((proc = opendir("/proc")) == NULL)
		return;
	while (to[0] == '\0' && clock_mono_ns() < end &&
	    (entry = readdir(proc)) != NULL) {
		if (isdigit((unsigned char)entry->d_name[0]) &&
		    holder_has_socket(dirfd(proc), entry->d_name, wanted))
			holder_describe(dirfd(proc), entry->d_name, to, size);
	}
	closedir(proc);
}
