/* SPDX-License-Identifier: ISC */
/* Index entries first, then what they lead to; of what no index has, the way
 * down the tree. */

#include "engine/prefetch.h"

#include "engine/internal.h"
#include "tree/prefetch.h"

static_assert(PREFETCH_MAX <= TREE_PREFETCH_MAX, "all at once");
#define PREFETCH_COLD 4 /* fewer have nobody to wait with */

static bool
prefetch_in_log(struct engine *e, uint64_t hash)
{
	uint64_t number;
	bool has = false;

	for (number = e->view_lo; !e->log_empty && number <= e->view_hi;
	     number++)
		has |= index_prefetch_record(engine_segment(e, number), hash);
	return has;
}

/* Of those that are in no table: where the tree has them. */
static void
prefetch_in_tree(struct engine *e, const struct prefetch *p,
    const uint64_t *hash)
{
	const char *row[PREFETCH_MAX];
	size_t i;

	tree_prefetch(e->tree, p->bid, p->key, p->count, row);
	for (i = 0; i < p->count; i++)
		if (row[i] != NULL)
			tree_hot_enter(e->hot, e->tree, hash[i], p->bid[i],
			    p->key[i], row[i]);
}

void
engine_prefetch(struct engine *e, const struct prefetch *p)
{
	uint64_t hash[PREFETCH_MAX], number;
	struct prefetch cold = { .count = 0 };
	size_t i;

	for (i = 0; i < p->count; i++) {
		hash[i] = index_hash_key(e->control->hash_secret, WAL_KEY,
		    p->bid[i], p->key[i]);
		tree_hot_prefetch(e->hot, hash[i]);
		for (number = e->view_lo; !e->log_empty && number <= e->view_hi;
		     number++)
			index_prefetch(engine_segment(e, number), hash[i]);
	}
	for (i = 0; i < p->count; i++) {
		if (prefetch_in_log(e, hash[i]) ||
		    tree_hot_prefetch_row(e->hot, e->tree, hash[i],
			p->key[i].len))
			continue;
		hash[cold.count] = hash[i];
		cold.bid[cold.count] = p->bid[i];
		cold.key[cold.count++] = p->key[i];
	}
	if (cold.count >= PREFETCH_COLD)
		prefetch_in_tree(e, &cold, hash);
}
