/* SPDX-License-Identifier: ISC */
#ifndef SIM_STATE_H
#define SIM_STATE_H

/* The arrays of a sim_state. */

#include "store.h"

/* Copy what is used of it; `to` may be all zeros. */
void state_copy(struct sim_state *to, const struct sim_state *from);

/* Its arrays and all that they point at, into another arena. */
void state_move(struct sim_state *t, struct arena *into);

/* The index of the first record at or after (bid, key). */
unsigned state_place(const struct sim_state *t, uint64_t bid,
    struct kv_slice key);

/* The record with r's bid and key, new (all zeros but those) or as it is;
 * slices are not copied. */
struct record *state_enter(struct sim_state *t, const struct record *r);
void state_remove(struct sim_state *t, const struct record *r);

/* The index of the first bucket whose id is not below bid. */
unsigned state_bucket_place(const struct sim_state *t, uint64_t bid);

/* The bucket of this name, NULL: none. */
struct sim_bucket *state_bucket(struct sim_state *t, struct kv_slice name);
struct sim_bucket *state_enter_bucket(struct sim_state *t,
    struct kv_slice name);

/* The row of an incarnation, made if it is not there. */
struct sync_row *state_row(struct sim_state *t, uint64_t inc);

#endif
