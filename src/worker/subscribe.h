/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_SUBSCRIBE_H
#define KV_WORKER_SUBSCRIBE_H

/* Telling line clients what changes.  One feed of the log serves all
 * subscribers of the process, in one order; one that begins further back
 * replays with a feed of its own until it has caught up. */

#include "worker/session.h"

enum subscribe_how {
	SUBSCRIBE_PLAIN,    /* what comes */
	SUBSCRIBE_FROM_NOW, /* the same, with sequence numbers */
	SUBSCRIBE_FROM_SEQ, /* what came after seq, and what comes */
};

struct subscribe_from {
	enum subscribe_how how;
	uint64_t seq;
};

KV_CHECKED int subscribe_init(struct worker *w);
void subscribe_fini(struct worker *w);

/* From now on the session hears of the bucket's changes, and nothing else. */
KV_CHECKED int subscribe_begin(struct session *s, uint64_t bid,
    struct subscribe_from from);
void subscribe_end(struct session *s);

/* Hand out what is new, within a view.  True: there is more at once. */
bool subscribe_pump(struct worker *w);

/* Before sleeping: wake us when there is more.  True: there is already. */
bool subscribe_want(struct worker *w);

size_t subscribe_count(const struct feeds *f, uint64_t bid);
size_t subscribe_total(const struct feeds *f);

#endif
