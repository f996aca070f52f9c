/* SPDX-License-Identifier: ISC */
/* The tables of profiles and mutations. */

#include "profile.h"

#include <string.h>

#define BOTH (FAULT_DROPS | FAULT_RESTORES | FAULT_RETENTION)
#define ALL                                                                    \
	(BOTH | FAULT_DEADLINES | FAULT_REFUSAL | FAULT_CLONES | FAULT_LARGE)

const struct profile profiles[] = {
	{ "base", 0 },
	{ "drops", FAULT_DROPS },
	{ "restores", FAULT_DROPS | FAULT_RESTORES },
	{ "retention", FAULT_RETENTION },
	{ "both", BOTH },
	{ "clock", FAULT_CLOCK },
	{ "clock-drops", FAULT_CLOCK | FAULT_DROPS },
	{ "clocks",
	    FAULT_CLOCKS | FAULT_DROPS | FAULT_RETENTION | FAULT_DEADLINES },
	{ "all", ALL },
	{ "services",
	    FAULT_DROPS | FAULT_RETENTION | FAULT_DEADLINES | FAULT_REFUSAL |
		FAULT_LARGE | FAULT_SLOW | FAULT_SERVICES },
	{ "versions", ALL | FAULT_SLOW | FAULT_SERVICES | FAULT_VERSIONS },
	{ "roster", FAULT_RESTORES | FAULT_ROSTER },
	{ "conflicts", BOTH | FAULT_DEADLINES | FAULT_CONFLICTS },
	{ "rot", FAULT_DROPS | FAULT_ROT },
	{ "ttl", BOTH | FAULT_DEADLINES | FAULT_TTL },
	{ "sealed",
	    ALL | FAULT_SLOW | FAULT_SERVICES | FAULT_VERSIONS | FAULT_SEALED },
	{ NULL, 0 },
};

const struct profile *
profile_find(const char *name)
{
	const struct profile *p;

	for (p = profiles; p->name != NULL; p++) {
		if (strcmp(p->name, name) == 0)
			return p;
	}
	return NULL;
}

/* Some three to five times as many seeds as it took, of the profile in which it
 * is noticed most often.  Digests would mend what most of
 * them break. */
static const struct within {
	const char *profile;
	unsigned seeds;
	bool has_digests;
} within[MUTATIONS] = {
	[MUTATE_NO_RELAY] = { "base", 100, false },
	[MUTATE_MAX_SEEN] = { "base", 100, false },
	[MUTATE_SAME_INC] = { "restores", 100, false },
	[MUTATE_NO_LINEAGE_TEST] = { "restores", 4000, false },
	[MUTATE_LINEAGE_MIN] = { "restores", 10000, false },
	[MUTATE_NO_PURGED_TEST] = { "both", 1000, false },
	[MUTATE_EARLY_CLAIM] = { "base", 100, false },
	[MUTATE_NO_ABSENT_RULE] = { "both", 1000, false },
	[MUTATE_WALL_CLOCK] = { "base", 100, false },
	[MUTATE_NOT_ATOMIC] = { "base", 100, false },
	[MUTATE_CLAIM_FIRST] = { "base", 100, false },
	[MUTATE_CLAIM_PER_RECORD] = { "base", 100, false },
	[MUTATE_REPAIR_DELETES] = { "rot", 100, true },
	[MUTATE_PREV_FORGOTTEN] = { "conflicts", 100, true },
	[MUTATE_PREV_IS_OLDER] = { "conflicts", 100, true },
	[MUTATE_LEAF_LEFT_OUT] = { "rot", 100, true },
	[MUTATE_LEAF_OF_OTHERS] = { "rot", 100, true },
	[MUTATE_RESYNC_MAX] = { "both", 1000, false },
	[MUTATE_NO_PURGED_ROWS] = { "both", 3000, false },
	[MUTATE_NO_CLAIM_TEST] = { "retention", 40000, false },
	[MUTATE_NO_DROP_RULE] = { "both", 3000, false },
	[MUTATE_NO_GAP_RULE] = { "retention", 500, false },
	[MUTATE_FORGET_EARLY] = { "retention", 500, false },
	[MUTATE_NO_PAUSE] = { "both", 20000, false },
	[MUTATE_REPAIR_CLOCK_NOW] = { "clock", 40000, false },
	[MUTATE_NO_DOUBT] = { "clocks", 100, true },
	[MUTATE_NO_RENEWAL] = { "clocks", 100, true },
	[MUTATE_NO_LAZY_PULL] = { "restores", 20000, false },
	[MUTATE_SHORT_AT_ONCE] = { "ttl", 300, true },
	[MUTATE_NO_BARRIER_ACK] = { "services", 6000, true },
	[MUTATE_ALL_LINKS_STAY] = { "roster", 100, true },
	[MUTATE_NO_BARRIER_VECTOR] = { "services", 1000, true },
};

struct mutation
mutation_of(unsigned id)
{
	static const struct {
		const char *name, *text;
	} names[MUTATIONS] = {
#define X(n, t) [MUTATE_##n] = { #n, (t) },
		SYNC_MUTATIONS(X)
#undef X
	};

	return (struct mutation){
		.id = (enum sync_mutation)id,
		.name = names[id].name,
		.text = names[id].text,
		.profile = within[id].profile,
		.seeds = within[id].seeds,
		.has_digests = within[id].has_digests,
	};
}

bool
mutation_find(const char *name, struct mutation *out)
{
	unsigned i;

	for (i = 1; i < MUTATIONS; i++) {
		*out = mutation_of(i);
		if (strcmp(out->name, name) == 0)
			return true;
	}
	return false;
}
