/* SPDX-License-Identifier: ISC */
#ifndef KV_SERVE_CONN_H
#define KV_SERVE_CONN_H

/* One connection: a socket, the input that is no whole request yet, the output
 * that could not be sent yet.  Idle, it owns no memory beyond its struct. */

#include "serve/serve.h"

enum conn_flag {
	CONN_HOLD_OUTPUT = 1, /* the client must read first */
	CONN_HOLD_OWNER = 2,  /* the owner waits for something */
	CONN_EOF = 4,	      /* the client will send no more */
	CONN_CLOSING = 8,     /* closed when the output is sent */
	CONN_DEAD = 16,	      /* closed */
	CONN_AGAIN = 32,      /* in serve.again */
	CONN_BUSY = 64,	      /* somebody up the stack works on it */
	CONN_LINGER = 128,    /* closing, with a time limit */
	CONN_WANT_OUT = 256,  /* the socket is full */
	CONN_PATIENT = 512,   /* may be silent for ever */
	CONN_INNER = 1024,    /* of a process of this host's own store */
	CONN_WHOLE = 2048,    /* what came is read although they hung up */
	CONN_NOREAD = CONN_HOLD_OUTPUT | CONN_HOLD_OWNER | CONN_EOF |
	    CONN_CLOSING | CONN_DEAD,
};

struct conn {
	struct loop_source source;
	struct serve *serve;
	struct conn *prev, *next; /* of serve.conns */
	struct conn *again;	  /* of serve.again */
	struct buf in;
	struct buf out;
	size_t sent;	   /* of out */
	size_t ready;	   /* of out: may be sent */
	size_t counted;	   /* its memory, in serve.unsent */
	uint64_t base;	   /* bytes that left before out.data[0] */
	uint64_t last_lsn; /* of the newest mark */
	uint64_t active_ns;
	size_t need; /* input that is known to follow */
	uint32_t marks;
	uint32_t flags;
};

/* Take an accepted socket, or one that we connected.  flags: those it begins
 * with.  NULL: no memory, the socket is closed. */
struct conn *conn_take(struct serve *s, int fd, uint32_t flags);

/* Close at once.  The memory stays until nobody up the stack needs it. */
void conn_close(struct conn *c);

/* Read no more, close when all output is sent; linger: unless
 * nothing of it leaves for 30 seconds. */
void conn_finish(struct conn *c, bool linger);

/* Close if that was asked for and nothing is left to do. */
void conn_close_if_done(struct conn *c);

/* Keep the memory while working on it; calls nest. */
bool conn_enter(struct conn *c);
void conn_leave(struct conn *c, bool outer);

/* Free if closed and nobody needs it. */
void conn_free_if_dead(struct conn *c);

void conn_hold(struct conn *c, enum conn_flag why);
void conn_release(struct conn *c, enum conn_flag why); /* runs it again */

/* Call the input handler in the next turn with what is there. */
void conn_again(struct conn *c);

/* The same at once, for serve_run_again and timers. */
void conn_run(struct conn *c);

/* Ask epoll for what the flags say. */
void conn_update(struct conn *c);

static inline bool
conn_is_dead(const struct conn *c)
{
	return c->flags & CONN_DEAD;
}

static inline bool
conn_at_eof(const struct conn *c)
{
	return c->flags & CONN_EOF;
}

#endif
