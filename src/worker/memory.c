/* SPDX-License-Identifier: ISC */
/* What this process has in memory, and what it has to give back. */

#include "worker/memory.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "worker/worker.h"

#define MEMORY_LOOK_NS 1000000000u
#define MEMORY_SPARE (4u << 20) /* unused memory that may be kept */

struct memory_use
memory_use(void)
{
	unsigned long long resident = 0, shared = 0;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL)
		return (struct memory_use){ 0, 0 };
	if (fscanf(f, "%*u %llu %llu", &resident, &shared) != 2)
		resident = shared = 0;
	fclose(f);
	return (
	    struct memory_use){ resident * page, (resident - shared) * page };
}

static void
memory_look(struct timer *timer)
{
	struct worker *w = loop_owner(timer, struct worker, memory.timer);

	w->memory.looked = true;
	/* What was given back stays in malloc's count of what is free. */
	if (mallinfo2().fordblks > MEMORY_SPARE &&
	    memory_use().own > MEMORY_SPARE)
		malloc_trim(0);
}

void
memory_init(struct worker *w)
{
	w->memory.timer.expired = memory_look;
}

void
memory_fini(struct worker *w)
{
	loop_timer_clear(w->loop, &w->memory.timer);
}

void
memory_turn(struct worker *w)
{
	/* A turn with a look in it does not call for another one: a worker
	 * that has nothing to do sleeps. */
	if (!w->memory.looked && !w->memory.timer.is_set)
		loop_timer_set(w->loop, &w->memory.timer,
		    loop_now(w->loop) + MEMORY_LOOK_NS);
	w->memory.looked = false;
}
