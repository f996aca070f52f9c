/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_ITEMS_H
#define KV_SYNC_ITEMS_H

/* What lists in frames are made of: rows of version vectors and digests, the
 * arguments of a call, the entries of presence.  Reading: slices are cut off
 * the front of what is left. */

#include <stdbool.h>

#include "base/buf.h"

/* (inc, tick): rows of VV, SUB, PULL, BARRIER_OK and the lineage. */
struct item_row {
	uint64_t inc;
	uint64_t tick;
};

KV_CHECKED int item_put_row(struct buf *out, struct item_row row);

/* False at the end. */
bool item_take_row(struct kv_slice *rows, struct item_row *row);

struct item_digest {
	uint64_t bid;
	uint64_t sum[2];
	uint64_t records;
};

KV_CHECKED int item_put_digest(struct buf *out, const struct item_digest *d);
bool item_take_digest(struct kv_slice *rows, struct item_digest *d);

/* The bytes of a CALL: u16 argc, then u32 length and bytes of each; the first
 * is the command.  They may be spread over frames: join them first. */
#define ITEM_ARGS_MAX 1024
#define ITEM_ARGS_BYTES (1u << 20)
KV_CHECKED int item_put_args(struct buf *out, const struct kv_slice *argv,
    size_t argc);

/* At most *argc arguments, which it sets to what there are.  KV_EPROTO;
 * KV_ETOOBIG when there are more. */
KV_CHECKED int item_get_args(struct kv_slice bytes, struct kv_slice *argv,
    size_t *argc);

/* A client of the node that sends it. */
#define ITEM_CLIENT_MAX 64
struct item_client {
	bool is_gone;
	uint64_t id;	      /* unique at that node */
	uint64_t tick;	      /* since when; of two of a name the lower stays */
	struct kv_slice name; /* <= ITEM_CLIENT_MAX, printable */
};

KV_CHECKED int item_put_client(struct buf *out, const struct item_client *c);

/* KV_ENOTFOUND at the end, KV_EPROTO. */
KV_CHECKED int item_take_client(struct kv_slice *entries,
    struct item_client *c);

#endif
