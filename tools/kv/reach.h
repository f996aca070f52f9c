/* SPDX-License-Identifier: ISC */
#ifndef KV_REACH_H
#define KV_REACH_H

#include "tool.h"

/* Reach the store for this verb: over the port or socket or in the folder that
 * was named, else over the default port if somebody answers there, else in
 * kvd's default folder.  EXIT_FINE, or another after saying why. */
int reach_open(struct tool *t, const struct verb *v);
void reach_close(struct tool *t);

#endif
