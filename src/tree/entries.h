/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_ENTRIES_H
#define KV_TREE_ENTRIES_H

/* The entries in byseq and expiry that many rows have, in the order in which
 * those databases keep them. */

#include "tree/schema.h"
#include "tree/sort.h"

struct entry {
	struct schema_expiry expiry; /* its seq is the row's in any case */
	uint32_t at;		     /* the caller's index */
	bool listed;		     /* is in byseq */
};

struct entries {
	struct entry *list;
	size_t count;
	struct sort_item *items; /* at: index in list */
	struct sort_item *spare;
};

/* Room for so many.  entries_fini() in any case. */
KV_CHECKED int entries_init(struct entries *e, size_t room);
void entries_fini(struct entries *e);
void entries_clear(struct entries *e);

void entries_add(struct entries *e, const struct record *row, uint32_t at);

/* Order those that are in byseq, or in expiry; return how many. */
size_t entries_by_seq(struct entries *e);
size_t entries_by_expiry(struct entries *e);

/* The seq of the i-th in the order of byseq. */
static inline uint64_t
entries_seq(const struct entries *e, size_t i)
{
	return e->items[i].key;
}

/* The i-th of the last order. */
static inline const struct entry *
entries_get(const struct entries *e, size_t i)
{
	return &e->list[e->items[i].at];
}

#endif
