/* SPDX-License-Identifier: ISC */
#ifndef KV_OPTIONS_H
#define KV_OPTIONS_H

/* The command line. */

#include "load.h"

#define OPTIONS_TARGETS_MAX 8
#define OPTIONS_TESTS_MAX 16

struct options {
	struct target targets[OPTIONS_TARGETS_MAX];
	unsigned target_count;
	const struct work *tests[OPTIONS_TESTS_MAX];
	unsigned test_count;
	const struct work *background; /* NULL: none */
	unsigned connections, depth, background_connections;
	unsigned rounds;
	uint64_t keys, requests, seed;
	size_t value_size;
	double seconds;
	bool json;
	const char *dir; /* measure libkv on this store instead */
};

/* Exits: 0 after help, 2 after an error. */
void options_parse(struct options *o, int argc, char **argv);

#endif
