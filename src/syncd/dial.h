/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_DIAL_H
#define KV_SYNCD_DIAL_H

/* One try to reach a candidate: look up, connect to each address in turn,
 * handshake.  It ends as a peer or as a reason. */

#include "syncd/syncd.h"

struct dial;

/* Begin; what becomes of it is told to members, at once when it cannot even
 * begin. */
void dial_start(struct syncd *s, struct member *c);

/* Give all up, without a word. */
void dial_stop_all(struct syncd *s);

/* The candidate is down: tell members, and the log if it is news. */
void dial_failed(struct syncd *s, struct member *c, enum member_reason reason,
    const char *detail);

/* It was us who answered: is the one we meant elsewhere on this host? */
void dial_met_self(struct syncd *s, struct member *c);

#endif
