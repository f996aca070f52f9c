/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_VERIFY_H
#define KV_ENGINE_VERIFY_H

/* What the two halves of engine_verify() share. */

#include <uthash.h>

#include "engine/internal.h"

/* A bucket with records in the live segments. */
struct verify_bucket {
	uint64_t bid;
	struct totals totals; /* of its last record */
	struct stamp dropped;
	bool has_row;	 /* in the log, so dropped is from there */
	struct buf keys; /* of the log, in order; verify.c */
	UT_hash_handle hh;
};

struct verify {
	struct engine *e;
	void (*report)(void *user, const char *line);
	void *user;
	int found;
	struct verify_bucket *buckets;
};

void verify_found(struct verify *v, const char *fmt, ...) KV_PRINTF(2, 3);

/* The bucket's entry, made when missing. */
KV_CHECKED int verify_bucket(struct verify *v, uint64_t bid,
    struct verify_bucket **out);

/* verify_log.c: check the view's segments and enter their buckets. */
KV_CHECKED int verify_log(struct verify *v);

#endif
