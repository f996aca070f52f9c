/* SPDX-License-Identifier: ISC */
/* Whole files, private folders, byte-range locks. */

#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#define FILE_READ_STEP 16384

static int
file_read_fd(int fd, const char *path, size_t limit, struct buf *b)
{
	size_t total = 0;
	ssize_t n;
	int rc;

	do {
		if ((rc = buf_reserve(b, FILE_READ_STEP)) < 0)
			return rc;
		n = read(fd, b->data + b->len, FILE_READ_STEP);
		if (n < 0 && errno == EISDIR)
			return KV_EINVAL;
		if (n < 0 && errno != EINTR)
			return err_system("read", path);
		if (n > 0) {
			b->len += (size_t)n;
			total += (size_t)n;
		}
		if (total > limit)
			return KV_ETOOBIG;
	} while (n != 0);
	return KV_OK;
}

int
file_read(const char *path, size_t limit, struct buf *b)
{
	int fd, rc;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return errno == ENOENT ? KV_ENOTFOUND
				       : err_system("open", path);
	rc = file_read_fd(fd, path, limit, b);
	close(fd);
	return rc;
}

int
file_write_all(int fd, struct kv_slice data, const char *name)
{
	while (data.len > 0) {
		ssize_t n = write(fd, data.data, data.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_system("write", name);
		data.data += n;
		data.len -= (size_t)n;
	}
	return KV_OK;
}

/* The folder a path lies in, as a string of the caller. */
static int
file_dir_of(const char *path, char dir[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);

	if (slash == path)
		len = 1;
	if (len >= PATH_MAX)
		return KV_ETOOBIG;
	memcpy(dir, len == 0 ? "." : path, len == 0 ? 1 : len);
	dir[len == 0 ? 1 : len] = '\0';
	return KV_OK;
}

static int
file_write_temp(int fd, const char *temp, struct kv_slice data, mode_t mode)
{
	int rc;

	if (fchmod(fd, mode) < 0)
		return err_system("fchmod", temp);
	if ((rc = file_write_all(fd, data, temp)) < 0)
		return rc;
	return fsync(fd) < 0 ? err_system("fsync", temp) : KV_OK;
}

int
file_write(const char *path, struct kv_slice data, mode_t mode)
{
	char temp[PATH_MAX], dir[PATH_MAX];
	int fd, n, rc;

	if ((rc = file_dir_of(path, dir)) < 0)
		return rc;
	n = snprintf(temp, sizeof(temp), "%s.XXXXXX", path);
	if (n < 0 || (size_t)n >= sizeof(temp))
		return KV_ETOOBIG;
	if ((fd = mkostemp(temp, O_CLOEXEC)) < 0)
		return err_system("mkostemp", temp);
	rc = file_write_temp(fd, temp, data, mode);
	close(fd);
	if (rc == KV_OK && rename(temp, path) < 0)
		rc = err_system("rename", path);
	if (rc < 0) {
		unlink(temp);
		return rc;
	}
	return file_sync_dir(dir);
}

int
file_sync_dir(const char *path)
{
	int fd, rc = KV_OK;

	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_system("open", path);
	if (fsync(fd) < 0)
		rc = err_system("fsync", path);
	close(fd);
	return rc;
}

int
file_sync_parent(const char *path)
{
	char dir[PATH_MAX];
	int rc = file_dir_of(path, dir);

	return rc < 0 ? rc : file_sync_dir(dir);
}

static int
file_make_one_dir(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) == 0)
		return KV_OK;
	/* Also EROFS and EACCES are fine where the folder is there. */
	if (stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return KV_OK;
		errno = ENOTDIR;
	}
	return err_system("mkdir", path);
}

int
file_make_dir(const char *path)
{
	char part[PATH_MAX];
	size_t i, len = strlen(path);
	int rc;

	if (len == 0 || len >= sizeof(part))
		return KV_EINVAL;
	memcpy(part, path, len + 1);
	for (i = 1; i < len; i++) {
		if (part[i] != '/' || part[i - 1] == '/')
			continue;
		part[i] = '\0';
		if ((rc = file_make_one_dir(part)) < 0)
			return rc;
		part[i] = '/';
	}
	return file_make_one_dir(part);
}

static KV_PRINTF(4, 5) int file_refuse(int rc, char *why, size_t size,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return rc;
}

int
file_check_dir(const char *path, char *why, size_t size)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return file_refuse(err_from_errno(errno), why, size, "%s",
		    strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return file_refuse(KV_EINVAL, why, size, "is not a folder");
	if (st.st_uid != geteuid())
		return file_refuse(KV_EACCESS, why, size,
		    "belongs to user %u, but this is user %u",
		    (unsigned)st.st_uid, (unsigned)geteuid());
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return file_refuse(KV_EACCESS, why, size,
		    "is writable by others (mode %04o), expected 0700",
		    (unsigned)(st.st_mode & 07777));
	if (access(path, R_OK | W_OK | X_OK) < 0)
		return file_refuse(err_from_errno(errno), why, size,
		    "is not writable: %s", strerror(errno));
	return KV_OK;
}

int
file_lock(int fd, off_t byte, enum file_lock_mode mode, bool wait)
{
	struct flock lock = {
		.l_type = mode == FILE_LOCK_SHARED ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};

	if (fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock) == 0)
		return KV_OK;
	if (errno == EAGAIN || errno == EACCES || errno == EINTR)
		return KV_EBUSY;
	return err_system("fcntl", "lock");
}

void
file_unlock(int fd, off_t byte)
{
	struct flock lock = {
		.l_type = F_UNLCK,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};

	if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		(void)err_system("fcntl", "unlock");
}

bool
file_is_locked(int fd, off_t byte)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};

	if (fcntl(fd, F_OFD_GETLK, &lock) < 0) {
		(void)err_system("fcntl", "lock");
		return true;
	}
	return lock.l_type != F_UNLCK;
}
