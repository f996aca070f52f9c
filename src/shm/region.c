/* SPDX-License-Identifier: ISC */
/* Files in tmpfs and their mappings. */

#include "shm/region.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"

static int
region_path(char path[PATH_MAX], const char *folder, const char *name)
{
	int n = snprintf(path, PATH_MAX, "%s/%s", folder, name);

	return n < 0 || n >= PATH_MAX ? KV_ETOOBIG : KV_OK;
}

static int
region_mmap(int fd, size_t size, const char *path, void **out)
{
	void *memory;

	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return err_system("mmap", path);
	*out = memory;
	return KV_OK;
}

static int
region_create(const char *folder, const char *name, size_t size, bool allocate,
    void **out)
{
	char path[PATH_MAX];
	int fd, rc;

	if ((rc = region_path(path, folder, name)) < 0)
		return rc;
	if (unlink(path) < 0 && errno != ENOENT)
		return err_system("unlink", path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_system("open", path);
	if (ftruncate(fd, (off_t)size) < 0)
		rc = err_system("ftruncate", path);
	else if (allocate && (errno = posix_fallocate(fd, 0, (off_t)size)) != 0)
		rc = err_system("fallocate", path);
	else
		rc = region_mmap(fd, size, path, out);
	close(fd);
	return rc;
}

int
region_make(const char *folder, const char *name, size_t size, void **out)
{
	return region_create(folder, name, size, true, out);
}

int
region_make_sparse(const char *folder, const char *name, size_t size,
    void **out)
{
	return region_create(folder, name, size, false, out);
}

int
region_map(const char *folder, const char *name, void **out, size_t *size)
{
	char path[PATH_MAX];
	struct stat st;
	int fd, rc;

	if ((rc = region_path(path, folder, name)) < 0)
		return rc;
	if ((fd = open(path, O_RDWR | O_CLOEXEC)) < 0) {
		if (errno == ENOENT)
			return KV_ENOTFOUND;
		return err_system("open", path);
	}
	if (fstat(fd, &st) < 0)
		rc = err_system("fstat", path);
	else if (st.st_size <= 0)
		rc = KV_ENOTFOUND; /* made, but its maker died before sizing */
	else
		rc = region_mmap(fd, (size_t)st.st_size, path, out);
	close(fd);
	if (rc == KV_OK)
		*size = (size_t)st.st_size;
	return rc;
}

int
region_allocate(const char *folder, const char *name, size_t size)
{
	char path[PATH_MAX];
	int fd, rc;

	if ((rc = region_path(path, folder, name)) < 0)
		return rc;
	if ((fd = open(path, O_RDWR | O_CLOEXEC)) < 0)
		return err_system("open", path);
	if ((errno = posix_fallocate(fd, 0, (off_t)size)) != 0)
		rc = err_system("fallocate", path);
	close(fd);
	return rc;
}

void
region_unmap(void *memory, size_t size)
{
	if (memory != NULL)
		munmap(memory, size);
}

int
region_free_space(const char *folder, uint64_t *out)
{
	struct statvfs st;

	if (statvfs(folder, &st) < 0)
		return err_system("statvfs", folder);
	*out = (uint64_t)st.f_bavail * st.f_frsize;
	return KV_OK;
}

void
region_remove_folder(const char *folder)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	if ((dir = opendir(folder)) == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (region_path(path, folder, entry->d_name) == KV_OK)
			unlink(path);
	}
	closedir(dir);
	rmdir(folder);
}
