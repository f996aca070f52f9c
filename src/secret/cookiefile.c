/* SPDX-License-Identifier: ISC */

/* Cookie files: making one that nobody else can read, and telling what is in
 * one without its secrets.  These live in locked memory, or on the stack until
 * they are wiped, and never leave this file but into the cookie's. */

#include "secret/cookiefile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

static KV_PRINTF(3, 4) int fail(struct cookiefile_error *e, int rc,
    const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, args);
	va_end(args);
	return rc;
}

/* The text is for the one who named the file, so there is no log line. */
static int
system_failed(struct cookiefile_error *e, const char *call)
{
	int errnum = errno;

	if (errnum == EACCES || errnum == EPERM)
		return fail(e, KV_EACCESS, "%s: %s; this is user %u", call,
		    strerror(errnum), (unsigned)geteuid());
	return fail(e, errnum == ENOENT ? KV_ENOTFOUND : err_from_errno(errnum),
	    "%s: %s", call, strerror(errnum));
}

static const char *
kind_of(mode_t mode)
{
	return S_ISREG(mode) ? "a regular file"
	    : S_ISDIR(mode)  ? "a folder"
	    : S_ISLNK(mode)  ? "a symbolic link"
	    : S_ISFIFO(mode) ? "a pipe"
	    : S_ISSOCK(mode) ? "a socket"
			     : "a device";
}

/* ---- a new one ---- */

int
cookiefile_write(int fd, uint8_t generation, struct cookiefile_error *e)
{
	char text[COOKIE_NEW_FILE_MAX];
	size_t len, done = 0;
	int rc = KV_OK;

	if (sodium_init() < 0)
		return fail(e, KV_ESYSTEM, "no source of random bytes");
	cookie_new_file(generation, text, &len);
	while (done < len && rc == KV_OK) {
		ssize_t n = write(fd, text + done, len - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			rc = system_failed(e, "write");
	}
	sodium_memzero(text, sizeof(text));
	return rc;
}

/* Open the folder that path lies in; *name is the rest of path. */
static int
open_folder(const char *path, int *fd, const char **name,
    struct cookiefile_error *e)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path) + 1;
	char folder[PATH_MAX] = ".";

	*name = path + len;
	if (**name == '\0')
		return fail(e, KV_EINVAL, "expected the name of a file");
	if (len >= sizeof(folder))
		return fail(e, KV_ETOOBIG, "expected a shorter name");
	if (len > 0) {
		memcpy(folder, path, len);
		folder[len] = '\0';
	}
	*fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd < 0 ? system_failed(e, "its folder") : KV_OK;
}

/* May a new file take this name?  Only a file is ever replaced: not /dev/null,
 * nor a link that somebody laid. */
static int
check_name(int folder, const char *name, bool replace,
    struct cookiefile_error *e)
{
	struct stat st;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? KV_OK : system_failed(e, "stat");
	if (!S_ISREG(st.st_mode))
		return fail(e, KV_EINVAL,
		    "is %s: expected no file there, or a regular one",
		    kind_of(st.st_mode));
	if (!replace)
		return fail(e, KV_EEXIST, "exists already");
	return KV_OK;
}

static int
write_temp(int folder, const char *temp, uint8_t generation,
    struct cookiefile_error *e)
{
	int fd, rc;

	fd = openat(folder, temp,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return system_failed(e, "create");
	rc = cookiefile_write(fd, generation, e);
	/* Whatever the umask took away. */
	if (rc == KV_OK && fchmod(fd, 0600) < 0)
		rc = system_failed(e, "chmod");
	if (rc == KV_OK && fsync(fd) < 0)
		rc = system_failed(e, "fsync");
	if (close(fd) < 0 && rc == KV_OK)
		rc = system_failed(e, "close");
	return rc;
}

/* Without replace the kernel sees to it that two who make one at the same time
 * do not both succeed.  File systems that cannot (NFS) know hard links. */
static int
move_temp(int folder, const char *temp, const char *name, bool replace)
{
	if (replace)
		return renameat(folder, temp, folder, name);
	if (renameat2(folder, temp, folder, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(folder, temp, folder, name, 0) < 0)
		return -1;
	return unlinkat(folder, temp, 0);
}

static int
put_file(int folder, const char *name, uint8_t generation, bool replace,
    struct cookiefile_error *e)
{
	char temp[PATH_MAX];
	int rc;

	if ((rc = check_name(folder, name, replace, e)) < 0)
		return rc;
	if (snprintf(temp, sizeof(temp), "%s.%08x", name,
		randombytes_random()) >= (int)sizeof(temp))
		return fail(e, KV_ETOOBIG, "expected a shorter name");
	rc = write_temp(folder, temp, generation, e);
	if (rc == KV_OK && move_temp(folder, temp, name, replace) < 0)
		rc = errno == EEXIST ? fail(e, KV_EEXIST, "exists already")
				     : system_failed(e, "rename");
	if (rc < 0)
		(void)unlinkat(folder, temp, 0);
	else if (fsync(folder) < 0)
		rc = system_failed(e, "fsync its folder");
	return rc;
}

int
cookiefile_make(const char *path, uint8_t generation, bool replace,
    struct cookiefile_error *e)
{
	const char *name;
	int folder, rc;

	if (sodium_init() < 0)
		return fail(e, KV_ESYSTEM, "no source of random bytes");
	if ((rc = open_folder(path, &folder, &name, e)) < 0)
		return rc;
	rc = put_file(folder, name, generation, replace, e);
	close(folder);
	return rc;
}

int
cookiefile_may_make(const char *path, struct cookiefile_error *e)
{
	const char *name;
	int folder, rc;

	if ((rc = open_folder(path, &folder, &name, e)) < 0)
		return rc;
	if ((rc = check_name(folder, name, false, e)) == KV_OK &&
	    faccessat(folder, ".", W_OK | X_OK, AT_EACCESS) < 0)
		rc = system_failed(e, "its folder");
	close(folder);
	return rc;
}

/* ---- one that is there ---- */

static int
open_cookie(const char *path, int *fd, struct cookiefile_error *e)
{
	/* Nonblocking, or a pipe would hold us up. */
	*fd = open(path,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (*fd >= 0)
		return KV_OK;
	if (errno == ELOOP)
		return fail(e, KV_EINVAL,
		    "is a symbolic link: expected the file itself (name that)");
	if (errno == ENOENT)
		return fail(e, KV_ENOTFOUND,
		    "no such file: make one, or copy another host's");
	return system_failed(e, "open");
}

/* What cookie_check_file found, where its text does not tell. */
static int
check_open(int fd, struct cookiefile_error *e)
{
	struct cookie_error why;
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0)
		return system_failed(e, "stat");
	if ((rc = cookie_check_file(&st, geteuid(), &why)) == KV_EINVAL)
		return fail(e, rc, "is %s: %s", kind_of(st.st_mode), why.text);
	if (rc == KV_ETOOBIG)
		return fail(e, rc, "has %lld bytes: %s", (long long)st.st_size,
		    why.text);
	return rc < 0 ? fail(e, rc, "%s", why.text) : KV_OK;
}

/* One byte of room more than a cookie may have shows that it has grown. */
static int
read_cookie(const char *path, char text[COOKIE_FILE_MAX + 1], size_t *len,
    struct cookiefile_error *e)
{
	ssize_t n = 1;
	int fd, rc;

	if ((rc = open_cookie(path, &fd, e)) < 0)
		return rc;
	rc = check_open(fd, e);
	for (*len = 0; rc == KV_OK && n != 0 && *len <= COOKIE_FILE_MAX;) {
		n = read(fd, text + *len, COOKIE_FILE_MAX + 1 - *len);
		if (n > 0)
			*len += (size_t)n;
		else if (n < 0 && errno != EINTR)
			rc = system_failed(e, "read");
	}
	close(fd);
	return rc;
}

int
cookiefile_read(const char *path, bool allow_weak, struct cookiefile *out,
    struct cookiefile_error *e)
{
	struct cookie_error why;
	size_t len;
	int rc;

	if (sodium_init() < 0 ||
	    (out->text = sodium_malloc(COOKIE_FILE_MAX + 1)) == NULL)
		return fail(e, KV_ENOMEM, "%s", err_text(KV_ENOMEM));
	if ((rc = read_cookie(path, out->text, &len, e)) == KV_OK) {
		rc = cookie_parse((struct kv_slice){ out->text, len },
		    allow_weak, &out->cookie, &why);
		if (rc < 0)
			fail(e, rc, "%s", why.text);
	}
	if (rc < 0)
		cookiefile_fini(out);
	return rc;
}

void
cookiefile_fini(struct cookiefile *c)
{
	sodium_free(c->text); /* wipes it */
	c->text = NULL;
}
