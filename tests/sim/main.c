/* SPDX-License-Identifier: ISC */
/* The simulator of replication (kv-sync.7): many small clusters, each from one
 * seed, in virtual time. */

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "jobs.h"
#include "profile.h"

#define STEPS 1500
#define HOUR_MS (60u * 60 * 1000)
#define QUICK 500 /* seeds that a mutation may take */

#ifdef KV_MUTATE
enum sync_mutation sync_mutation;
#endif

struct options {
	uint64_t first, last;
	unsigned steps; /* 0: the usual number */
	unsigned jobs, verbose;
	int traced;
	bool has_digests, wants_mutations, is_quick;
	unsigned hours; /* of a long run; 0: short ones */
	const char *profile;
	struct mutation mutation; /* no name: none */
};

static const char usage[] =
    "usage: sim [--seeds FIRST:LAST | SEED] [--steps N] [--profile NAME]\n"
    "           [--mutate NAME] [--no-digests] [--jobs N] [-v] [--trace KEY]\n"
    "       sim --mutations [--quick] [--jobs N]\n"
    "                                    is each mutation noticed?\n"
    "       sim --day[=HOURS] [SEED]     24 h of virtual time in one run\n"
    "       sim --list                   profiles and mutations\n"
    "A profile of `each` takes one after the other.\n";

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool
has_mutations(void)
{
#ifdef KV_MUTATE
	return true;
#else
	fputs("sim: this build has no mutations: make VARIANT=sim\n", stderr);
	return false;
#endif
}

static void
set_mutation(enum sync_mutation id)
{
#ifdef KV_MUTATE
	sync_mutation = id;
#else
	(void)id;
#endif
}

static void
list(void)
{
	const struct profile *p;
	struct mutation m;
	unsigned i;

	for (p = profiles; p->name != NULL; p++)
		printf("profile  %s\n", p->name);
	for (i = 1; i < MUTATIONS; i++) {
		m = mutation_of(i);
		printf("mutation %-16s %s: %s, %u seeds\n", m.name, m.text,
		    m.profile, m.seeds);
	}
}

/* ---- runs ------------------------------------------------------------------ */

static void
print_found(const struct jobs_plan *plan, const struct jobs_result *r)
{
	unsigned i;

	for (i = 0; i < r->found_count; i++)
		printf("  seed %" PRIu64 " (%s): %s\n", r->found[i].seed,
		    plan->title, r->found[i].why);
	if (r->found_count > 0 && plan->run.length_ms > 0)
		printf("  to see it: sim --day=%u %" PRIu64 " -v >trace\n",
		    (unsigned)(plan->run.length_ms / HOUR_MS),
		    r->found[0].seed);
	else if (r->found_count > 0)
		printf("  to see it: sim --profile %s --seeds %" PRIu64
		       "%s -v [--trace KEY] [--steps N] >trace\n",
		    plan->title, r->found[0].seed,
		    plan->run.has_digests ? "" : " --no-digests");
	for (i = 0; r->violated > 1 && i < GHOST_VIOLATION_COUNT; i++) {
		if (r->kinds[i] > 0)
			printf("  %s: %" PRIu64 " runs\n", ghost_names[i],
			    r->kinds[i]);
	}
	fflush(stdout);
}

static void
print_result(const struct jobs_plan *plan, const struct jobs_result *r,
    double took)
{
	const struct world_counts *c = &r->counts;
	double runs = c->runs > 0 ? (double)c->runs : 1;

	printf("%-12s %6" PRIu64 " runs, %" PRIu64 " violated; %.0f runs/s, "
	       "%.1f virtual days; a run: %.0f writes, %.0f frames, %.1f "
	       "links, %.1f resyncs, %.2f repairs, %.2f gaps "
	       "given up, settles in %.1f s\n",
	    plan->title, c->runs, r->violated, runs / took,
	    (double)c->virtual_ms / 86400e3, (double)c->writes / runs,
	    (double)c->frames / runs, (double)c->links / runs,
	    (double)c->resyncs / runs, (double)c->repairs / runs,
	    (double)c->given_up / runs, (double)c->settle_ms / runs / 1e3);
	if (c->tries > 0)
		printf("  a run: %.1f GLOBAL writes, %.1f won, %.1f answers, "
		       "%.1f messages\n",
		    (double)c->tries / runs, (double)c->wins / runs,
		    (double)c->answers / runs, (double)c->messages / runs);
	printf("  held at most: %.1f KiB for a link, %.1f KiB beside\n",
	    (double)c->held / 1024, (double)c->held_by_none / 1024);
	print_found(plan, r);
}

static void
print_day(const struct jobs_plan *plan, const struct jobs_result *r,
    double took)
{
	const struct world_counts *c = &r->counts;

	printf("day: %" PRIu64 " x %u h in one run, %.2f h of virtual time; "
	       "%" PRIu64 " events (turns of a node), %" PRIu64 " frames, "
	       "%" PRIu64 " faults, %" PRIu64 " starts, %" PRIu64
	       " links, %" PRIu64 " resyncs, %" PRIu64 " writes, %" PRIu64
	       " GLOBAL of which %" PRIu64 " won, %" PRIu64 " answers, %" PRIu64
	       " messages; mended and "
	       "found alike %" PRIu64 " times; %" PRIu64
	       " violated; took %.1f s\n",
	    c->runs, (unsigned)(plan->run.length_ms / HOUR_MS),
	    (double)c->virtual_ms / 3600e3, c->turns, c->frames, c->faults,
	    c->restarts, c->links, c->resyncs, c->writes, c->tries, c->wins,
	    c->answers, c->messages, c->heals, r->violated, took);
	print_found(plan, r);
}

static int
run_profile(const struct options *o, const struct profile *p,
    struct jobs_result *sum)
{
	struct jobs_plan plan = {
		.run = { .steps = o->steps > 0 ? o->steps : STEPS,
		    .faults = p->faults,
		    .has_digests = o->has_digests,
		    .verbose = o->verbose,
		    .traced = o->traced },
		.first = o->first,
		.last = o->last,
		.jobs = o->jobs,
		.title = p->name,
	};
	struct jobs_result r;
	double began = seconds();
	int rc = jobs_run(&plan, &r);

	print_result(&plan, &r, seconds() - began);
	sum->counts.runs += r.counts.runs;
	sum->violated += r.violated;
	return rc;
}

static int
run_day(const struct options *o)
{
	struct jobs_plan plan = {
		.run = { .length_ms = (uint64_t)o->hours * HOUR_MS,
		    .has_digests = o->has_digests,
		    .verbose = o->verbose,
		    .traced = o->traced },
		.first = o->first,
		.last = o->last,
		.jobs = o->jobs,
		.title = "day",
	};
	struct jobs_result r;
	double began = seconds();
	int rc = jobs_run(&plan, &r);

	print_day(&plan, &r, seconds() - began);
	printf("%" PRIu64 " passed, %" PRIu64 " failed\n",
	    r.counts.runs - r.violated, r.violated);
	return rc < 0 ? rc : r.violated == 0 ? KV_OK : KV_ECORRUPT;
}

static int
run(const struct options *o)
{
	const struct profile *p;
	struct jobs_result sum = { 0 };
	bool each = strcmp(o->profile, "each") == 0;
	int rc = KV_OK;

	if (!each && profile_find(o->profile) == NULL) {
		fprintf(stderr, "sim: no profile %s\n", o->profile);
		return KV_EINVAL;
	}
	for (p = profiles; rc == KV_OK && p->name != NULL; p++) {
		if ((each && !(p->faults & FAULT_SEALED)) ||
		    strcmp(p->name, o->profile) == 0)
			rc = run_profile(o, p, &sum);
	}
	printf("%" PRIu64 " passed, %" PRIu64 " failed\n",
	    sum.counts.runs - sum.violated, sum.violated);
	return rc < 0 ? rc : sum.violated == 0 ? KV_OK : KV_ECORRUPT;
}

/* ---- mutations ---------------------------------------------------------------- */

/* The same seed without the mutation must be fine, or it told us nothing. */
static bool
is_fine_without(const struct jobs_plan *plan, uint64_t seed)
{
	struct jobs_plan one = *plan;
	struct jobs_result r;

	set_mutation(MUTATE_NONE);
	one.first = one.last = seed;
	one.jobs = 1;
	return jobs_run(&one, &r) == KV_OK && r.violated == 0;
}

static bool
is_noticed(const struct options *o, const struct mutation *m)
{
	struct jobs_plan plan = {
		.run = { .steps = STEPS,
		    .faults = profile_find(m->profile)->faults,
		    .has_digests = m->has_digests,
		    .traced = -1 },
		.first = 1,
		.last = m->seeds,
		.jobs = o->jobs,
		.stops_at_first = true,
		.title = m->name,
	};
	struct jobs_result r;
	bool noticed, good;

	set_mutation(m->id);
	if (jobs_run(&plan, &r) < 0)
		return false;
	noticed = r.violated > 0;
	good = noticed && is_fine_without(&plan, r.found[0].seed);
	printf("%-4s %-16s %-10s ", good ? "ok" : "FAIL", m->name, m->profile);
	if (noticed)
		printf("seed %" PRIu64 " of %u: %s%s\n", r.found[0].seed,
		    m->seeds, r.found[0].why,
		    good ? "" : " (with and without it)");
	else
		printf("not noticed in %" PRIu64 " runs\n", r.counts.runs);
	fflush(stdout);
	return good;
}

static int
run_mutations(const struct options *o)
{
	struct mutation m;
	unsigned i, all = 0, passed = 0;

	for (i = 1; i < MUTATIONS; i++) {
		m = mutation_of(i);
		if (o->is_quick && m.seeds > QUICK)
			continue;
		all++;
		passed += is_noticed(o, &m);
	}
	printf("%u passed, %u failed\n", passed, all - passed);
	return passed == all ? KV_OK : KV_ECORRUPT;
}

/* ---- options --------------------------------------------------------------------- */

enum {
	SEEDS = 256,
	STEP_COUNT,
	PROFILE,
	MUTATE,
	NO_DIGESTS,
	JOBS,
	TRACE,
	ALL_MUTATIONS,
	DAY,
	IS_QUICK,
	LIST
};

static bool
take_seeds(struct options *o, const char *text)
{
	char *end;

	o->first = o->last = strtoull(text, &end, 10);
	if (*end == ':')
		o->last = strtoull(end + 1, &end, 10);
	return *end == '\0' && o->first > 0 && o->first <= o->last;
}

static bool
take_option(struct options *o, int option, const char *text)
{
	switch (option) {
	case SEEDS:
		return take_seeds(o, text);
	case STEP_COUNT:
		return (o->steps = (unsigned)atoi(text)) > 0;
	case PROFILE:
		o->profile = text;
		return true;
	case MUTATE:
		return mutation_find(text, &o->mutation);
	case NO_DIGESTS:
		o->has_digests = false;
		return true;
	case JOBS:
		o->jobs = (unsigned)atoi(text);
		return o->jobs > 0 && o->jobs <= JOBS_MAX;
	case TRACE:
		o->traced = atoi(text);
		return o->traced >= 0 && o->traced < GHOST_KEYS;
	case DAY:
		o->hours = text == NULL ? 24 : (unsigned)atoi(text);
		return o->hours > 0;
	case ALL_MUTATIONS:
		o->wants_mutations = true;
		return true;
	case IS_QUICK:
		o->is_quick = true;
		return true;
	case 'v':
		o->verbose++;
		return true;
	default:
		return false;
	}
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "seeds", required_argument, NULL, SEEDS },
		{ "steps", required_argument, NULL, STEP_COUNT },
		{ "profile", required_argument, NULL, PROFILE },
		{ "mutate", required_argument, NULL, MUTATE },
		{ "no-digests", no_argument, NULL, NO_DIGESTS },
		{ "jobs", required_argument, NULL, JOBS },
		{ "trace", required_argument, NULL, TRACE },
		{ "day", optional_argument, NULL, DAY },
		{ "mutations", no_argument, NULL, ALL_MUTATIONS },
		{ "quick", no_argument, NULL, IS_QUICK },
		{ "list", no_argument, NULL, LIST },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { .first = 1,
		.traced = -1,
		.has_digests = true,
		.profile = "each" };
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int option;

	o.jobs = cores < 1 ? 1 : cores > JOBS_MAX ? JOBS_MAX : (unsigned)cores;
	while ((option = getopt_long(argc, argv, "v", longs, NULL)) != -1) {
		if (option == LIST) {
			list();
			return 0;
		}
		if (!take_option(&o, option, optarg)) {
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc && !take_seeds(&o, argv[optind])) {
		fputs(usage, stderr);
		return 2;
	}
	if (o.last == 0)
		o.last = o.hours > 0 ? 1 : 1000;
	if ((o.wants_mutations || o.mutation.name != NULL) && !has_mutations())
		return 2;
	if (o.wants_mutations)
		return run_mutations(&o) == KV_OK ? 0 : 1;
	set_mutation(o.mutation.id);
	return (o.hours > 0 ? run_day(&o) : run(&o)) == KV_OK ? 0 : 1;
}
