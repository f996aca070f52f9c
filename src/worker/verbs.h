/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_VERBS_H
#define KV_WORKER_VERBS_H

/* The line protocol's commands. */

#include "proto/request.h"

struct run;

/* One line. */
void verbs_run(struct run *r, const struct request *req);

/* A line beyond the limit. */
void verbs_too_long(struct run *r);

#endif
