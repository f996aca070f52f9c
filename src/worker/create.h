/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_CREATE_H
#define KV_WORKER_CREATE_H

/* CREATE and KV.CREATE: a bucket and its options (kv-protocol.7). */

#include "worker/call.h"

/* The words of CREATE behind the verb, in the order of the arguments:
 *
 *	bucket [LOCAL | ALL [ms]] [TTLMAX ms] [CONFLICTS]
 *
 * KV_OK with an answer, or an error as every handler's; *known false: these
 * are no such words, and nothing was done. */
#define CREATE_WORDS_MAX 7
KV_CHECKED int create_run(struct call *c, bool *known);

/* A bucket's line in BUCKETS: its name, and words of CREATE that make one like
 * it. */
KV_CHECKED int create_tell(struct call *c, const struct record *row);

#endif
