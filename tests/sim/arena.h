/* SPDX-License-Identifier: ISC */
#ifndef SIM_ARENA_H
#define SIM_ARENA_H

/* Bytes that live until the run is over.  Keys and values of all stores of a
 * run stand here, so that a store is copied (crash, backup, clone) by copying
 * its struct, and a run costs no malloc per record. */

#include "kv_types.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *first, *now;
	size_t used; /* of now */
};

/* All zeros is an empty one. */
void arena_fini(struct arena *a);

/* Forget what is in it, keep the memory. */
void arena_reset(struct arena *a);

/* Room for n bytes, for numbers and pointers too; never fails (no memory:
 * abort). */
char *arena_take(struct arena *a, size_t n);
struct kv_slice arena_copy(struct arena *a, struct kv_slice s);

#endif
