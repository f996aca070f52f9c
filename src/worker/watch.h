/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_WATCH_H
#define KV_WORKER_WATCH_H

/* Watched keys: what a key was when it was watched, and whether it still is.
 *
 * A string is its newest record, by stamp: a tombstone that a deadline made has
 * the stamp of what expired, so sweeping is no change.  A hash is changed when
 * its bucket's chain in the log has grown; if so much was written since that
 * the log does not go back to the watch, it counts as changed. */

#include "worker/call.h"

struct watch;

/* Remember the key as the session's database has it now, unless it is watched
 * already. */
KV_CHECKED int watch_add(struct call *c, struct watch **list,
    struct kv_slice key);

/* Has one of them changed?  Exact under the append lock. */
KV_CHECKED int watch_changed(struct call *c, const struct watch *list,
    bool *changed);

size_t watch_count(const struct watch *list);
void watch_clear(struct watch **list);

#endif
