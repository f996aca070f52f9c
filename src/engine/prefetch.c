/* SPDX-License-Identifier: ISC */
/* Index entries first, then what they lead to. */

#include "engine/prefetch.h"

#include "engine/internal.h"

void
engine_prefetch(struct engine *e, const struct prefetch *p)
{
	uint64_t hash[PREFETCH_MAX], number;
	size_t i;

	for (i = 0; i < p->count; i++) {
		hash[i] = index_hash_key(e->control->hash_secret, WAL_KEY,
		    p->bid[i], p->key[i]);
		tree_hot_prefetch(e->hot, hash[i]);
		if (e->log_empty)
			continue;
		for (number = e->view_lo; number <= e->view_hi; number++)
			index_prefetch(engine_segment(e, number), hash[i]);
	}
	for (i = 0; i < p->count; i++) {
		tree_hot_prefetch_row(e->hot, e->tree, hash[i], p->key[i].len);
		if (e->log_empty)
			continue;
		for (number = e->view_lo; number <= e->view_hi; number++)
			index_prefetch_record(engine_segment(e, number),
			    hash[i]);
	}
}
