/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_MEASURE_H
#define KV_WORKER_MEASURE_H

/* How long commands take: counters per command, the slow ones, the worst. */

#include "worker/call.h"

#define MEASURE_BUCKETS 32  /* powers of two, in us */
#define MEASURE_SAMPLES 160 /* of an event, as many as Redis keeps */

struct measure_command {
	uint64_t calls;
	uint64_t ns;
	uint32_t took[MEASURE_BUCKETS]; /* us < 1 << i, and not < 1 << (i-1) */
};

struct measure_slow {
	struct measure_slow *prev, *next; /* youngest first */
	uint64_t id, at_ms, us;
	struct buf args; /* a RESP array, shortened */
	char peer[128], name[128];
};

/* What LATENCY calls an event. */
enum measure_event { EVENT_COMMAND, EVENT_FAST_COMMAND, EVENT_COUNT };

struct measure_sample {
	uint64_t at_s, ms;
};

struct measure_samples {
	struct measure_sample sample[MEASURE_SAMPLES];
	size_t count; /* in all; the youngest is at (count - 1) % SAMPLES */
	uint64_t worst;
};

struct measure {
	struct measure_command *commands; /* as in the table of commands */
	struct measure_slow *slow;
	size_t slow_count;
	uint64_t slow_id;
	struct measure_samples events[EVENT_COUNT];
	/* CONFIG SET changes these. */
	int64_t slower_than_us; /* slowlog-log-slower-than; negative: never */
	int64_t slow_max;	/* slowlog-max-len */
	int64_t threshold_ms;	/* latency-monitor-threshold; 0: off */
};

KV_CHECKED int measure_init(struct worker *w);
void measure_fini(struct worker *w);

/* Forget the counters. */
void measure_reset(struct worker *w);

/* A command is done and took that long. */
void measure_done(struct call *c, uint64_t ns);

/* The setting of that name, or NULL; least is the smallest it takes. */
int64_t *measure_setting(struct worker *w, const char *name, int64_t *least);

/* Forget the oldest slow ones, down to so many. */
void measure_trim(struct measure *m, size_t most);

const char *measure_event_name(enum measure_event event);

#endif
