/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_CALL_H
#define KV_WORKER_CALL_H

/* One request being carried out.
 *
 * A handler writes its reply and returns KV_OK, or returns a failure of the
 * engine and leaves the reply to the caller, who drops what was written of it.
 * It refuses bad arguments before it stages anything. */

#include "worker/session.h"

struct command;

struct call {
	struct worker *worker;
	struct session *session;
	struct engine *engine;
	struct reply *reply;
	const struct kv_slice *args;
	size_t argc;
	const struct command *command; /* NULL in line mode */
	struct call_sub *sub; /* not NULL: only tell about subcommands */
};

/* One subcommand after the other, as commands_next_sub asks a container. */
struct call_sub {
	size_t at;
	const char *name; /* NULL: there are no more */
	int arity;
};

typedef int call_handler(struct call *c);

/* What a handler needs from the one who runs it. */
enum call_need {
	CALL_WRITES = 1,   /* stages */
	CALL_ATOMIC = 2,   /* reads what it writes: under the append lock */
	CALL_SETTLED = 4,  /* scans or counts: nothing may be staged before */
	CALL_SESSION = 8,  /* changes the session: cannot be run twice */
	CALL_OPTIONS = 16, /* more with some options: see cmd_set_needs */
	CALL_PUSHES = 32,  /* what it says leaves whatever CLIENT REPLY says */
	CALL_TOLD = 64,	   /* monitors hear of it */
};

/* Answer an error and be done: "ERR syntax error" and so on. */
int call_error(struct call *c, const char *text);
int call_errorf(struct call *c, const char *fmt, ...) KV_PRINTF(2, 3);

/* Answer for a result code that a handler returned. */
void call_failed(struct call *c, int rc);

/* Blame a length: returns KV_ETOOBIG, whose text call_failed makes of it. */
int call_blame(struct call *c, const char *what, size_t len, size_t limit);

/* Let the log know what is behind the changes to come, if anybody listens. */
void call_because(struct call *c);

/* Is this good for a key, a field, a value?  KV_ETOOBIG with the blame. */
int call_check_key(struct call *c, struct kv_slice key);
int call_check_field(struct call *c, struct kv_slice field);
int call_check_value(struct call *c, struct kv_slice value);

/* An argument as a number; on failure the error is answered and false. */
bool call_integer(struct call *c, struct kv_slice text, int64_t *out);

/* A value, by reference when it is large. */
void call_bulk(struct call *c, struct kv_slice value);

/* Has this reply outgrown what may be sent?  Then return KV_ETOOBIG. */
bool call_overflows(struct call *c);

/* Hold the connection; the same request runs again when it is released.  Only
 * for what needs CALL_SESSION. */
void call_hold(struct call *c);

/* Replies whose number of elements is known only at their end. */
struct call_place {
	size_t at;
};
struct call_place call_open(struct call *c);

/* Move what stands from end on, at most CALL_HEAD_MAX bytes, to the front. */
#define CALL_HEAD_MAX 64
void call_put_first(struct call *c, struct call_place place, size_t end);
void call_close_array(struct call *c, struct call_place place, size_t n);
void call_close_map(struct call *c, struct call_place place, size_t pairs);

#endif
