/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_VECTOR_H
#define KV_SYNC_VECTOR_H

/* The rows of all incarnations, as they are committed, in memory.  Pointers to
 * rows last until the next vector_make. */

#include "sync/store.h"
#include "sync/ticks.h"

struct vector_row {
	struct sync_row row;
	uint64_t changed;   /* the vector's version when vv changed last */
	uint64_t behind_ms; /* since when others are known to have more and vv
			     * stands still; 0: it does not */
};

/* Zeroed: empty. */
struct vector {
	struct vector_row *rows; /* as they came */
	uint32_t *order;	 /* their places, by inc: what has to move when
				  * one comes is little */
	size_t count, cap;
	uint64_t version;     /* counts changes of vv */
	struct ticks_sum sum; /* of vv, where all is installed */
};

void vector_fini(struct vector *v);
void vector_clear(struct vector *v);

/* In the order of incs. */
static inline struct vector_row *
vector_at(const struct vector *v, size_t i)
{
	return &v->rows[v->order[i]];
}

/* NULL: not known. */
struct vector_row *vector_find(const struct vector *v, uint64_t inc);
/* A zero row when it is not known. */
KV_CHECKED int vector_make(struct vector *v, uint64_t inc,
    struct vector_row **out);

/* Take over a committed row; purged only rises, and sum follows. */
KV_CHECKED int vector_install(struct vector *v, const struct sync_row *row);

static inline uint64_t
vector_vv(const struct vector *v, uint64_t inc)
{
	const struct vector_row *row = vector_find(v, inc);

	return row == NULL ? 0 : row->row.vv;
}

#endif
