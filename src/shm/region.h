/* SPDX-License-Identifier: ISC */
#ifndef KV_SHM_REGION_H
#define KV_SHM_REGION_H

/* Files of the shared-memory folder (tmpfs), mapped read and write.  A mapped
 * hole in a full tmpfs is a SIGBUS, so memory that is to be used is
 * allocated first (posix_fallocate) and lack of room is an error code. */

#include <stddef.h>

#include "kv_types.h"

/* Make the file afresh (an old one of the name is unlinked) with size bytes,
 * all allocated and zero.  KV_ENOSPC when the file system is full. */
KV_CHECKED int region_make(const char *folder, const char *name, size_t size,
    void **out);

/* The same without allocating anything; see region_allocate. */
KV_CHECKED int region_make_sparse(const char *folder, const char *name,
    size_t size, void **out);

/* Map an existing file; KV_ENOTFOUND (not logged) when there is none. */
KV_CHECKED int region_map(const char *folder, const char *name, void **out,
    size_t *size);

/* Allocate the whole of an existing file.  Repeatable. */
KV_CHECKED int region_allocate(const char *folder, const char *name,
    size_t size);

void region_unmap(void *memory, size_t size);

/* Bytes that the file system of folder can still give. */
KV_CHECKED int region_free_space(const char *folder, uint64_t *out);

/* Remove the folder with all its files. */
void region_remove_folder(const char *folder);

#endif
