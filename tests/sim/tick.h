/* SPDX-License-Identifier: ISC */
#ifndef SIM_TICK_H
#define SIM_TICK_H

/* The hybrid logical clock of a store (kv-sync.7). */

#include "store.h"

/* A new seq. */
uint64_t tick_next(struct sim_store *s);

/* The stamp's tick of a local write: its seq, unless that rule is broken. */
uint64_t tick_stamp(struct sim_store *s, uint64_t seq);

/* A foreign tick came in. */
void tick_absorb(struct sim_store *s, uint64_t tick);

/* life.c: a row of the tree is gone; so is what we see of it, unless it
 * changed. */
void store_forget(struct sim_store *s, const struct record *gone);

/* short.c: what the ttl_max of its bucket makes of a record written at ms; of
 * all that are there. */
void short_limit(const struct sim_state *t, uint64_t ms, struct record *r);
void short_limit_all(struct sim_store *s);

/* rivals.c: of a local write over `was` (NULL: nothing); what comes in meets
 * what is there. */
void rivals_note(const struct sim_store *s, const struct record *was,
    struct record *r);
void rivals_meet(struct sim_store *s, const struct record *in,
    const struct record *was);

#endif
