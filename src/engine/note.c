/* SPDX-License-Identifier: ISC */
/* Texts beside the segments. */

#include "engine/note.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "engine/internal.h"
#include "io/file.h"

static void
note_path(const char *folder, const char *name, const char *suffix,
    char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%.*s/%s%s", PATH_MAX - 48, folder, name,
	    suffix);
}

/* Memory needs no fsync, unlike file_write(). */
static int
note_put(const char *folder, const char *name, struct kv_slice text)
{
	char path[PATH_MAX], new[PATH_MAX];
	int fd, rc;

	note_path(folder, name, "", path);
	note_path(folder, name, ".new", new);
	fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_system("open", new);
	rc = file_write_all(fd, text, new);
	close(fd);
	if (rc == KV_OK && rename(new, path) < 0)
		rc = err_system("rename", path);
	if (rc < 0)
		(void)unlink(new);
	return rc;
}

int
note_write(const struct engine *e, const char *name, struct kv_slice text)
{
	return note_put(e->shm, name, text);
}

int
note_keep(const struct engine *e, const char *name, struct kv_slice text)
{
	return note_put(e->dir, name, text);
}

void
note_remove(const struct engine *e, const char *name)
{
	char path[PATH_MAX];

	note_path(e->shm, name, "", path);
	(void)unlink(path);
}

int
note_read(const struct engine *e, const char *name, struct buf *to)
{
	char path[PATH_MAX];

	note_path(e->shm, name, "", path);
	return file_read(path, NOTE_MAX, to);
}

int
note_kept(const struct engine *e, const char *name, struct buf *to)
{
	char path[PATH_MAX];

	note_path(e->dir, name, "", path);
	return file_read(path, NOTE_MAX, to);
}
