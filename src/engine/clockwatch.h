/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_CLOCKWATCH_H
#define KV_ENGINE_CLOCKWATCH_H

/* Does the wall clock go on as it did?  Measured against the time since boot.
 *
 * A jump of over 30 s either way may be a virtual machine that was put back to
 * an earlier state: what it wrote after that state is out in the world under
 * its incarnation, and it does not know.  So a new one begins (kv-sync.7).
 *
 * After a jump of over an hour forward nothing is taken away by time, deadlines
 * and retention, for an hour; a jump back ends that.  (kv-sync.7) */

#include "engine/engine.h"

/* The clock is as it should be: recovery, in fresh memory. */
void clockwatch_begin(struct engine *e);

/* The checkpointer, each step; when it has just made room for a segment, before
 * the writers who wait for room know.  A new incarnation that is due begins;
 * when that cannot be, clockwatch_jumped() goes on to say so: try again
 * soon, replication waits for it. */
void clockwatch_step(struct engine *e);

/* A new incarnation is due and has not begun yet. */
bool clockwatch_jumped(const struct engine *e);

/* Is nothing to be taken away by time now? */
bool clockwatch_doubts(const struct engine *e);

/* Replication has found the clock wrong: doubt it for the next minutes; to be
 * said again for as long as that is so. */
void clockwatch_doubt(struct engine *e);

#endif
