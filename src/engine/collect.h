/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_COLLECT_H
#define KV_ENGINE_COLLECT_H

/* What a range of the log comes to: the newest record of each key, the newest
 * sums of each bucket. */

#include "engine/internal.h"
#include "tree/apply.h"

struct collect_sum; /* of one bucket */

struct collection {
	struct record *records; /* borrow from the log's memory */
	size_t count, cap;
	struct collect_sum *sums; /* by bucket id */
};

/* All records in [from, to) of one segment; what was there before is
 * forgotten.  Every check is verified first: KV_ECORRUPT, logged, with
 * TROUBLE_CORRUPT, at the first that is wrong.  *seq: the highest. */
KV_CHECKED int collect_range(struct engine *e, uint64_t from, uint64_t to,
    struct collection *c, uint64_t *seq);

/* The sums as an array that is the caller's. */
KV_CHECKED int collect_totals(const struct collection *c,
    struct bucket_totals **out, size_t *count);

void collect_forget(struct collection *c);
void collect_fini(struct collection *c);

#endif
