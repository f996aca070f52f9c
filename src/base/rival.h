/* SPDX-License-Identifier: ISC */
#ifndef KV_BASE_RIVAL_H
#define KV_BASE_RIVAL_H

/* Two writes of a key whose writers did not know of each other (kv-sync.7,
 * "Seeing what was lost").  Pure: the engine and the simulator of
 * replication decide by this. */

#include <stdbool.h>

#include "base/record.h"

/* Written on this host, in whatever run. */
bool rival_is_own(const struct record *r, uint64_t own_inc);

/* Note in a write of this host what of another one its writer had: `was` is
 * what it replaces (NULL: nothing). */
void rival_note(const struct record *was, uint64_t own_inc, struct record *r);

/* `in` comes from elsewhere and meets what is there: which of the two is lost,
 * unseen by who wrote the other? */
enum rival { RIVAL_NONE, RIVAL_THERE, RIVAL_IN };
enum rival rival_look(const struct bucket *b, const struct record *in,
    const struct record *there, uint64_t own_inc);

#endif
