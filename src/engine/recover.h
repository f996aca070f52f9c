/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_RECOVER_H
#define KV_ENGINE_RECOVER_H

/* The first opener's work, shared by its two ways: adopt.c and recover.c. */

#include "engine/internal.h"

struct recovery {
	struct tree_position tree;
	uint64_t number; /* next segment to look for */
	uint64_t end;	 /* LSN where the log ends so far */
	uint64_t prev_nonce;
	uint64_t records;
	bool linked; /* end and prev_nonce are those of a segment */
	bool any;    /* a segment was loaded */
};

/* For a store that is being made: the tree is whole and synced before the file
 * "store" says that there is one, because LMDB does not make its file in one
 * step.  What a power cut left of an earlier attempt is put aside. */
KV_CHECKED int recover_make_tree(struct engine *e);

/* KV_ENOTFOUND: there is no memory that can be adopted. */
KV_CHECKED int adopt_memory(struct engine *e, const struct recovery *r);

/* Nobody is there: empty slots, pins and wants. */
void adopt_forget_processes(struct control *c);

/* incarnation.c.  begin: draw a new one; the last one ended at control's
 * born_tick.  store: put it, and the lineage, into the tree unless that is
 * done.  Where begin finds no room on the disk it leaves trouble, and the
 * checkpointer tries store again. */
uint64_t incarnation_draw(void);
KV_CHECKED int incarnation_begin(struct engine *e);
KV_CHECKED int incarnation_store(struct engine *e);

/* A new one for the memory as it lives: what is appended from now on is of the
 * new run.  Of the old one nothing is missing here up to `end`.  The
 * checkpointer alone may do this.  KV_EAGAIN: there is no segment to begin. */
KV_CHECKED int incarnation_renew(struct engine *e, uint64_t end);

/* A number of the tree's meta, 0 when it is not there. */
KV_CHECKED int recover_meta_u64(struct engine *e, const char *name,
    uint64_t *out);

#endif
