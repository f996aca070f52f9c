/* SPDX-License-Identifier: ISC */
/* Whose the memory in shm_dir is: of which folder, and of which boot.
 *
 * The store's id names it, but a folder can be copied with its id.  The inode
 * of DIR/lock tells copies apart: who finds that the memory of the plain name
 * belongs to another folder has one with the inode in its name.  Memory from
 * before a boot (shm_dir need not be a tmpfs) is never adopted: of pages that
 * the kernel wrote back, some are older than others.
 *
 * DIR/memory names the shm_dir of the present or last life, so that a program
 * that was not told of it finds the memory, and memory is adopted although
 * shm_dir was changed. */

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/hash.h"
#include "engine/internal.h"
#include "io/file.h"

static int
home_identity(const struct engine *e, uint64_t *out)
{
	struct stat st;

	if (fstat(e->lock_fd, &st) < 0)
		return err_system("fstat", e->dir);
	*out = hash_u64((uint64_t)st.st_dev ^ hash_u64((uint64_t)st.st_ino));
	return KV_OK;
}

uint64_t
home_boot(void)
{
	struct buf text;
	uint64_t boot = 0;

	buf_init(&text);
	if (file_read("/proc/sys/kernel/random/boot_id", 256, &text) == KV_OK)
		boot = hash_bytes(text.data, text.len, 0);
	buf_fini(&text);
	return boot;
}

/* Is there memory of the name in e->shm that another folder made? */
static bool
home_is_taken(const struct engine *e, uint64_t identity)
{
	struct control *c;
	bool taken;

	if (control_map(e->shm, &c) < 0)
		return false;
	taken = c->folder != 0 && c->folder != identity;
	control_unmap(c);
	return taken;
}

static void
home_name(struct engine *e, const char *parent, const char *suffix)
{
	snprintf(e->shm, sizeof(e->shm), "%.*s/kv-%016llx%s",
	    (int)sizeof(e->shm) - 48, parent, (unsigned long long)e->store_id,
	    suffix);
}

/* The folder's memory below parent. */
static int
home_below(struct engine *e, const char *parent)
{
	char suffix[24];
	uint64_t identity;
	int rc;

	if ((rc = home_identity(e, &identity)) < 0)
		return rc;
	snprintf(suffix, sizeof(suffix), "-%016llx",
	    (unsigned long long)identity);
	home_name(e, parent, suffix);
	if (access(e->shm, F_OK) == 0)
		return KV_OK;
	home_name(e, parent, "");
	if (home_is_taken(e, identity))
		home_name(e, parent, suffix);
	return KV_OK;
}

static void
home_note_path(const struct engine *e, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%.*s/memory", PATH_MAX - 8, e->dir);
}

int
home_find(struct engine *e)
{
	char path[PATH_MAX];
	struct buf note;
	int rc;

	buf_init(&note);
	home_note_path(e, path);
	rc = file_read(path, PATH_MAX - 1, &note);
	if (rc == KV_OK)
		rc = buf_append(&note, "", 1);
	if (rc == KV_OK)
		rc = home_below(e, note.data);
	else if (rc == KV_ENOTFOUND)
		rc = home_below(e, e->options.shm_dir);
	buf_fini(&note);
	return rc;
}

int
home_choose(struct engine *e)
{
	struct kv_slice wanted = slice_of(e->options.shm_dir);
	char path[PATH_MAX];
	struct buf note;
	int rc;

	if ((rc = home_below(e, e->options.shm_dir)) < 0)
		return rc;
	buf_init(&note);
	home_note_path(e, path);
	rc = file_read(path, PATH_MAX - 1, &note);
	if (rc != KV_OK || !slice_equal(buf_slice(&note), wanted))
		rc = file_write(path, wanted, 0600);
	buf_fini(&note);
	return rc;
}

int
home_sign(struct engine *e)
{
	e->control->boot = home_boot();
	return home_identity(e, &e->control->folder);
}
