/* SPDX-License-Identifier: ISC */
#ifndef KV_NODE_H
#define KV_NODE_H

/* The nodes that share buckets with a server, or with a store. */

#include "tool.h"

/* Each of them, this one first, until each answers another code than
 * EXIT_FINE; that code.  The texts of a node live as long as the call, which
 * asks nothing else over the connection. */
int node_each(struct tool *t,
    int (*each)(void *user, const struct kv_node *node), void *user);

bool node_is(struct kv_slice text, const char *word);

#endif
