/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_SOON_H
#define KV_ENGINE_SOON_H

/* Deadlines of records that this process wrote and that pass soon.  They stand
 * in the log only; the checkpointer's sweep finds them in the tree, which may be
 * a second later or more.  A private heap, lost with the process: then, and for
 * what does not fit, the sweep is there. */

#include "engine/engine.h"

struct soon;

KV_CHECKED int soon_new(struct soon **out);
void soon_free(struct soon *s);

/* Note one, unless it is far off, or there are very many already. */
void soon_add(struct soon *s, const struct record *r, uint64_t now_ms);

/* The earliest deadline, 0 for none. */
uint64_t soon_next(const struct soon *s);

/* Take the earliest if its deadline has passed: bid, seq, deadline, and the key
 * copied to `key`. */
bool soon_take(struct soon *s, uint64_t now_ms, struct record *out,
    char key[KV_KEY_MAX]);

#endif
