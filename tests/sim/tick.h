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

#endif
