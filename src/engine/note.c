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
note_path(const struct engine *e, const char *name, const char *suffix,
    char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%.*s/%s%s", PATH_MAX - 48, e->shm, name,
	    suffix);
}

/* Memory needs no fsync, unlike file_write(). */
int
note_write(const struct engine *e, const char *name, struct kv_slice text)
{
	char path[PATH_MAX], new[PATH_MAX];
	int fd, rc;

	note_path(e, name, "", path);
	note_path(e, name, ".new", new);
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

void
note_remove(const struct engine *e, const char *name)
{
	char path[PATH_MAX];

	note_path(e, name, "", path);
	(void)unlink(path);
}

int
note_read(const struct engine *e, const char *name, struct buf *to)
{
	char path[PATH_MAX];

	note_path(e, name, "", path);
	return file_read(path, NOTE_MAX, to);
}
