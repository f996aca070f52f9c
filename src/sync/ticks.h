/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_TICKS_H
#define KV_SYNC_TICKS_H

/* A version vector: inc -> tick, ordered by inc.  What is not there is 0. */

#include "sync/items.h"

/* Of all rows that are not 0, whatever their order: equal for equal vectors.
 * On the wire, in DIGEST. */
struct ticks_sum {
	uint64_t word[2];
};

struct ticks {
	struct item_row *rows; /* changed by what stands here only */
	size_t count, cap;
	struct ticks_sum sum;
};

/* A row has another tick now. */
void ticks_sum_change(struct ticks_sum *sum, uint64_t inc, uint64_t from,
    uint64_t to);
bool ticks_sum_equal(const struct ticks_sum *a, const struct ticks_sum *b);

void ticks_init(struct ticks *t);
void ticks_fini(struct ticks *t);
void ticks_clear(struct ticks *t);

uint64_t ticks_get(const struct ticks *t, uint64_t inc);
KV_CHECKED int ticks_set(struct ticks *t, uint64_t inc, uint64_t tick);
KV_CHECKED int ticks_raise(struct ticks *t, uint64_t inc, uint64_t tick);
KV_CHECKED int ticks_copy(struct ticks *to, const struct ticks *from);

/* The lower of both, row by row. */
void ticks_lower(struct ticks *t, const struct ticks *by);
/* The higher of both. */
KV_CHECKED int ticks_join(struct ticks *t, const struct ticks *with);

#endif
