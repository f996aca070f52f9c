/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_SCHEMA_H
#define KV_TREE_SCHEMA_H

/* The bytes of the tree's keys and values, big-endian so that order in LMDB is
 * order of meaning.  Pure: no LMDB here.
 *
 * database  key                         value
 * records   bid 8, key                  tick 8, inc 8, seq 8, flags 1,
 *                                       [deadline 8 if RECORD_DEADLINE], value
 *                                       (tombstone: flags has SCHEMA_TOMB)
 * byseq     seq 8                       type 1, flags 1, inc 8, bid 8, key
 * buckets   name                        bucket row (below)
 * incs      key of a POSITION record    its value
 * expiry    'D' deadline_ms 8, seq 8    bid 8, key
 *           'T' death_ms 8, seq 8       bid 8, key
 * drops     bid 8                       dropped tick 8, inc 8
 * totals    bid 8                       keys 8, bytes 8, digest 16
 * meta      name                        bytes
 *
 * expiry keys end in the seq, not in (bid, key): with a 500 byte key the
 * latter would not fit LMDB's 511. */

#include "base/record.h"

#define SCHEMA_BUCKET_ROW 53 /* version 1, bid 8, created 16, dropped 16,
				options 4, seq 8 */

/* A bucket row to and from bytes: the value of RECORD_BUCKET in the log, on the
 * wire and in `buckets`.  get: KV_ECORRUPT / KV_EVERSION. */
void schema_put_bucket(char to[SCHEMA_BUCKET_ROW], const struct bucket *b);
KV_CHECKED int schema_get_bucket(struct kv_slice from, struct bucket *out);

#endif
