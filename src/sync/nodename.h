/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_NODENAME_H
#define KV_SYNC_NODENAME_H

/* Names of nodes: foo@host, where the host is short or long; or only a host,
 * of a node that was not given a name. */

#include <stdbool.h>

#include "kv_types.h"

/* What stands before and behind the @; no host in a name without one.  Both
 * borrow from full. */
void nodename_split(const char *full, struct kv_slice *name,
    struct kv_slice *host);

/* Does a node of this full name answer to that one: all of it, or what stands
 * before its @? */
bool nodename_answers_to(const char *full, struct kv_slice asked);

/* "jv" and "jv.example" are one host, "jv.a" and "jv.b" are two. */
bool nodename_same_host(struct kv_slice a, struct kv_slice b);

/* Is that the host of the node self? */
bool nodename_is_here(const char *self, struct kv_slice host);

#endif
