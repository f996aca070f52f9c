/* SPDX-License-Identifier: ISC */
/* Names and ports of the nodes of this user on this host. */

#include "syncd/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "io/file.h"
#include "sync/nodename.h"

#define RUNDIR_LINE_MAX (RUNDIR_ADDRESS_TEXT + 8)

struct rundir {
	int dir;
	int file; /* locked */
	char name[NAME_MAX + 1];
};

/* ---- the folder ---- */

/* Open it if it is a folder of ours that nobody else can write to: in /tmp
 * anybody may have made it. */
static int
rundir_check(const char *path)
{
	struct stat st;
	int fd;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
	    (st.st_mode & 022) == 0)
		return fd;
	close(fd);
	errno = EACCES;
	return -1;
}

static int
rundir_make(const char *path)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -1;
	return rundir_check(path);
}

static int
rundir_open_folder(char path[PATH_MAX])
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	int fd;

	if (xdg != NULL && xdg[0] == '/') {
		snprintf(path, PATH_MAX, "%s/kv", xdg);
		if ((fd = rundir_make(path)) >= 0)
			return fd;
	}
	snprintf(path, PATH_MAX, "/run/kv");
	if ((fd = geteuid() == 0 ? rundir_make(path) : rundir_check(path)) >= 0)
		return fd;
	snprintf(path, PATH_MAX, "/tmp/kv-%u", (unsigned)geteuid());
	return rundir_make(path);
}

/* ---- our own file ---- */

/* Is it still what its name in this folder means? */
static bool
rundir_is_there(int dir, const struct rundir *r)
{
	struct stat here, there;

	return fstat(r->file, &here) == 0 &&
	    fstatat(dir, r->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

static int
rundir_open_file(struct rundir *r)
{
	int rc;

	do {
		r->file = openat(r->dir, r->name,
		    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (r->file < 0)
			return err_system("open", r->name);
		rc = file_lock(r->file, 0, FILE_LOCK_EXCLUSIVE, false);
		/* Its last owner removes it before he lets go. */
		if (rc == KV_OK && !rundir_is_there(r->dir, r)) {
			close(r->file);
			r->file = -1;
		}
	} while (rc == KV_OK && r->file < 0);
	return rc;
}

int
rundir_open(const char *name, struct rundir **out)
{
	struct rundir *r = calloc(1, sizeof(*r));
	char path[PATH_MAX];
	int rc;

	if (r == NULL)
		return KV_ENOMEM;
	r->file = -1;
	snprintf(r->name, sizeof(r->name), "%s", name);
	if ((r->dir = rundir_open_folder(path)) < 0) {
		log_warn("no run-time folder path=%s error=\"%s\" "
			 "effect=\"nodes of this host do not find each other\"",
		    path, strerror(errno));
		rc = KV_ENOTFOUND;
	} else if ((rc = rundir_open_file(r)) == KV_EBUSY) {
		log_warn("name is taken node=%s path=%s/%s effect=\"nodes of "
			 "this host find the other one\"",
		    name, path, name);
	}
	if (rc < 0)
		rundir_close(r);
	else
		*out = r;
	return rc;
}

void
rundir_close(struct rundir *r)
{
	if (r == NULL)
		return;
	if (r->file >= 0) {
		(void)unlinkat(r->dir, r->name, 0);
		close(r->file);
	}
	if (r->dir >= 0)
		close(r->dir);
	free(r);
}

bool
rundir_renew(struct rundir *r)
{
	struct rundir fresh = { .file = -1 };
	char path[PATH_MAX];

	if (r == NULL || (fresh.dir = rundir_open_folder(path)) < 0)
		return false;
	memcpy(fresh.name, r->name, sizeof(fresh.name));
	if (rundir_is_there(fresh.dir, r) || rundir_open_file(&fresh) < 0) {
		if (fresh.file >= 0)
			close(fresh.file);
		close(fresh.dir);
		return false;
	}
	if (rundir_is_there(r->dir, r))
		(void)unlinkat(r->dir, r->name, 0);
	close(r->file);
	close(r->dir);
	*r = fresh;
	log_info("run-time folder changed path=%s", path);
	return true;
}

int
rundir_publish(struct rundir *r, const char *address, uint16_t port)
{
	char line[RUNDIR_LINE_MAX];
	int len = snprintf(line, sizeof(line), "%s %u\n", address, port);

	/* A reader that sees half of it, or two halves, dials in vain once. */
	if (pwrite(r->file, line, (size_t)len, 0) != len ||
	    ftruncate(r->file, len) < 0)
		return err_system("write", r->name);
	return KV_OK;
}

/* ---- the others' files ---- */

static uint16_t
rundir_parse(char *line, char address[RUNDIR_ADDRESS_TEXT])
{
	char *end = strchr(line, '\n'), *blank = strchr(line, ' ');
	uint64_t port;

	if (end == NULL || blank == NULL || blank > end ||
	    blank - line >= RUNDIR_ADDRESS_TEXT)
		return 0;
	*end = *blank = '\0';
	if (num_parse_u64(slice_of(blank + 1), &port) < 0 || port > UINT16_MAX)
		return 0;
	memcpy(address, line, strlen(line) + 1);
	return (uint16_t)port;
}

/* Does somebody hold the lock?  Asked without taking it, which might be in its
 * owner's way. */
static bool
rundir_is_alive(int fd)
{
	struct flock lock = { .l_type = F_RDLCK,
		.l_whence = SEEK_SET,
		.l_len = 1 };

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static uint16_t
rundir_read(const struct rundir *r, const char *name,
    char address[RUNDIR_ADDRESS_TEXT])
{
	char line[RUNDIR_LINE_MAX + 1];
	uint16_t port = 0;
	ssize_t n;
	int fd;

	fd = openat(r->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (rundir_is_alive(fd) && (n = read(fd, line, sizeof(line) - 1)) > 0) {
		line[n] = '\0';
		port = rundir_parse(line, address);
	}
	close(fd);
	return port;
}

uint16_t
rundir_find(const struct rundir *r, struct kv_slice asked,
    char address[RUNDIR_ADDRESS_TEXT])
{
	const struct dirent *entry;
	uint16_t port = 0;
	DIR *dir;
	int fd;

	if (r == NULL ||
	    (fd = openat(r->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return 0;
	if ((dir = fdopendir(fd)) == NULL) {
		close(fd);
		return 0;
	}
	while (port == 0 && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, r->name) != 0 &&
		    nodename_answers_to(entry->d_name, asked))
			port = rundir_read(r, entry->d_name, address);
	}
	closedir(dir);
	return port;
}

/* ---- the others' ends ---- */

/* A process that ends, or is killed, closes its file; and nobody else closes
 * one that he could write to.  Our own may be removed, too. */
int
rundir_watch(const struct rundir *r)
{
	char path[64];
	int fd;

	if (r == NULL || (fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", r->dir);
	if (inotify_add_watch(fd, path, IN_CLOSE_WRITE | IN_DELETE) >= 0)
		return fd;
	(void)err_system("inotify_add_watch", path);
	close(fd);
	return -1;
}

void
rundir_watched(int fd)
{
	char events[4096];

	while (read(fd, events, sizeof(events)) > 0)
		;
}
