/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_RUNDIR_H
#define KV_SYNCD_RUNDIR_H

/* The run-time folder, where the nodes of a user on this host tell each other
 * where they listen: $XDG_RUNTIME_DIR/kv, /run/kv, or /tmp/kv-UID, whichever
 * is there and ours alone.
 *
 * A node's file has its name and one line, "ADDRESS PORT"; as long as the node
 * lives it holds a lock on it, so that what a dead one left is not believed. */

#include <stdbool.h>

#include "kv_types.h"

#define RUNDIR_ADDRESS_TEXT 64

struct rundir;

/* KV_EBUSY: another node of this name lives on this host; KV_ENOTFOUND: there
 * is no such folder and none can be made.  Both are logged, and a node does
 * well enough without. */
KV_CHECKED int rundir_open(const char *name, struct rundir **out);
void rundir_close(struct rundir *r); /* removes the file; NULL is fine */

/* Say where we listen. */
KV_CHECKED int rundir_publish(struct rundir *r, const char *address,
    uint16_t port);

/* Who logs out takes $XDG_RUNTIME_DIR with him, and there are those who clean
 * /tmp: true when our file had gone, or the folder that comes first is another
 * one now, and a new file is there.  Then publish and watch again.  r may be
 * NULL. */
bool rundir_renew(struct rundir *r);

/* Where a living node listens that answers to this name: 0, or the port.  r
 * may be NULL. */
uint16_t rundir_find(const struct rundir *r, struct kv_slice asked,
    char address[RUNDIR_ADDRESS_TEXT]);

/* A descriptor that can be read from when another node has ended, however it
 * did, or a file is removed; -1: there is none, ask now and then.
 * rundir_watched() empties it. */
int rundir_watch(const struct rundir *r);
void rundir_watched(int fd);

#endif
