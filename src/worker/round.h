/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_ROUND_H
#define KV_WORKER_ROUND_H

/* A command asks all other workers of the host.  It is held until all have
 * answered, or a second is over, and then runs again and finds the answers.
 * Within EXEC the whole transaction is held and runs again; each command finds
 * what it asked in the run before. */

#include "engine/ask.h"
#include "worker/call.h"

#define ROUND_USES_MAX 32 /* questions of one transaction */

struct round;

struct round_use {
	struct round *round;
	bool first; /* nothing was done here yet */
	/* The handler's: how many it closed here, and whether the asker is
	 * one of them. */
	uint64_t own;
	bool me;
};

/* Ask, or find what was asked.  KV_EBUSY: a transaction may not ask so much.
 * Lasts until round_end. */
KV_CHECKED int round_use(struct call *c, enum ask_what what,
    struct kv_slice body, struct round_use **out);

/* Is the command to wait?  Then it is held: return KV_OK. */
bool round_holds(struct call *c, const struct round_use *u);

uint64_t round_sum(const struct round_use *u);
/* KV_ETOOBIG: there is more than may be sent. */
KV_CHECKED int round_text(const struct round_use *u, struct kv_slice *out);

/* Around a request: it runs, maybe again; it was answered, or will not be. */
void round_begin(struct session *s);
void round_end(struct session *s);

void round_init(struct worker *w);
void round_fini(struct worker *w);

/* The engine woke us: answer others, see who has answered us. */
void round_woken(struct worker *w);

#endif
