/* SPDX-License-Identifier: ISC */
#ifndef KV_LOAD_H
#define KV_LOAD_H

/* The load: connections that each send a batch of requests, wait for all the
 * answers and send the next, from one thread over epoll. */

#include <stdbool.h>
#include <stdint.h>

#include "hist.h"
#include "work.h"

struct target {
	const char *name;
	const char *host; /* NULL: path is a unix socket */
	const char *path;
	int port;
	int pid; /* of the server, 0: unknown */
};

/* Connections that do the same. */
struct group {
	const struct work *work;
	unsigned connections;
	unsigned depth;	    /* requests in a batch */
	bool is_background; /* load that is not what is measured */
};

struct load {
	const struct group *groups;
	unsigned group_count;
	uint64_t keys; /* key space */
	size_t value_size;
	double seconds;	   /* 0: until requests are done */
	uint64_t requests; /* 0: until seconds are over */
	uint64_t seed;
};

struct outcome {
	uint64_t requests; /* of all groups */
	uint64_t measured; /* of those in the foreground */
	double seconds;
	uint64_t cpu_ns; /* of the server; 0: unknown */
	uint64_t errors;
	char error[96];	     /* the first one */
	struct hist latency; /* of a batch, in the foreground */
};

/* Run it.  0, or -1 when there is no connection or it broke (said on
 * stderr). */
int load_run(const struct target *t, const struct load *l, struct outcome *out);

#endif
