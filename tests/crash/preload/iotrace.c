/* SPDX-License-Identifier: ISC */
/* LD_PRELOAD: writes down what a process does to the files below a folder.
 *
 *	IOTRACE_DIR	the folder
 *	IOTRACE_FILE	the trace, see trace.h
 *
 * What is written is copied into the trace first and written from there, so
 * that trace and disk agree even when others change the buffer meanwhile.
 * Every call is an event before it is made and a DONE after it returned: a
 * sync covers what was done before it was asked for, and no more. */

#include <dlfcn.h>
#include <stdarg.h>
#include <sys/uio.h>

#include "note.h"

#define EXPORT __attribute__((visibility("default")))
#define RWF_DSYNC_BIT 2

/* The function that ours stands in front of. */
#define NEXT(f, name)                                                          \
	static __typeof__(&(f)) next;                                          \
	if (next == NULL)                                                      \
	next = (__typeof__(next))dlsym(RTLD_NEXT, name)

/* ---- opening ---- */

static int
traced_open(int dirfd, const char *name, int flags, mode_t mode,
    const char *path)
{
	NEXT(openat, "openat");
	bool makes = (flags & O_CREAT) != 0 &&
	    faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
	uint64_t number = 0;
	int fd;

	if (makes)
		number =
		    note(TRACE_CREATE, (struct trace_event){ 0 }, path, NULL);
	fd = next(dirfd, name, flags, mode);
	if (makes)
		done(number, fd < 0 ? 0 : inode_of(fd), fd);
	else if (fd >= 0)
		note(TRACE_OPEN, (struct trace_event){ .file = inode_of(fd) },
		    path, NULL);
	if (fd >= 0 && !makes && (flags & O_TRUNC) != 0)
		abort(); /* nothing of ours does that */
	return fd;
}

static int
any_open(int dirfd, const char *name, int flags, mode_t mode)
{
	NEXT(openat, "openat");
	char path[PATH_MAX];
	const char *inside;

	if ((flags & O_PATH) != 0 || (flags & O_TMPFILE) == O_TMPFILE ||
	    (inside = path_at(dirfd, name, path)) == NULL)
		return next(dirfd, name, flags, mode);
	return traced_open(dirfd, name, flags, mode, inside);
}

#define MODE_OF(flags, last)                                                   \
	mode_t mode = 0;                                                       \
	if (((flags) & (O_CREAT | O_TMPFILE)) != 0) {                          \
		va_list ap;                                                    \
		va_start(ap, last);                                            \
		mode = (mode_t)va_arg(ap, int);                                \
		va_end(ap);                                                    \
	}

#define OPENS(name)                                                            \
	EXPORT int name(const char *path, int flags, ...);                     \
	int name(const char *path, int flags, ...)                             \
	{                                                                      \
		MODE_OF(flags, flags)                                          \
		return any_open(AT_FDCWD, path, flags, mode);                  \
	}
#define OPENATS(name)                                                          \
	EXPORT int name(int dirfd, const char *path, int flags, ...);          \
	int name(int dirfd, const char *path, int flags, ...)                  \
	{                                                                      \
		MODE_OF(flags, flags)                                          \
		return any_open(dirfd, path, flags, mode);                     \
	}
OPENS(open)
OPENS(open64)
OPENATS(openat)
OPENATS(openat64)

EXPORT int __open_2(const char *path, int flags);
int
__open_2(const char *path, int flags)
{
	return any_open(AT_FDCWD, path, flags, 0);
}

EXPORT int __open64_2(const char *path, int flags);
int
__open64_2(const char *path, int flags)
{
	return any_open(AT_FDCWD, path, flags, 0);
}

EXPORT int __openat_2(int dirfd, const char *path, int flags);
int
__openat_2(int dirfd, const char *path, int flags)
{
	return any_open(dirfd, path, flags, 0);
}

EXPORT int __openat64_2(int dirfd, const char *path, int flags);
int
__openat64_2(int dirfd, const char *path, int flags)
{
	return any_open(dirfd, path, flags, 0);
}

/* Its name is known only afterwards; nothing can come between, for nobody else
 * knows it earlier. */
#define MKOSTEMP(name)                                                         \
	EXPORT int name(char *path, int flags);                                \
	int name(char *path, int flags)                                        \
	{                                                                      \
		NEXT(name, #name);                                             \
		int fd = next(path, flags);                                    \
		const char *inside = below(path);                              \
		if (fd >= 0 && inside != NULL)                                 \
			done(note(TRACE_CREATE, (struct trace_event){ 0 },     \
				 inside, NULL),                                \
			    inode_of(fd), fd);                                 \
		return fd;                                                     \
	}
MKOSTEMP(mkostemp)
MKOSTEMP(mkostemp64)

/* ---- names ---- */

EXPORT int
mkdir(const char *name, mode_t mode)
{
	NEXT(mkdir, "mkdir");
	char path[PATH_MAX];
	const char *inside = path_at(AT_FDCWD, name, path);
	uint64_t number;
	int rc;

	if (inside == NULL || *inside == '\0' || access(name, F_OK) == 0)
		return next(name, mode);
	number = note(TRACE_MKDIR, (struct trace_event){ 0 }, inside, NULL);
	rc = next(name, mode);
	done(number, 0, rc);
	return rc;
}

static uint64_t
note_rename(int from_fd, const char *from, int to_fd, const char *to)
{
	char a[PATH_MAX], b[PATH_MAX];
	const char *x = path_at(from_fd, from, a), *y = path_at(to_fd, to, b);
	struct stat st;

	if (x == NULL && y == NULL)
		return UINT64_MAX;
	if (x == NULL || y == NULL)
		abort(); /* across the folder's border */
	if (fstatat(from_fd, from, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return UINT64_MAX;
	return note(TRACE_RENAME, (struct trace_event){ .file = st.st_ino }, x,
	    y);
}

EXPORT int
rename(const char *from, const char *to)
{
	NEXT(rename, "rename");
	uint64_t number = note_rename(AT_FDCWD, from, AT_FDCWD, to);
	int rc = next(from, to);

	if (number != UINT64_MAX)
		done(number, 0, rc);
	return rc;
}

EXPORT int
renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	NEXT(renameat, "renameat");
	uint64_t number = note_rename(from_fd, from, to_fd, to);
	int rc = next(from_fd, from, to_fd, to);

	if (number != UINT64_MAX)
		done(number, 0, rc);
	return rc;
}

EXPORT int
renameat2(int from_fd, const char *from, int to_fd, const char *to,
    unsigned flags)
{
	NEXT(renameat2, "renameat2");
	uint64_t number = note_rename(from_fd, from, to_fd, to);
	int rc = next(from_fd, from, to_fd, to, flags);

	if (number != UINT64_MAX)
		done(number, 0, rc);
	return rc;
}

EXPORT int
unlinkat(int dirfd, const char *name, int flags)
{
	NEXT(unlinkat, "unlinkat");
	char path[PATH_MAX];
	const char *inside = path_at(dirfd, name, path);
	uint64_t number;
	int rc;

	if (inside == NULL)
		return next(dirfd, name, flags);
	number = note(TRACE_UNLINK, (struct trace_event){ 0 }, inside, NULL);
	rc = next(dirfd, name, flags);
	done(number, 0, rc);
	return rc;
}

EXPORT int
unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

/* ---- bytes ---- */

static bool
is_zero(const char *data, size_t len)
{
	return len == 0 ||
	    (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

/* The one way out for all writes: a copy, its event, the call, its end. */
static ssize_t
traced_write(int fd, const struct iovec *parts, int count, off_t at, bool moves,
    int flags)
{
	NEXT(pwritev2, "pwritev2");
	struct trace_event e = { .file = inode_of(fd),
		.who = (uint32_t)getpid() };
	struct iovec all = { NULL, 0 };
	uint64_t number;
	ssize_t n;
	char *to;
	int i;

	if (moves)
		at = lseek(fd, 0, SEEK_CUR);
	for (i = 0; i < count; i++)
		all.iov_len += parts[i].iov_len;
	if ((to = trace_room(&trace, all.iov_len)) == NULL)
		return next(fd, parts, count, at, flags);
	all.iov_base = to;
	for (i = 0; i < count; i++) {
		memcpy(to, parts[i].iov_base, parts[i].iov_len);
		to += parts[i].iov_len;
	}
	e.offset = (uint64_t)at;
	e.len = e.data_len = all.iov_len;
	e.data = (uint64_t)((char *)all.iov_base - trace.data);
	e.aux =
	    (flags & RWF_DSYNC_BIT) != 0 || (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
	number = trace_add(&trace,
	    is_zero(all.iov_base, all.iov_len) ? TRACE_ZERO : TRACE_WRITE, &e);
	n = next(fd, &all, 1, at, flags);
	done(number, 0, n);
	if (n > 0 && moves)
		lseek(fd, n, SEEK_CUR);
	return n;
}

static bool
is_traced(int fd)
{
	char path[PATH_MAX];

	return folder_len != 0 && path_of_fd(fd, path) != NULL;
}

static struct iovec
part(const void *data, size_t len)
{
	struct iovec v = { NULL, len };

	memcpy(&v.iov_base, &data, sizeof(data));
	return v;
}

EXPORT ssize_t
write(int fd, const void *data, size_t len)
{
	NEXT(write, "write");
	struct iovec v = part(data, len);

	if (!is_traced(fd))
		return next(fd, data, len);
	return traced_write(fd, &v, 1, 0, true, 0);
}

EXPORT ssize_t
writev(int fd, const struct iovec *parts, int count)
{
	NEXT(writev, "writev");

	if (!is_traced(fd))
		return next(fd, parts, count);
	return traced_write(fd, parts, count, 0, true, 0);
}

#define PWRITE(name)                                                           \
	EXPORT ssize_t name(int fd, const void *data, size_t len, off_t at);   \
	ssize_t name(int fd, const void *data, size_t len, off_t at)           \
	{                                                                      \
		NEXT(name, #name);                                             \
		struct iovec v = part(data, len);                              \
		if (!is_traced(fd))                                            \
			return next(fd, data, len, at);                        \
		return traced_write(fd, &v, 1, at, false, 0);                  \
	}
PWRITE(pwrite)
PWRITE(pwrite64)

#define PWRITEV(name)                                                          \
	EXPORT ssize_t name(int fd, const struct iovec *parts, int count,      \
	    off_t at);                                                         \
	ssize_t name(int fd, const struct iovec *parts, int count, off_t at)   \
	{                                                                      \
		NEXT(name, #name);                                             \
		if (!is_traced(fd))                                            \
			return next(fd, parts, count, at);                     \
		return traced_write(fd, parts, count, at, false, 0);           \
	}
PWRITEV(pwritev)
PWRITEV(pwritev64)

#define PWRITEV2(name)                                                         \
	EXPORT ssize_t name(int fd, const struct iovec *parts, int count,      \
	    off_t at, int flags);                                              \
	ssize_t name(int fd, const struct iovec *parts, int count, off_t at,   \
	    int flags)                                                         \
	{                                                                      \
		NEXT(name, #name);                                             \
		if (!is_traced(fd))                                            \
			return next(fd, parts, count, at, flags);              \
		return traced_write(fd, parts, count, at, at == -1, flags);    \
	}
/* Ours calls libc's by the first name; next is found behind us. */
PWRITEV2(pwritev2)
PWRITEV2(pwritev64v2)

static uint64_t
note_resize(int fd, off_t size, bool grow)
{
	char path[PATH_MAX];
	const char *inside = path_of_fd(fd, path);

	if (inside == NULL)
		return UINT64_MAX;
	return note(TRACE_RESIZE,
	    (struct trace_event){ .file = inode_of(fd),
		.offset = (uint64_t)size,
		.aux = grow },
	    inside, NULL);
}

#define FTRUNCATE(name)                                                        \
	EXPORT int name(int fd, off_t size);                                   \
	int name(int fd, off_t size)                                           \
	{                                                                      \
		NEXT(name, #name);                                             \
		uint64_t number = note_resize(fd, size, false);                \
		int rc = next(fd, size);                                       \
		if (number != UINT64_MAX)                                      \
			done(number, 0, rc);                                   \
		return rc;                                                     \
	}
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

#define FALLOCATE(name)                                                        \
	EXPORT int name(int fd, off_t at, off_t len);                          \
	int name(int fd, off_t at, off_t len)                                  \
	{                                                                      \
		NEXT(name, #name);                                             \
		uint64_t number = note_resize(fd, at + len, true);             \
		int rc = next(fd, at, len);                                    \
		if (number != UINT64_MAX)                                      \
			done(number, 0, rc == 0 ? 0 : -1);                     \
		return rc;                                                     \
	}
FALLOCATE(posix_fallocate)
FALLOCATE(posix_fallocate64)

#define FALLOCATE_MODE(name)                                                   \
	EXPORT int name(int fd, int mode, off_t at, off_t len);                \
	int name(int fd, int mode, off_t at, off_t len)                        \
	{                                                                      \
		NEXT(name, #name);                                             \
		uint64_t number = UINT64_MAX;                                  \
		int rc;                                                        \
		if (is_traced(fd) && mode != 0)                                \
			abort(); /* nothing of ours punches there */           \
		number = note_resize(fd, at + len, true);                      \
		rc = next(fd, mode, at, len);                                  \
		if (number != UINT64_MAX)                                      \
			done(number, 0, rc);                                   \
		return rc;                                                     \
	}
FALLOCATE_MODE(fallocate)
FALLOCATE_MODE(fallocate64)

/* ---- syncs ---- */

static uint64_t
note_sync(int fd)
{
	char path[PATH_MAX];
	const char *inside = path_of_fd(fd, path);
	struct stat st;

	if (inside == NULL || fstat(fd, &st) < 0)
		return UINT64_MAX;
	return note(TRACE_SYNC,
	    (struct trace_event){ .file = st.st_ino,
		.aux = S_ISDIR(st.st_mode) },
	    inside, NULL);
}

#define SYNC(name)                                                             \
	EXPORT int name(int fd);                                               \
	int name(int fd)                                                       \
	{                                                                      \
		NEXT(name, #name);                                             \
		uint64_t number = note_sync(fd);                               \
		int rc = next(fd);                                             \
		if (number != UINT64_MAX)                                      \
			done(number, 0, rc);                                   \
		return rc;                                                     \
	}
SYNC(fsync)
SYNC(fdatasync)
