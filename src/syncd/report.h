/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_REPORT_H
#define KV_SYNCD_REPORT_H

/* What `kv nodes` shows: a note that workers read (engine/nodes.h).  Written at
 * once when something changed, and now and then for its figures, so that an old
 * one shows that nobody writes any more. */

#include "syncd/syncd.h"

struct report;

KV_CHECKED int report_open(struct syncd *s, struct report **out);
void report_close(struct report *r); /* NULL is fine */

/* Something changed. */
void report_touch(struct report *r);

#endif
