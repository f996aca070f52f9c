/* SPDX-License-Identifier: ISC */
/* The folder of log files: who holds which segment, writes, recycling. */

#include "wal/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "io/file.h"

#define WAL_FILES_MAX 64
#define WAL_CHUNK ((size_t)1 << 20)
#define WAL_FREE UINT64_MAX

struct wal_file {
	uint64_t number; /* of the segment it holds; WAL_FREE */
	int fd;		 /* page cache */
	int direct;	 /* O_DIRECT, -1 where refused */
	char name[32];	 /* in the folder */
};

struct wal_files {
	char folder[PATH_MAX];
	int dirfd;
	uint64_t store_id;
	uint64_t size;
	struct wal_file files[WAL_FILES_MAX];
	unsigned count;
	uint64_t written; /* bytes, by wal_files_write() */
};

static void
wal_file_close(struct wal_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->direct >= 0)
		close(f->direct);
	f->fd = f->direct = -1;
}

static int
wal_file_open(struct wal_files *w, const char *name, int flags,
    struct wal_file *out)
{
	*out = (struct wal_file){ WAL_FREE, -1, -1, "" };
	snprintf(out->name, sizeof(out->name), "%s", name);
	out->fd = openat(w->dirfd, name, O_RDWR | O_CLOEXEC | flags, 0600);
	if (out->fd < 0)
		return err_system("open", name);
	out->direct = openat(w->dirfd, name, O_RDWR | O_CLOEXEC | O_DIRECT);
	return KV_OK;
}

/* Which segment, if any, the file's header names. */
static uint64_t
wal_file_number(const struct wal_files *w, const struct wal_file *f,
    struct segment_header *h)
{
	if (pread(f->fd, h, sizeof(*h), 0) != (ssize_t)sizeof(*h))
		return WAL_FREE;
	if (segment_header_verify(h) < 0 || h->store_id != w->store_id ||
	    h->size != w->size)
		return WAL_FREE;
	return h->number;
}

/* A segment's file, whose content may be anything; it has its name from the
 * moment that it is wholly written. */
static bool
wal_file_is_ours(const struct wal_files *w, const struct wal_file *f)
{
	struct segment_header h;
	struct stat st;

	if (fstat(f->fd, &st) < 0 || (uint64_t)st.st_size != w->size)
		return false;
	if (pread(f->fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h))
		return false;
	return segment_header_verify(&h) < 0 || h.store_id == w->store_id;
}

static int
wal_files_scan_one(struct wal_files *w, const char *name)
{
	struct segment_header h;
	struct wal_file f;
	size_t len = strlen(name);
	int rc;

	if (len < 5 || len >= sizeof(f.name) ||
	    strcmp(name + len - 4, ".wal") != 0)
		return KV_OK;
	if (w->count == WAL_FILES_MAX) {
		log_warn("log_file name=%s ignored=\"too many files\"", name);
		return KV_OK;
	}
	if ((rc = wal_file_open(w, name, 0, &f)) < 0)
		return rc;
	f.number = wal_file_number(w, &f, &h);
	if (f.number == WAL_FREE && !wal_file_is_ours(w, &f)) {
		log_warn("log_file name=%s ignored=\"not a whole segment of "
			 "this store\"",
		    name);
		wal_file_close(&f);
		return KV_OK;
	}
	w->files[w->count++] = f;
	return KV_OK;
}

int
wal_files_open(const char *folder, uint64_t store_id, uint64_t segment_size,
    struct wal_files **out)
{
	struct wal_files *w;
	struct dirent *entry;
	DIR *dir = NULL;
	int rc;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return KV_ENOMEM;
	w->store_id = store_id;
	w->size = segment_size;
	snprintf(w->folder, sizeof(w->folder), "%s", folder);
	if (mkdir(folder, 0700) < 0 && errno != EEXIST) {
		rc = err_system("mkdir", folder);
		w->dirfd = -1;
		goto out;
	}
	w->dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->dirfd < 0 || (dir = opendir(folder)) == NULL) {
		rc = err_system("open", folder);
		goto out;
	}
	rc = KV_OK;
	while (rc == KV_OK && (entry = readdir(dir)) != NULL)
		rc = wal_files_scan_one(w, entry->d_name);
	if (rc < 0)
		goto out;
	*out = w;
	w = NULL;
out:
	if (dir != NULL)
		closedir(dir);
	wal_files_close(w);
	return rc;
}

void
wal_files_close(struct wal_files *w)
{
	unsigned i;

	if (w == NULL)
		return;
	for (i = 0; i < w->count; i++)
		wal_file_close(&w->files[i]);
	if (w->dirfd >= 0)
		close(w->dirfd);
	free(w);
}

static struct wal_file *
wal_files_find(struct wal_files *w, uint64_t number)
{
	unsigned i;

	for (i = 0; i < w->count; i++)
		if (w->files[i].number == number)
			return &w->files[i];
	return NULL;
}

int
wal_files_header(struct wal_files *w, uint64_t number,
    struct segment_header *out)
{
	struct wal_file *f = wal_files_find(w, number);

	if (f == NULL || wal_file_number(w, f, out) != number)
		return KV_ENOTFOUND;
	return KV_OK;
}

int
wal_files_read(struct wal_files *w, uint64_t number, char *to)
{
	struct wal_file *f = wal_files_find(w, number);
	uint64_t at = 0;

	if (f == NULL)
		return KV_ENOTFOUND;
	while (at < w->size) {
		ssize_t n = pread(f->fd, to + at, w->size - at, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_system("read", f->name);
		at += (uint64_t)n;
	}
	return KV_OK;
}

int
wal_files_peek(struct wal_files *w, uint64_t number, uint64_t offset, void *to,
    size_t n)
{
	struct wal_file *f = wal_files_find(w, number);

	if (f == NULL)
		return KV_ENOTFOUND;
	if (pread(f->fd, to, n, (off_t)offset) != (ssize_t)n)
		return err_system("read", f->name);
	return KV_OK;
}

void
wal_files_set_aside(struct wal_files *w, uint64_t from)
{
	unsigned i = 0;

	while (i < w->count) {
		struct wal_file *f = &w->files[i];
		char lost[48];

		if (f->number == WAL_FREE || f->number < from) {
			i++;
			continue;
		}
		snprintf(lost, sizeof(lost), "%llu.lost",
		    (unsigned long long)f->number);
		if (renameat(w->dirfd, f->name, w->dirfd, lost) < 0)
			err_system("rename", f->name);
		log_error("log_file name=%s set_aside=%s error=\"does not "
			  "follow the log; what is in it cannot be used\"",
		    f->name, lost);
		wal_file_close(f);
		*f = w->files[--w->count];
	}
}

void
wal_files_retire(struct wal_files *w, uint64_t lo)
{
	unsigned i;

	for (i = 0; i < w->count; i++)
		if (w->files[i].number < lo)
			w->files[i].number = WAL_FREE;
}

static int
wal_file_fill(struct wal_files *w, struct wal_file *f)
{
	int fd = f->direct >= 0 ? f->direct : f->fd;
	uint64_t at = 0;
	char *zeros;
	int rc = KV_OK;

	if ((zeros = aligned_alloc(WAL_BLOCK, WAL_CHUNK)) == NULL)
		return KV_ENOMEM;
	memset(zeros, 0, WAL_CHUNK);
	while (rc == KV_OK && at < w->size) {
		size_t n = w->size - at < WAL_CHUNK ? w->size - at : WAL_CHUNK;
		ssize_t put = pwrite(fd, zeros, n, (off_t)at);

		if (put > 0)
			at += (uint64_t)put;
		else if (errno == EINVAL && fd == f->direct)
			fd = f->fd;
		else if (errno != EINTR)
			rc = err_system("preallocate", f->name);
	}
	if (rc == KV_OK && fsync(f->fd) < 0)
		rc = err_system("fsync", f->name);
	free(zeros);
	return rc;
}

/* Never onto another file's name: a lost rename may have left one. */
static bool
wal_file_rename(struct wal_files *w, struct wal_file *f, const char *name)
{
	if (renameat2(w->dirfd, f->name, w->dirfd, name, RENAME_NOREPLACE) < 0)
		return false;
	snprintf(f->name, sizeof(f->name), "%s", name);
	return true;
}

/* A new file's name, or one beside it when that is taken. */
static int
wal_files_name(struct wal_files *w, struct wal_file *f, const char *name)
{
	char other[32];
	unsigned i;

	if (wal_file_rename(w, f, name))
		return KV_OK;
	for (i = 0; errno == EEXIST && i < WAL_FILES_MAX; i++) {
		snprintf(other, sizeof(other), "spare%u.wal", i);
		if (wal_file_rename(w, f, other))
			return KV_OK;
	}
	return err_system("rename", name);
}

static bool
wal_files_have_room(const struct wal_files *w)
{
	struct statvfs st;

	return fstatvfs(w->dirfd, &st) < 0 ||
	    (uint64_t)st.f_bavail * st.f_frsize >= w->size;
}

static int
wal_files_make(struct wal_files *w, uint64_t number)
{
	struct wal_file f;
	char name[32], temporary[] = "new.tmp";
	int rc;

	if (w->count == WAL_FILES_MAX)
		return KV_EBUSY;
	if (!wal_files_have_room(w))
		return KV_ENOSPC; /* who asks again and again says so once */
	/* Before the first file is made: the folder's own name, which no sync
	 * of the folder itself covers.  Whoever made it may have died before
	 * he could. */
	if (w->count == 0 && (rc = file_sync_parent(w->folder)) < 0)
		return rc;
	unlinkat(w->dirfd, temporary, 0);
	rc = wal_file_open(w, temporary, O_CREAT | O_EXCL, &f);
	if (rc == KV_OK)
		rc = wal_file_fill(w, &f);
	snprintf(name, sizeof(name), "%llu.wal", (unsigned long long)number);
	if (rc == KV_OK)
		rc = wal_files_name(w, &f, name);
	if (rc == KV_OK && fsync(w->dirfd) < 0)
		rc = err_system("fsync", w->folder);
	if (rc < 0) {
		unlinkat(w->dirfd, temporary, 0);
		wal_file_close(&f);
		return rc;
	}
	f.number = number;
	w->files[w->count++] = f;
	return KV_OK;
}

int
wal_files_prepare(struct wal_files *w, uint64_t number)
{
	struct wal_file *f;
	char name[32];

	if (wal_files_find(w, number) != NULL)
		return KV_OK;
	if ((f = wal_files_find(w, WAL_FREE)) == NULL)
		return wal_files_make(w, number);
	snprintf(name, sizeof(name), "%llu.wal", (unsigned long long)number);
	(void)wal_file_rename(w, f, name); /* a name is only a hint */
	f->number = number;
	return KV_OK;
}

/* One pwrite at most of [at, to), both on block boundaries. */
static ssize_t
wal_file_put(struct wal_file *f, const char *base, uint64_t at, uint64_t to,
    bool sync)
{
	size_t n = to - at < WAL_CHUNK ? to - at : WAL_CHUNK;
	struct iovec v = { NULL, n };
	int fd = f->direct >= 0 ? f->direct : f->fd;
	bool last = at + n == to;
	ssize_t put;

	memcpy(&v.iov_base, &(const char *){ base + at }, sizeof(v.iov_base));
	put = pwritev2(fd, &v, 1, (off_t)at, sync && last ? RWF_DSYNC : 0);
	if (put < 0 && errno == EINVAL && fd == f->direct) {
		close(f->direct); /* the file system does not have it */
		f->direct = -1;
		return 0;
	}
	return put;
}

int
wal_files_write(struct wal_files *w, uint64_t number, const char *base,
    uint64_t from, uint64_t to, bool sync)
{
	struct wal_file *f = wal_files_find(w, number);
	uint64_t at = from & ~(uint64_t)(WAL_BLOCK - 1);
	uint64_t end = (to + WAL_BLOCK - 1) & ~(uint64_t)(WAL_BLOCK - 1);
	uint64_t start = at;

	if (f == NULL)
		return KV_ENOTFOUND;
	while (at < end) {
		ssize_t n = wal_file_put(f, base, at, end, sync);

		if (n < 0 && errno != EINTR)
			return err_system("write", f->name);
		/* O_DIRECT wants whole blocks; a short write ends in one. */
		if (n > 0)
			at += (uint64_t)n & ~(uint64_t)(WAL_BLOCK - 1);
	}
	/* RWF_DSYNC covers its own write; more than one needs them all. */
	if (sync && end - start > WAL_CHUNK && fdatasync(f->fd) < 0)
		return err_system("fdatasync", f->name);
	w->written += end - start;
	return KV_OK;
}

uint64_t
wal_files_written(const struct wal_files *w)
{
	return w->written;
}

int
wal_files_sync(struct wal_files *w, uint64_t number)
{
	struct wal_file *f = wal_files_find(w, number);

	if (f == NULL)
		return KV_ENOTFOUND;
	if (fdatasync(f->fd) < 0)
		return err_system("fdatasync", f->name);
	return KV_OK;
}
