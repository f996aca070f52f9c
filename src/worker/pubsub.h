/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_PUBSUB_H
#define KV_WORKER_PUBSUB_H

/* Redis' channels and patterns.  Messages come with the log, in its order, to
 * all workers of the host; each hands them to its own subscribers through one
 * feed.  What is counted over all workers: engine/channel.h. */

#include "engine/channel.h"
#include "worker/session.h"

struct pubsub_topic; /* a channel or a pattern that has subscribers here */

KV_CHECKED int pubsub_init(struct worker *w);
void pubsub_fini(struct worker *w);

/* The name has the length of a key.  Doing it twice is KV_OK. */
KV_CHECKED int pubsub_subscribe(struct session *s, enum channel_kind kind,
    struct kv_slice name);
void pubsub_unsubscribe(struct session *s, enum channel_kind kind,
    struct kv_slice name);
void pubsub_end(struct session *s);

/* How many of a kind; and one of them, valid until it is given up. */
size_t pubsub_count(const struct session *s, enum channel_kind kind);
bool pubsub_any(const struct session *s, enum channel_kind kind,
    struct kv_slice *name);

/* Hand out what is new, within a view.  True: there is more at once. */
bool pubsub_pump(struct worker *w);

/* Before sleeping: wake us when there is more.  True: there is already. */
bool pubsub_want(struct worker *w);

/* While pumping: to all here who are subscribed to the channel. */
void pubsub_deliver(struct worker *w, struct kv_slice channel,
    struct kv_slice payload);

/* How many clients here would get a message. */
uint64_t pubsub_receivers(const struct worker *w, struct kv_slice channel);

/* Topics of this worker; before NULL is the first one. */
const struct pubsub_topic *pubsub_next(const struct worker *w,
    enum channel_kind kind, const struct pubsub_topic *before);
const struct pubsub_topic *pubsub_find(const struct worker *w,
    enum channel_kind kind, struct kv_slice name);
struct kv_slice pubsub_name(const struct pubsub_topic *t);
size_t pubsub_subscribers(const struct pubsub_topic *t);

#endif
