/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_PREFETCH_H
#define KV_WORKER_PREFETCH_H

/* Pipelined requests are looked at a few ahead of the one that is carried out,
 * so that their lookups wait for memory together (engine/prefetch.h). */

struct run;

/* Called at the beginning of a RESP request; does something every
 * PREFETCH_MAX requests. */
void prefetch_requests(struct run *r);

#endif
