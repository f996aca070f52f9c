/* SPDX-License-Identifier: ISC */
#ifndef KV_TREE_SCHEMA_H
#define KV_TREE_SCHEMA_H

/* The bytes of the tree's keys and values, big-endian so that order in LMDB is
 * order of meaning.  Pure: no LMDB here.
 *
 * database  key                         value
 * records   bid 8, key                  tick 8, inc 8, seq 8, flags 1,
 *                                       [deadline 8 if RECORD_DEADLINE],
 *                                       [prev 16 if SCHEMA_PREV], value
 *                                       (tombstone: flags has SCHEMA_TOMB)
 * byseq     seq 8                       type 1, flags 1, inc 8, bid 8, key
 * buckets   name                        bucket row (below)
 * names     bid 8                       name
 * incs      key of a POSITION record    its value:
 *           'V' inc 8                   vector row (below)
 *           'P' inc 8                   tick 8: highest of its tombstones that
 *                                       were purged here; the tree's own
 *           'N' name                    a note of replication's
 * expiry    'D' deadline_ms 8, seq 8    bid 8, key
 *           'S' death_ms 8, seq 8       bid 8, key
 *           'T' death_ms 8, seq 8       bid 8, key
 * drops     bid 8                       dropped tick 8, inc 8, key to go on at
 * totals    bid 8                       keys 8, bytes 8, digest 16
 * meta      name                        bytes
 *
 * expiry keys end in the seq, not in (bid, key): with a 500 byte key the
 * latter would not fit LMDB's 511.
 *
 * Rows of meta that are the tree's own: "format" 4 (SCHEMA_FORMAT),
 * "byteorder" (text: LMDB's pages are in the order of their machine),
 * "position" checkpointed 8, seq 8, "applying" seq 8, which stands while a
 * checkpoint is half applied (tree/apply.h), "purged_seq" seq 8, the highest of
 * all purged tombstones but those in buckets with a ttl_max, of which
 * "purged_short" is the highest, "purges" 8, how many there were, "limit" with a
 * bid 8, see tree/limit.h, and "void_seqs", see tree/reissue.h.  "lineage", of
 * the engine, has a row inc 8, tick 8 for each run of this store before the
 * present one, newest first: what it was called, and its clock at its end.
 *
 * All get functions return KV_ECORRUPT for bytes that no put function makes;
 * what they hand out borrows from what they were given. */

#include "base/record.h"

#define SCHEMA_FORMAT 1u
#define SCHEMA_BYTEORDER "little"

/* In the flags of a row, beside enum record_flag, whose bits in their places are
 * not kept here. */
#define SCHEMA_TOMB 0x80
#define SCHEMA_BUILT 0x40
#define SCHEMA_PREV 0x01

#define SCHEMA_KEY_MAX 511     /* LMDB's limit */
#define SCHEMA_ROW_HEAD 25     /* in front of what may be missing */
#define SCHEMA_ROW_HEAD_MAX 49 /* in front of the value, with all of it */
#define SCHEMA_ENTRY_HEAD 18   /* in front of the key in byseq */
#define SCHEMA_EXPIRY_KEY 17
#define SCHEMA_BUCKET_ROW                                                      \
	53 /* version 1, bid 8, created 16, dropped 16,
				options 4, seq 8 */
#define SCHEMA_TOTALS_ROW 32
#define SCHEMA_DROP_HEAD 16

/* A row of `records`: head and value.  The caller of put copies the value
 * behind the head, whose size is returned.  get leaves bid and key alone. */
size_t schema_row_head(const struct record *r);
void schema_put_row_head(char *to, const struct record *r);
KV_CHECKED int schema_get_row(struct kv_slice from, struct record *out);

/* A row of `byseq`: get sets type, flags, stamp.inc, bid and key. */
void schema_put_entry_head(char to[SCHEMA_ENTRY_HEAD], const struct record *r);
KV_CHECKED int schema_get_entry(struct kv_slice from, struct record *out);

/* A record's place in `expiry`: live ones with a deadline under 'D', tombstones
 * under 'T' by the time of their death, max(stamp, deadline); under 'S' those
 * of RECORD_SHORT. */
struct schema_expiry {
	char kind; /* 'D', 'S', 'T', or 0: has no place there */
	uint64_t ms;
	uint64_t seq;
};

struct schema_expiry schema_expiry_of(const struct record *r);
void schema_put_expiry(char to[SCHEMA_EXPIRY_KEY],
    const struct schema_expiry *e);
KV_CHECKED int schema_get_expiry(struct kv_slice from,
    struct schema_expiry *out);

/* A bucket row to and from bytes: the value of RECORD_BUCKET in the log, on the
 * wire and in `buckets`.  get: KV_ECORRUPT / KV_EVERSION. */
void schema_put_bucket(char to[SCHEMA_BUCKET_ROW], const struct bucket *b);
KV_CHECKED int schema_get_bucket(struct kv_slice from, struct bucket *out);

void schema_put_totals(char to[SCHEMA_TOTALS_ROW], const struct totals *t);
KV_CHECKED int schema_get_totals(struct kv_slice from, struct totals *out);

/* What replication knows of an incarnation, in ticks (see kv-sync.7). */
#define SCHEMA_INC_KEY 9
#define SCHEMA_VECTOR_ROW 56
struct schema_vector {
	uint64_t inc;
	uint64_t vv, announced, purged, own, full, full_head;
	uint64_t uid;
};

void schema_put_inc(char to[SCHEMA_INC_KEY], char kind, uint64_t inc);
void schema_put_vector(char to[SCHEMA_VECTOR_ROW],
    const struct schema_vector *v);

/* From key and value of a row; KV_ENOTFOUND for a key of another kind. */
KV_CHECKED int schema_get_vector(struct kv_slice key, struct kv_slice value,
    struct schema_vector *out);
KV_CHECKED int schema_get_purged(struct kv_slice key, struct kv_slice value,
    uint64_t *inc, uint64_t *tick);

/* A row of "lineage"; take: the first of rows, which then begins behind it;
 * false when there is none. */
#define SCHEMA_LINEAGE_ROW 16
#define SCHEMA_LINEAGE_MAX 64 /* rows that are kept */
void schema_put_lineage(char to[SCHEMA_LINEAGE_ROW], struct stamp end);
bool schema_take_lineage(struct kv_slice *rows, struct stamp *end);

void schema_put_stamp(char to[SCHEMA_DROP_HEAD], struct stamp s);
struct stamp schema_get_stamp(const char from[SCHEMA_DROP_HEAD]);

#endif
