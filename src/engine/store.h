/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_STORE_H
#define KV_ENGINE_STORE_H

/* DIR/store: what this folder is, as text, readable without LMDB:
 *
 *	kv store
 *	format 1
 *	id 0123456789abcdef
 *	segment_size 67108864
 */

#include "kv_types.h"

#define STORE_FORMAT 1

struct store {
	uint64_t id;
	uint64_t segment_size;
};

/* KV_ENOTFOUND: no store here.  KV_EVERSION: of a newer format; KV_ECORRUPT:
 * not such a file (both logged). */
KV_CHECKED int store_read(const char *dir, struct store *out);

/* Draw an id and write the file; the caller holds the open lock. */
KV_CHECKED int store_make(const char *dir, uint64_t segment_size,
    struct store *out);

#endif
