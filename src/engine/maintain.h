/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_MAINTAIN_H
#define KV_ENGINE_MAINTAIN_H

/* The two roles that carry the log on: to the disk, and into the tree.  A role
 * is a lock on the store folder, so that one process has it at a time; its
 * steps are here so that a program without a daemon can make them inline. */

#include "engine/engine.h"

/* Take the role; wait: sleep until its holder is gone (KV_EBUSY when a signal
 * ends the sleep).  Given up at engine_close or by maintain_leave. */
KV_CHECKED int maintain_take(struct engine *e, enum control_role role,
    bool wait);
void maintain_leave(struct engine *e, enum control_role role);

/* Walwriter: write out and sync what there is, prepare the next file, wake who
 * waits.  *more: something is left to do at once; otherwise sleep with
 * writer_sleep, at most *sleep_ms (-1: for ever). */
KV_CHECKED int writer_step(struct engine *e, bool *more, int *sleep_ms);
void writer_sleep(struct engine *e, int timeout_ms);

/* Checkpointer: move the oldest complete segment, or with all the whole
 * durable log, into the tree, recycle what is done, sweep deadlines, purge. */
KV_CHECKED int checkpoint_step(struct engine *e, bool all, bool *more,
    int *sleep_ms);
void checkpoint_sleep(struct engine *e, int timeout_ms);

/* Check that everything agrees: the log's records, the tree, sums and digests.
 * Each finding is one line to report; returns how many or a negative code. */
int engine_verify(struct engine *e, void (*report)(void *user,
    const char *line), void (*progress)(void *user, uint64_t done,
    uint64_t of), void *user);

#endif
