/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_STORE_H
#define KV_SYNCD_STORE_H

/* The engine as replication sees it (sync/store.h).  One per process, beside
 * the process's engine; while a snapshot of it is held (refresh to release) the
 * engine is not to be refreshed or released by others. */

#include "engine/engine.h"
#include "sync/store.h"

struct syncd_store;

/* What the engine knows of this node, for struct replica_config. */
struct syncd_self {
	uint64_t uid;
	uint64_t inc;
	uint64_t start;
	struct kv_slice lineage; /* rows (inc, end), newest first; lives as
				    long as the store */
};

/* Reads all rows.  The engine must outlive it.
 *
 * refresh() returns KV_ESTALE once the node has begun a new run under our feet
 * (the clock jumped: a virtual machine was put back to an earlier state), or is
 * about to: close all links, free it, begin anew with what self() says then. */
KV_CHECKED int syncd_store_new(struct engine *e, struct syncd_store **out);
void syncd_store_free(struct syncd_store *s);

const struct syncd_self *syncd_store_self(const struct syncd_store *s);
struct sync_store syncd_store_ops(struct syncd_store *s);

#endif
