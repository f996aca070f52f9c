/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_CHANNEL_H
#define KV_ENGINE_CHANNEL_H

/* Who on this host is subscribed to what, in the control block: each process
 * enters its channels and patterns with the number of their subscribers.  Only
 * for counting; messages come with the log whether it has room or not. */

#include "engine/engine.h"

enum channel_kind { CHANNEL_NAME, CHANNEL_PATTERN };

#define CHANNEL_NONE UINT32_MAX

struct channel_item {
	uint32_t count;
	size_t len;
	char name[KV_KEY_MAX];
};

/* Take a place for it; CHANNEL_NONE when there is no room near. */
uint32_t channel_enter(struct engine *e, enum channel_kind kind,
    struct kv_slice name);
/* It has so many subscribers now; 0 gives the place up. */
void channel_set(struct engine *e, uint32_t place, uint32_t count);

/* All subscriptions of this process together. */
void channel_total(struct engine *e, size_t count);

/* Is any process but ours (ours too) subscribed to anything? */
bool channel_has_others(struct engine *e);
bool channel_has_any(struct engine *e);

/* Subscribers of this very channel in other processes. */
uint64_t channel_others(struct engine *e, struct kv_slice name);

/* Walk over what other processes have, beginning with *at 0. */
bool channel_next(struct engine *e, enum channel_kind kind, uint32_t *at,
    struct channel_item *out);

/* notify-keyspace-events of the host. */
uint32_t channel_notify(const struct engine *e);
void channel_set_notify(struct engine *e, uint32_t flags);

#endif
