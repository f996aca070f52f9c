/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_KNOWN_H
#define KV_SYNCD_KNOWN_H

/* The nodes that this store ever had a link to, and what was told of all nodes
 * last: a file in the store's folder (engine/nodes.h), for `kv nodes` where no
 * kv-syncd runs.  Written when something but figures has changed, every few
 * seconds at most, and at the end. */

#include "syncd/syncd.h"

struct known;

/* Reads what the kv-syncd before us has left. */
KV_CHECKED int known_open(struct syncd *s, struct known **out);
void known_close(struct known *k); /* NULL is fine */

/* When there was a link to it last, ms since 1970, to whom, and where; 0 and "":
 * never. */
struct known_who {
	uint64_t seen_ms, uid, inc;
	char address[MEMBER_ADDRESS_TEXT];
};
struct known_who known_who(const struct known *k, const char *name);

/* A report on all nodes. */
void known_take(struct known *k, struct kv_slice report);

#endif
