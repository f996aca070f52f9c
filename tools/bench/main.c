/* SPDX-License-Identifier: ISC */

/* kv-bench: rounds of load, server by server in turn, and what came of it. */

#include <string.h>

#include "embedded.h"
#include "options.h"
#include "report.h"

/* A connection that goes on for as long as the foreground has requests to do
 * makes no sense with -n, so background load is always by time. */
static struct load
load_of(const struct options *o, const struct group *groups, unsigned count,
    unsigned round)
{
	const struct work *w = groups[0].work;
	struct load l = { .groups = groups,
		.group_count = count,
		.keys = o->keys,
		.value_size = o->value_size,
		.seconds = o->seconds,
		.requests = o->requests,
		.seed = o->seed + round };

	if (w->in_order && o->requests == 0) {
		l.seconds = 0;
		l.requests = o->keys;
	}
	return l;
}

static int
one_round(const struct options *o, const struct target *t, const struct work *w,
    unsigned round, struct outcome *out)
{
	struct group groups[2] = {
		{ w, o->connections, o->depth, false },
		{ o->background, o->background_connections, 1, true },
	};
	struct load l =
	    load_of(o, groups, o->background != NULL ? 2 : 1, round);

	if (o->dir != NULL)
		return embedded_run(o, out);
	return load_run(t, &l, out);
}

static int
run_test(const struct options *o, const struct work *w,
    struct report_series *series)
{
	static struct outcome outcome; /* it is large */
	unsigned round, i;

	for (i = 0; i < o->target_count; i++) {
		memset(&series[i], 0, sizeof(series[i]));
		series[i].target = &o->targets[i];
	}
	for (round = 0; round < o->rounds; round++) {
		for (i = 0; i < o->target_count; i++) {
			if (one_round(o, &o->targets[i], w, round, &outcome) <
			    0)
				return -1;
			report_add(&series[i], &outcome);
		}
	}
	return 0;
}

int
main(int argc, char **argv)
{
	static struct report_series series[OPTIONS_TARGETS_MAX];
	static struct options o;
	uint64_t errors = 0;
	unsigned i, j;

	options_parse(&o, argc, argv);
	if (o.json)
		report_json_begin();
	for (i = 0; i < o.test_count; i++) {
		struct report_test t = {
			.name = o.dir != NULL ? "libkv" : o.tests[i]->name,
			.connections = o.connections,
			.depth = o.depth,
			.background =
			    o.background != NULL ? o.background->name : NULL,
			.background_connections = o.background_connections,
			.series = series,
			.series_count = o.target_count,
		};

		if (run_test(&o, o.tests[i], series) < 0)
			return 3;
		if (o.json)
			report_json(&t, i == 0);
		else
			report_print(&t);
		for (j = 0; j < o.target_count; j++)
			errors += series[j].errors;
	}
	if (o.json)
		report_json_end();
	return errors > 0 ? 1 : 0;
}
