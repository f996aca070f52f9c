/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_CONFLICT_H
#define KV_ENGINE_CONFLICT_H

/* Two hosts wrote one key and neither writer had seen the other's: one of the
 * two versions is lost.  In buckets with BUCKET_CONFLICTS a record says which
 * one of another host its writer had (record.prev), so who meets both, a write
 * of this host and one from elsewhere, sees it, and keeps the one that lost.
 *
 * They are kept in a local bucket of our own, in the batch that decided, by the
 * stamp of what won and the run that lost: the same once however often it comes,
 * and of what one run wrote in a row the last.  The oldest ones go. */

#include "engine/engine.h"

#define CONFLICT_BUCKET "\001conflicts"
#define CONFLICT_KEPT 1000
#define CONFLICT_KEPT_BYTES (4u << 20)
#define CONFLICT_VALUE_MAX 65536u /* of a value that lost: its beginning */

struct conflict {
	uint64_t noticed_ms;
	struct kv_slice bucket, key;
	struct kv_slice value; /* of what lost, or its beginning */
	uint64_t value_len;    /* of all of it */
	bool was_ours;	       /* what lost was written on this host */
	bool was_deletion;     /* what lost was */
	bool is_deletion;      /* what won is */
	struct stamp lost, won;
};

/* From a record of that bucket.  KV_ECORRUPT. */
KV_CHECKED int conflict_get(const struct record *r, struct conflict *out);

/* The bucket; KV_ENOTFOUND: there has been no conflict. */
KV_CHECKED int conflict_bucket(struct engine *e, const struct bucket **out);

/* Stage that those of this bucket go, or all, if its name is empty; *count: how
 * many they are.  KV_ENOTFOUND is not among the results. */
KV_CHECKED int conflict_clear(struct engine *e, struct kv_slice bucket,
    size_t *count);

#endif
