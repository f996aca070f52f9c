/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_MAINTAIN_H
#define KV_ENGINE_MAINTAIN_H

/* The two roles that carry the log on: to the disk, and into the tree.  A role
 * is a lock on the store folder, so that one process has it at a time; its
 * steps are here so that a program without a daemon can make them inline. */

#include "engine/engine.h"

/* Take the role; wait: sleep until its holder is gone (KV_EBUSY when a signal
 * ends the sleep).  KV_EEXIST: we have it already.  Given up at engine_close or
 * by maintain_leave. */
KV_CHECKED int maintain_take(struct engine *e, enum control_role role,
    bool wait);
void maintain_leave(struct engine *e, enum control_role role);

/* Walwriter: write out and sync what there is, prepare the next file, wake who
 * waits.  Then sleep with writer_sleep, at most *sleep_ms (0: do not, -1: for
 * ever).  Trouble with the disk is not an error but control->trouble: the step
 * is made again later. */
KV_CHECKED int writer_step(struct engine *e, int *sleep_ms);
void writer_sleep(struct engine *e, int timeout_ms);

/* Everything appended so far is written and synced when this returns, whatever
 * the durability mode; for an orderly stop. */
KV_CHECKED int writer_flush(struct engine *e);

/* Checkpointer: move the oldest complete segment, or with all (or when nothing
 * was appended for a second) the whole durable log, into the tree, recycle
 * what is done, sweep deadlines, purge.  *sleep_ms as above; with all, 0 means
 * that there is still something to move. */
KV_CHECKED int checkpoint_step(struct engine *e, bool all, int *sleep_ms);
void checkpoint_sleep(struct engine *e, int timeout_ms);

/* Both roles at once, without waiting for them, until the whole log is on disk
 * and in the tree.  KV_EBUSY when somebody else has one of them. */
KV_CHECKED int maintain_settle(struct engine *e);

/* Check that everything agrees: the log's records, the tree, sums and digests.
 * Each finding is one line to report; returns how many or a negative code. */
int engine_verify(struct engine *e,
    void (*report)(void *user, const char *line),
    void (*progress)(void *user, uint64_t done, uint64_t of), void *user);

#endif
