/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_MERGE_H
#define KV_SYNC_MERGE_H

/* Which version of a key stays: the same on every host, whatever the order of
 * arrival.  Pure; both stores decide by this. */

#include <stdbool.h>

#include "base/record.h"

/* Does `in` replace what is there (NULL: nothing)?  The higher stamp does; of
 * the same stamp a tombstone does, which has expired or been erased. */
bool merge_wins(const struct record *there, const struct record *in);

/* RECORD_RELAY, when the version that `in` replaces was promised to peers by
 * our own stream: a write of ours, or what had replaced one.  Else 0. */
uint8_t merge_relay(const struct record *there, uint64_t own_inc);

/* Does a CHANGE_ERASE of this stamp find what it means? */
bool merge_erases(const struct record *there, struct stamp stamp);

/* Raise the two registers, each for itself; options come with the higher
 * `created`.  False: nothing changed. */
bool merge_bucket(struct bucket *there, const struct bucket *in);

#endif
