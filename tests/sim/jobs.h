/* SPDX-License-Identifier: ISC */
#ifndef SIM_JOBS_H
#define SIM_JOBS_H

/* Many seeds over several processes.  A process that dies is a finding of the
 * seed it was at. */

#include "world.h"

#define JOBS_MAX 64
#define JOBS_FOUND 16

struct jobs_found {
	uint64_t seed;
	char why[200];
};

struct jobs_result {
	struct world_counts counts;
	uint64_t violated; /* runs */
	uint64_t kinds[GHOST_VIOLATION_COUNT];
	struct jobs_found
	    found[JOBS_FOUND]; /* the lowest seeds of those seen */
	unsigned found_count;
};

struct jobs_plan {
	struct world_plan run; /* its seed is not used */
	uint64_t first, last;
	unsigned jobs;
	bool stops_at_first;
	const char *title; /* of the progress bar; NULL: none */
};

KV_CHECKED int jobs_run(const struct jobs_plan *plan, struct jobs_result *out);

#endif
