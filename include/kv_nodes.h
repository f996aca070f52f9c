/* SPDX-License-Identifier: ISC */
#ifndef KV_NODES_H
#define KV_NODES_H

/* A part of kv.h, which includes it. */

#include <stdbool.h>

#include <kv_types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- other nodes (kv-sync(7)) ----------------------------------------- */

struct kv;

/* A node that shares buckets with this store, as its kv-syncd tells it, or told
 * it last (DIAGNOSTICS there).  Texts live as long as the call. */
struct kv_node {
	struct kv_slice name, address; /* empty: not known */
	/* self, up, catching up, connecting, down; unknown: no kv-syncd tells,
	 * and was is the last state that one did tell, or empty */
	struct kv_slice state, was;
	struct kv_slice reason;	 /* why it is not up; or empty */
	uint64_t uid;		 /* of its store; 0: not known */
	uint64_t incarnation;	 /* of its present or last run; 0 */
	uint64_t since_ms;	 /* since when the state is that; 0 */
	uint64_t seen_ms;	 /* when there was a link to it last; 0 */
	uint64_t behind_ms;	 /* age of what we miss of it */
	uint64_t behind_records; /* the same in records, about */
	uint64_t unacked_bytes;	 /* sent to it and not known to be on disk */
	uint64_t rtt_us;
	int64_t offset_ms; /* its clock less ours */
	uint64_t sent_bytes, received_bytes;
	uint64_t tries; /* in vain */
};

/* All nodes that are known, this one first. */
KV_API KV_CHECKED int kv_nodes(struct kv *kv,
    void (*each)(void *user, const struct kv_node *node), void *user);

/* What lost against a write of another host that did not know of it, or that of
 * this host against one (kv(1), conflicts).  Slices live as long as the call. */
struct kv_conflict {
	struct kv_slice bucket, key;
	struct kv_slice lost; /* its value, up to 64 KiB of it */
	uint64_t lost_bytes;  /* of all of it */
	bool lost_here;	      /* it was written on this host */
	bool was_deletion;    /* what lost was */
	bool is_deletion;     /* what won is */
	uint64_t lost_tick, lost_incarnation; /* its stamp */
	uint64_t won_tick, won_incarnation;
	uint64_t lost_ms, won_ms; /* when they were written */
	uint64_t noticed_ms;
};

/* Those of a bucket, oldest first; an empty name: of all. */
KV_API KV_CHECKED int kv_conflicts(struct kv *kv, struct kv_slice bucket,
    void (*each)(void *user, const struct kv_conflict *c), void *user);

/* Remove them from the list; *count: how many. */
KV_API KV_CHECKED int kv_conflicts_clear(struct kv *kv, struct kv_slice bucket,
    size_t *count);

#ifdef __cplusplus
}
#endif

#endif
