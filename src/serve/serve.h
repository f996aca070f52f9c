/* SPDX-License-Identifier: ISC */
#ifndef KV_SERVE_SERVE_H
#define KV_SERVE_SERVE_H

/* All connections of one process and what they share: one buffer to read into,
 * one arena to write replies in, one queue of replies that wait for the disk.
 * What the bytes mean is the owner's business. */

#include "serve/marks.h"
#include "serve/output.h"

#include "io/loop.h"

struct conn;

#define SERVE_INPUT_SIZE 65536

struct serve_limits {
	size_t connections;
	size_t output;	  /* unsent bytes of one connection */
	size_t input;	  /* bytes of one unfinished request */
	uint64_t idle_ns; /* 0: no limit */
};

struct serve_handlers {
	size_t size; /* of the owner's struct, which begins with struct conn */
	/* A new connection; the struct is zeroed but for its conn. */
	void (*opened)(struct conn *c);
	/* Bytes to look at: new ones, or old ones once more after conn_again,
	 * or the rest at the end of input.  Returns how many were used up; the
	 * others come again in front of what follows. */
	size_t (*input)(struct conn *c, struct kv_slice in);
	/* It is closed; its memory goes soon after. */
	void (*closed)(struct conn *c);
};

struct serve {
	struct loop *loop;
	const struct serve_handlers *handlers;
	struct serve_limits limits;
	void *owner;
	struct conn *conns; /* utlist, oldest first */
	size_t count;
	struct conn *again; /* to be run in the next turn, in order */
	struct conn **again_end;
	char *input;
	struct output output;
	size_t unsent; /* memory of all connections' output */
	struct marks marks;
	struct timer sweep;
	size_t lingering;
	uint64_t accepted, refused;
};

KV_CHECKED int serve_init(struct serve *s, struct loop *loop,
    const struct serve_handlers *handlers, const struct serve_limits *limits,
    void *owner);

/* Closes what is open. */
void serve_fini(struct serve *s);

/* Run the connections that asked for it with conn_again. */
void serve_run_again(struct serve *s);

/* Send what waited for this position of the log or an earlier one. */
void serve_durable(struct serve *s, uint64_t durable);

/* The position that the first waiting reply needs; false when none waits. */
bool serve_lowest(const struct serve *s, uint64_t *lsn);

/* Answer what was asked, send it, close; s->count is 0 when all is done. */
void serve_drain(struct serve *s);

/* See that the sweep for idle and lingering connections goes on. */
void serve_arm_sweep(struct serve *s);

#endif
