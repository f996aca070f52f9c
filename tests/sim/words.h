/* SPDX-License-Identifier: ISC */
#ifndef SIM_WORDS_H
#define SIM_WORDS_H

/* A fuzzer's bytes as words of the protocol: incs, ticks, keys, frames and ops
 * that might be right.  All come out of small sets, so that they meet each
 * other and the store of arrays does not run over.  At the end of the bytes all
 * are 0. */

#include "store.h"
#include "sync/frame.h"
#include "sync/op.h"

#define WORDS_INC 100u /* of the node that is tried */

struct words {
	const uint8_t *at;
	size_t left;
	uint64_t wall_ms;
	const struct sim_store *store; /* the node's: ticks near its own */
};

uint8_t words_u8(struct words *w);
uint64_t words_inc(struct words *w);
uint64_t words_tick(struct words *w);
struct kv_slice words_key(struct words *w);
struct kv_slice words_bucket(struct words *w); /* a name */
void words_rows(struct words *w, struct buf *rows);

/* Of the peer with this number (0 or 1), who was asked for this RANGE; its rows
 * borrow from `rows`. */
void words_frame(struct words *w, unsigned which, uint64_t range,
    struct buf *rows, struct frame *f);
void words_op(struct words *w, uint64_t range, struct op *op);

#endif
