/* SPDX-License-Identifier: ISC */
#ifndef KV_WAL_FILE_H
#define KV_WAL_FILE_H

/* The log on disk: DIR/wal/<number>.wal, each a segment's image, preallocated
 * with zeros (so that a write changes no metadata and its sync is one disk
 * operation), recycled by renaming.
 *
 * Blocks of 4096 go out by O_DIRECT straight from the shared memory, or by
 * pwrite where the file system refuses that (open(2)).  A name is only a
 * hint: what a file holds is what its header says, because a rename may be
 * lost in a power cut although the file's blocks were not. */

#include <stdbool.h>

#include "wal/segment.h"

#define WAL_BLOCK 4096

struct wal_files;

/* Open the folder (made when missing) and look at every file in it.  Files of
 * another store id or size are left alone and named in a log line. */
KV_CHECKED int wal_files_open(const char *folder, uint64_t store_id,
    uint64_t segment_size, struct wal_files **out);
void wal_files_close(struct wal_files *w);

/* Is there a file whose header says number?  KV_ENOTFOUND. */
KV_CHECKED int wal_files_header(struct wal_files *w, uint64_t number,
    struct segment_header *out);

/* Read the whole image of segment number to `to` (segment_size bytes). */
KV_CHECKED int wal_files_read(struct wal_files *w, uint64_t number, char *to);

/* Read n bytes at an offset of segment number's image. */
KV_CHECKED int wal_files_peek(struct wal_files *w, uint64_t number,
    uint64_t offset, void *to, size_t n);

/* Files of segments from this number on do not belong to the log: rename them
 * to <number>.lost, so that nothing is written over them; logged. */
void wal_files_set_aside(struct wal_files *w, uint64_t from);

/* Segments before lo are no longer needed: their files may be reused. */
void wal_files_retire(struct wal_files *w, uint64_t lo);

/* There is a file for segment number after this: recycled, or made (which
 * writes a segment's length of zeros).  KV_ENOSPC. */
KV_CHECKED int wal_files_prepare(struct wal_files *w, uint64_t number);

/* Write the blocks that cover [from, to) of the image at base, which must be
 * readable up to the end of to's block.  sync: the data is on disk when this
 * returns.  KV_ENOTFOUND: number was not prepared. */
KV_CHECKED int wal_files_write(struct wal_files *w, uint64_t number,
    const char *base, uint64_t from, uint64_t to, bool sync);

/* Bytes that wal_files_write() wrote since the folder was opened. */
uint64_t wal_files_written(const struct wal_files *w);

/* Everything written to number's file is on disk after this. */
KV_CHECKED int wal_files_sync(struct wal_files *w, uint64_t number);

#endif
