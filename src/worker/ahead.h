/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_AHEAD_H
#define KV_WORKER_AHEAD_H

/* Looking at the requests that follow, before the append lock is taken: how
 * many of them can share it, and reading once what they will read, so that no
 * page comes from the disk while all writers of the host wait. */

struct run;
struct call;

/* How many requests, this one included, go into one lock section. */
unsigned ahead_warm(struct run *r, struct call *c);

/* Read what this request will read. */
void ahead_touch(struct call *c);

#endif
