/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_WATCH_H
#define KV_SYNCD_WATCH_H

/* The option `dns`: all addresses of a name are candidates, asked for every
 * five seconds.  When no answer comes, the last one counts. */

#include "syncd/syncd.h"

struct watch;

KV_CHECKED int watch_open(struct syncd *s, struct watch **out);
void watch_close(struct watch *w); /* NULL is fine */

#endif
