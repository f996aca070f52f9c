/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_GUEST_H
#define KV_SYNCD_GUEST_H

/* Accepted connections until they have proved that they know the cookie: a
 * seat of a static array each, and nothing else. */

#include "syncd/syncd.h"

struct guests;

KV_CHECKED int guests_new(struct syncd *s, struct guests **out);
void guests_free(struct guests *g); /* NULL is fine */

/* Takes an accepted socket. */
void guests_enter(struct guests *g, int fd);

#endif
