/* SPDX-License-Identifier: ISC */
#ifndef KV_IO_FILE_H
#define KV_IO_FILE_H

/* Whole files, private folders, byte-range locks. */

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "kv_types.h"

/* Append the whole file to b.  KV_ENOTFOUND (no log line) when there is none,
 * KV_ETOOBIG (no log line) beyond limit bytes, KV_EINVAL for a folder. */
KV_CHECKED int file_read(const char *path, size_t limit, struct buf *b);

/* Replace the file: a temporary beside it, fsync, rename, fsync of the folder.
 * After a power cut either the old or the new content is there, whole. */
KV_CHECKED int file_write(const char *path, struct kv_slice data, mode_t mode);

/* write(2) until all of it is out; KV_ENOSPC among others. */
KV_CHECKED int file_write_all(int fd, struct kv_slice data, const char *name);

/* fsync the folder, so that names made or removed in it stay so; and the one in
 * which path lies, so that path's own name stays. */
KV_CHECKED int file_sync_dir(const char *path);
KV_CHECKED int file_sync_parent(const char *path);

/* Make a folder and the missing ones above it, mode 0700. */
KV_CHECKED int file_make_dir(const char *path);

/* Is this folder ours alone: a folder, owned by us, not writable by others,
 * writable for us?  If not, a code and the reason in why, for the one who
 * knows which option named it; no log line. */
KV_CHECKED int file_check_dir(const char *path, char *why, size_t size);

/* Locks on one byte of a file, by open file description (fcntl(2), F_OFD_*):
 * they go when the last descriptor of that open is closed, also by death, and
 * are not lost when some other descriptor of the file is. */
enum file_lock_mode { FILE_LOCK_SHARED, FILE_LOCK_EXCLUSIVE };

/* Take the lock.  KV_EBUSY (no log line) when another open holds it: at once,
 * or with wait only when a signal came while waiting.  On a lock that is held
 * already it changes the mode, atomically: at no time is it free, and on
 * KV_EBUSY the old mode stays.  Exclusive needs fd open for writing. */
KV_CHECKED int file_lock(int fd, off_t byte, enum file_lock_mode mode,
    bool wait);
void file_unlock(int fd, off_t byte);

/* Does another open hold the lock, in any mode?  In doubt it does. */
bool file_is_locked(int fd, off_t byte);

#endif
