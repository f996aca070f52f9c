/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_ORDER_H
#define KV_TREE_ORDER_H

/* The order in which a checkpoint's records are applied: records by (bid,
 * key), then buckets by name, then positions by key.  Positions come last, so
 * that a claim never stands without its data. */

#include "base/record.h"
#include "tree/sort.h"

struct order {
	struct sort_item *items;	    /* at: index of the record */
	struct sort_item *spare;	    /* while sorting */
	size_t records, buckets, positions; /* how many of each */
};

/* Also checks the records, and fills in what a bucket's row tells about its
 * record.  KV_EINVAL when one cannot be a record of ours or stands there twice,
 * logged.  order_fini() in any case. */
KV_CHECKED int order_init(struct order *o, struct record *records,
    size_t count);
void order_fini(struct order *o);

#endif
