/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_GLOBAL_H
#define KV_WORKER_GLOBAL_H

/* Writes that are answered only when all nodes have them (kv-sync.7): CREATE
 * ALL, SET GLOBAL.  Such a command runs twice: it writes, commits, and is held;
 * when kv-syncd has answered it runs again and finds how that ended.
 *
 * Needs CALL_SESSION, CALL_ATOMIC and CALL_WRITES, so that it is committed by
 * itself, under the lock. */

#include "worker/peers.h"

/* Commit what is staged now. */
KV_CHECKED int global_commit(struct call *c);

/* Hold the client until all nodes have what was committed up to `until`; seq is
 * to be found in the answer.  *alone: there is nobody to wait for. */
KV_CHECKED int global_wait(struct call *c, uint64_t until, uint64_t seq,
    uint64_t ms, bool *alone);

/* Say that not all have it: the answer's text, and what became of it here. */
int global_failed(struct call *c, const struct peers_answer *a,
    const char *what);

/* May it be done at all?  False: it is answered. */
bool global_may(struct call *c);

/* CREATE name ALL [ms]: a bucket that all nodes have, or none. */
int global_create(struct call *c, struct kv_slice name, uint32_t options,
    uint64_t ms);
#define GLOBAL_MS 5000u /* where no time is given */

#endif
