/* SPDX-License-Identifier: ISC */
/* The host's table of channels.  The first places are for patterns, which are
 * all looked at; a channel lies near its hash. */

#include "engine/channel.h"

#include <string.h>

#include "base/hash.h"
#include "engine/internal.h"

#define CHANNEL_NEAR 64

static_assert(CONTROL_PATTERNS % CHANNEL_NEAR == 0, "whole ranges");
static_assert(CONTROL_CHANNELS % CHANNEL_NEAR == 0, "whole ranges");

struct channel_range {
	uint32_t from, to;
};

static uint64_t
channel_tag(struct kv_slice name)
{
	return hash_bytes(name.data, name.len, 0) | 1;
}

static struct channel_range
channel_range(enum channel_kind kind, uint64_t tag)
{
	uint32_t ranges = (CONTROL_CHANNELS - CONTROL_PATTERNS) / CHANNEL_NEAR;
	struct channel_range r = { 0, CONTROL_PATTERNS };

	if (kind == CHANNEL_NAME) {
		r.from = CONTROL_PATTERNS +
		    (uint32_t)((tag >> 1) % ranges) * CHANNEL_NEAR;
		r.to = r.from + CHANNEL_NEAR;
	}
	return r;
}

uint32_t
channel_enter(struct engine *e, enum channel_kind kind, struct kv_slice name)
{
	uint64_t tag = channel_tag(name);
	struct channel_range range = channel_range(kind, tag);
	uint32_t i;

	if (name.len > KV_KEY_MAX)
		return CHANNEL_NONE;
	for (i = range.from; i < range.to; i++) {
		struct control_channel *c = &e->control->channels[i];
		uint32_t nobody = 0;

		if (atomic_load_explicit(&c->owner, memory_order_relaxed) !=
			0 ||
		    !atomic_compare_exchange_strong(&c->owner, &nobody,
			e->slot + 1))
			continue;
		atomic_store(&c->count, 0);
		atomic_store(&c->len, (uint32_t)name.len);
		memcpy(c->name, name.data, name.len);
		/* Pairs with the loads of channel_read. */
		atomic_store_explicit(&e->control->channel_tags[i], tag,
		    memory_order_release);
		return i;
	}
	return CHANNEL_NONE;
}

static void
channel_free(struct control *c, uint32_t place)
{
	atomic_store(&c->channel_tags[place], 0);
	atomic_store(&c->channels[place].owner, 0);
}

void
channel_set(struct engine *e, uint32_t place, uint32_t count)
{
	if (place == CHANNEL_NONE)
		return;
	atomic_store(&e->control->channels[place].count, count);
	if (count == 0)
		channel_free(e->control, place);
}

void
channel_forget(struct control *c, unsigned slot)
{
	uint32_t i;

	atomic_store(&c->processes[slot].subscriptions, 0);
	for (i = 0; i < CONTROL_CHANNELS; i++)
		if (atomic_load(&c->channels[i].owner) == slot + 1)
			channel_free(c, i);
}

void
channel_total(struct engine *e, size_t count)
{
	atomic_store(&e->process->subscriptions, (uint32_t)count);
}

bool
channel_has_others(struct engine *e)
{
	uint32_t i, high = atomic_load(&e->control->process_high);

	for (i = 0; i < high; i++)
		if (i != e->slot &&
		    atomic_load_explicit(&e->control->processes[i].pid,
			memory_order_relaxed) != 0 &&
		    atomic_load(&e->control->processes[i].subscriptions) != 0)
			return true;
	return false;
}

bool
channel_has_any(struct engine *e)
{
	return atomic_load(&e->process->subscriptions) != 0 ||
	    channel_has_others(e);
}

/* The entry at a place if it is another process's, whole. */
static bool
channel_read(struct engine *e, uint32_t place, struct channel_item *out)
{
	struct control_channel *c = &e->control->channels[place];
	_Atomic uint64_t *tag = &e->control->channel_tags[place];
	uint64_t seen = atomic_load(tag);
	uint32_t owner = atomic_load(&c->owner);

	if (seen == 0 || owner == 0 || owner == e->slot + 1 ||
	    owner > CONTROL_PROCESSES ||
	    atomic_load(&e->control->processes[owner - 1].pid) == 0)
		return false;
	out->count = atomic_load(&c->count);
	out->len = atomic_load(&c->len);
	if (out->len > KV_KEY_MAX)
		return false;
	memcpy(out->name, c->name, out->len);
	return atomic_load(tag) == seen;
}

uint64_t
channel_others(struct engine *e, struct kv_slice name)
{
	uint64_t tag = channel_tag(name), n = 0;
	struct channel_range range = channel_range(CHANNEL_NAME, tag);
	struct channel_item item;
	uint32_t i;

	for (i = range.from; i < range.to; i++)
		if (atomic_load(&e->control->channel_tags[i]) == tag &&
		    channel_read(e, i, &item) &&
		    slice_equal((struct kv_slice){ item.name, item.len }, name))
			n += item.count;
	return n;
}

bool
channel_next(struct engine *e, enum channel_kind kind, uint32_t *at,
    struct channel_item *out)
{
	uint32_t end = CONTROL_PATTERNS;

	if (kind == CHANNEL_NAME) {
		end = CONTROL_CHANNELS;
		if (*at < CONTROL_PATTERNS)
			*at = CONTROL_PATTERNS;
	}
	while (*at < end)
		if (channel_read(e, (*at)++, out))
			return true;
	return false;
}

uint32_t
channel_notify(const struct engine *e)
{
	return atomic_load_explicit(&e->control->notify, memory_order_relaxed);
}

void
channel_set_notify(struct engine *e, uint32_t flags)
{
	atomic_store(&e->control->notify, flags);
}
