/* SPDX-License-Identifier: ISC */
#ifndef SIM_PROFILE_H
#define SIM_PROFILE_H

/* Which faults may befall a run together, and with which seeds each mutation
 * of sync/mutate.h has to be noticed. */

#include "sync/mutate.h"
#include "world.h"

struct profile {
	const char *name;
	unsigned faults; /* of enum world_fault */
};

/* Ends with a NULL name. */
extern const struct profile profiles[];
const struct profile *profile_find(const char *name);

struct mutation {
	enum sync_mutation id;
	const char *name, *text;
	const char *profile;
	unsigned seeds; /* within so many from 1 on */
	bool has_digests;
};

/* False: there is none of this name. */
bool mutation_find(const char *name, struct mutation *out);
/* id: from 1 to MUTATIONS - 1. */
struct mutation mutation_of(unsigned id);

#endif
