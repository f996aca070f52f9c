/* SPDX-License-Identifier: ISC */
/* Words that workers share. */

#include "engine/host.h"

#include "engine/internal.h"
#include "io/file.h"

#define HOST_PAUSE_ALL 1u /* beside the time, so that both change at once */

uint64_t
host_client_id(struct engine *e)
{
	return atomic_fetch_add(&e->control->client_id, 1) + 1;
}

uint64_t
host_pause(const struct engine *e, bool *all)
{
	uint64_t word =
	    atomic_load_explicit(&e->control->pause, memory_order_relaxed);

	*all = word & HOST_PAUSE_ALL;
	return word >> 1;
}

void
host_set_pause(struct engine *e, uint64_t until_ms, bool all)
{
	atomic_store(&e->control->pause,
	    until_ms << 1 | (all ? HOST_PAUSE_ALL : 0));
}

bool
host_is_alive(const struct engine *e, unsigned slot)
{
	return atomic_load(&e->control->processes[slot].pid) != 0 &&
	    (slot == e->slot ||
		file_is_locked(e->lock_fd, LOCK_SLOT + (off_t)slot));
}

bool
host_has_role(const struct engine *e, enum control_role role)
{
	return e->roles & (1u << role) ||
	    file_is_locked(e->lock_fd, LOCK_ROLE + (off_t)role);
}

/* ---- monitors ---- */

static _Atomic uint64_t *
host_monitor_word(struct control *c, unsigned slot, uint64_t *bit)
{
	*bit = (uint64_t)1 << slot % 64;
	return &c->monitors[slot / 64];
}

void
host_forget(struct control *c, unsigned slot)
{
	uint64_t bit;
	_Atomic uint64_t *word = host_monitor_word(c, slot, &bit);

	atomic_fetch_and(word, ~bit);
}

void
host_set_monitors(struct engine *e, bool any)
{
	uint64_t bit;
	_Atomic uint64_t *word = host_monitor_word(e->control, e->slot, &bit);

	if (any && !(atomic_load(word) & bit))
		atomic_fetch_or(word, bit);
	else if (!any && atomic_load(word) & bit)
		atomic_fetch_and(word, ~bit);
}

bool
host_has_monitors(const struct engine *e)
{
	size_t i;

	for (i = 0; i < CONTROL_PROCESS_WORDS; i++)
		if (atomic_load_explicit(&e->control->monitors[i],
			memory_order_relaxed) != 0)
			return true;
	return false;
}

void
host_look_for_dead(struct engine *e)
{
	unsigned slot;
	uint64_t bit;

	for (slot = 0; slot < CONTROL_PROCESSES; slot++)
		if (atomic_load(host_monitor_word(e->control, slot, &bit)) &
			bit &&
		    !host_is_alive(e, slot))
			host_forget(e->control, slot);
}
