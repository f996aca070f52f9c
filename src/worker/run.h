/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_RUN_H
#define KV_WORKER_RUN_H

/* Carrying out the requests of one connection's buffer.
 *
 * Writes are staged and committed together.  When a commit fails, everything
 * since the first write of the batch is undone (the place in the input and the
 * length of the output are remembered), and those requests run again: against
 * a newer view (KV_ESTALE), when there is room (KV_EAGAIN), or refused with the
 * reason (anything else).  So no reply is ever sent for what did not happen,
 * and none twice. */

#include "worker/call.h"

struct run {
	struct worker *worker;
	struct session *session;
	struct kv_slice in;
	size_t at;     /* of the next request */
	size_t start;  /* of the one being carried out */
	size_t done;   /* end of the last one that was */
	size_t ahead;  /* requests before it were looked at ahead */
	uint64_t need; /* log position that the replies wait for */
	bool stop;

	bool open; /* a batch: since the first staged write */
	size_t batch_at;
	struct output_place batch_place;
	size_t batch_told;

	uint64_t clock_ns; /* when the last one was done; 0: unknown */

	bool has_lock;
	unsigned locked; /* requests left of this lock section */

	/* Requests that begin in these ranges of the input ... */
	size_t deny_from, deny_to; /* ... must not write, because of why */
	int deny_why;
	size_t force_to; /* ... before it: only under the lock */
	unsigned tries;
};

/* Carry out one request.  It may rewind the run. */
void run_call(struct run *r, struct call *c, unsigned needs,
    call_handler *handler);

/* After a request: keep what is staged and written in bounds. */
void run_breathe(struct run *r);

/* End of the buffer.  False: there is more to run, again. */
bool run_finish(struct run *r);

/* Hand the replies to the connection. */
void run_emit(struct run *r);

#endif
