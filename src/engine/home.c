/* SPDX-License-Identifier: ISC */
/* Whose the memory in shm_dir is: of which folder, and of which boot.
 *
 * The store's id names it, but a folder can be copied with its id.  The inode
 * of DIR/lock tells copies apart: who finds that the memory of the plain name
 * belongs to another folder has one with the inode in its name.  Memory from
 * before a boot (shm_dir need not be a tmpfs) is never adopted: of pages that
 * the kernel wrote back, some are older than others. */

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
home_name(struct engine *e, const char *suffix)
{
	snprintf(e->shm, sizeof(e->shm), "%.*s/kv-%016llx%s",
	    (int)sizeof(e->shm) - 48, e->options.shm_dir,
	    (unsigned long long)e->store_id, suffix);
}

int
home_find(struct engine *e)
{
	char suffix[24];
	uint64_t identity;
	int rc;

	if ((rc = home_identity(e, &identity)) < 0)
		return rc;
	snprintf(suffix, sizeof(suffix), "-%016llx",
	    (unsigned long long)identity);
	home_name(e, suffix);
	if (access(e->shm, F_OK) == 0)
		return KV_OK;
	home_name(e, "");
	if (home_is_taken(e, identity))
		home_name(e, suffix);
	return KV_OK;
}

int
home_sign(struct engine *e)
{
	e->control->boot = home_boot();
	return home_identity(e, &e->control->folder);
}
