/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_PEERS_H
#define KV_WORKER_PEERS_H

/* What kv-syncd is asked on behalf of a client: a connection of its own to
 * SHM/sync for each question, which is cancelled by closing it.  The command
 * is held meanwhile and runs again when there is an answer; other clients of
 * the worker do not notice.
 *
 * A question is an array in RESP (man kv-sync.7).  Its answer is bulk strings,
 * which go to the client as they come (the answer of a command that ran
 * elsewhere), and at the end a status, an integer or an error. */

#include "worker/call.h"

struct peers;

struct peers_question {
	const struct kv_slice *words;
	size_t count;
	uint64_t limit_ms; /* we stop waiting then; 0: never */
	/* Only waits: the time that is left is its last word, and a kv-syncd
	 * that is away, or dies meanwhile, is asked again until it is over. */
	bool is_wait;
	bool streams; /* a subscription: the client is not held */
	bool is_line; /* how the client is told of its end */
	uint64_t seq; /* the asker's own, to find in the answer */
};

struct peers_answer {
	bool is_error;
	bool is_begun;	  /* something of it went to the client already */
	int64_t number;	  /* of an integer */
	const char *text; /* of a status or an error; until peers_end */
	uint64_t seq;
};

/* Ask.  Of what does not wait, KV_ENOTFOUND: no kv-syncd runs here; KV_EBUSY:
 * it has no room. */
KV_CHECKED int peers_ask(struct call *c, const struct peers_question *q);

/* Has this command asked already? */
bool peers_has_asked(const struct session *s);
/* Is there an answer?  If not the command is held: return KV_OK. */
bool peers_answered(struct call *c, struct peers_answer *out);

/* The question is over, or the client is gone. */
void peers_end(struct session *s);

/* The client has read: what was held back for it goes on. */
void peers_resume(struct session *s);

#endif
