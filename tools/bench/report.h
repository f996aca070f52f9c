/* SPDX-License-Identifier: ISC */
#ifndef KV_REPORT_H
#define KV_REPORT_H

/* Medians and ranges over rounds, as lines for people or as JSON. */

#include "load.h"

#define REPORT_ROUNDS_MAX 100

enum report_measure {
	REPORT_RATE,   /* requests per second */
	REPORT_CPU_US, /* of the server, per request; 0: unknown */
	REPORT_P50_US,
	REPORT_P99_US,
	REPORT_P999_US,
	REPORT_MAX_US,
	REPORT_MEASURES,
};

/* All rounds of one test with one server. */
struct report_series {
	const struct target *target;
	double rounds[REPORT_MEASURES][REPORT_ROUNDS_MAX];
	unsigned count;
	uint64_t errors;
	char error[96];
};

void report_add(struct report_series *s, const struct outcome *o);

struct report_test {
	const char *name;
	unsigned connections, depth;
	const char *background; /* NULL: none */
	unsigned background_connections;
	const struct report_series *series;
	unsigned series_count;
};

void report_print(const struct report_test *t);

/* Begin, then each test, then end. */
void report_json_begin(void);
void report_json(const struct report_test *t, bool first);
void report_json_end(void);

#endif
