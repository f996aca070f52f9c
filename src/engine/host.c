/* SPDX-License-Identifier: ISC */
/* Words that workers share. */

#include "engine/host.h"

#include "engine/internal.h"

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
