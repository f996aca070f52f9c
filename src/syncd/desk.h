/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_DESK_H
#define KV_SYNCD_DESK_H

/* The services (sync/services.h) and the processes of this host:
 *
 *	door	the socket where workers bring what clients ask
 *	runner	commands of other hosts, given to a worker
 *	roster	who is connected to the workers
 *	post	messages, between the log and the links
 *
 * All connections are those of one struct serve; what one is for stands in its
 * kind. */

#include <limits.h>

#include "proto/request.h"
#include "proto/resp.h"
#include "serve/conn.h"
#include "serve/listener.h"
#include "sync/services.h"
#include "syncd/allow.h"
#include "syncd/syncd.h"

#define DESK_MARK 8 /* worker/inner.h */

struct desk;
struct desk_conn;

struct desk_kind {
	/* As serve's input; at the end of input too. */
	size_t (*input)(struct desk_conn *c, struct kv_slice in);
	void (*closed)(struct desk_conn *c);
};

struct desk_conn {
	struct conn conn; /* first: serve allocates it */
	const struct desk_kind *kind;
	uint64_t id;	      /* of the ask, the wait or the job; 0: none */
	unsigned slot;	      /* of the worker at the other end */
	char mark[DESK_MARK]; /* the worker's, behind a whole answer */
	bool is_wait;
	struct resp_parser parser;
	size_t owed;	 /* bytes of an answer not given back yet */
	struct buf rest; /* of an answer that is made already */
	size_t at;	 /* so much of it is written */
	struct buf text; /* whom a call is for */
};

struct roster_entry; /* a client of this host */

struct desk {
	struct syncd *s;
	struct services *services;
	struct serve serve;
	struct listener door;
	bool is_open;
	struct request request;
	struct allow *allow;
	struct timer look;     /* for workers to be told by */
	uint64_t look_soon_ns; /* often, until then */
	struct roster_entry *roster;
	struct feed feed;   /* of messages */
	bool follows;	    /* somebody is to be told of them */
	bool has_more;	    /* there are some that links may take later */
	struct buf arrived; /* messages to put into the log */
	uint64_t dropped;   /* of those, for want of room */
};

KV_CHECKED int desk_open(struct syncd *s, struct desk **out);
void desk_close(struct desk *d); /* NULL is fine */
void desk_reload(struct desk *d);

/* Serve stops: answer no more. */
void desk_shut(struct desk *d);

/* When a turn begins; and in it, within a view, when all frames are read. */
void desk_begin(struct desk *d);
KV_CHECKED int desk_turn(struct desk *d, uint64_t *next_ms);

/* ---- its parts ---- */

static inline struct desk_conn *
desk_conn_of(struct conn *c)
{
	return (struct desk_conn *)c;
}

static inline struct desk *
desk_of(const struct desk_conn *c)
{
	return c->conn.serve->owner;
}

/* The connection with this id and kind, NULL. */
struct desk_conn *desk_find(const struct desk *d, const struct desk_kind *kind,
    uint64_t id);

/* A connection to the worker of a slot; its first bytes, how and a mark, are
 * written.  NULL: it cannot be had. */
struct desk_conn *desk_connect(struct desk *d, const struct desk_kind *kind,
    unsigned slot, char how);

/* Is there a worker with this slot? */
bool desk_has_worker(const struct desk *d, unsigned slot);

/* Append and send.  False: it is closed. */
bool desk_write(struct desk_conn *c, struct kv_slice bytes);

/* Something is there for the links. */
void desk_wants_turn(struct desk *d);

/* door.c */
extern const struct desk_kind door_kind;
void door_answer(void *user, uint64_t ask, struct kv_slice bytes);
void door_answered(void *user, uint64_t ask, enum services_end end,
    struct kv_slice why);
void door_settled(void *user, uint64_t wait, unsigned count,
    const char *missing);

/* runner.c */
extern const struct desk_kind runner_kind;
void runner_run(void *user, uint64_t job, const char *node,
    const struct kv_slice *argv, size_t argc, uint32_t deadline_ms);
void runner_stop(void *user, uint64_t job);
void runner_room(void *user, uint64_t job);

/* roster.c */
extern const struct desk_kind roster_kind;
void roster_init(struct desk *d);
void roster_fini(struct desk *d);
/* All clients there are, or the one whose this name is, in the form of a
 * worker's client. */
KV_CHECKED int roster_write(const struct desk *d, char form,
    const struct kv_slice *name, struct buf *to);

/* post.c */
void post_init(struct desk *d);
void post_fini(struct desk *d);
void post_message(void *user, const struct frame_message *m);
uint64_t post_wall_ms(void *user);
/* Messages that some node or client of this host did not get. */
uint64_t post_lost_count(const struct desk *d);
KV_CHECKED int post_turn(struct desk *d);
/* The links have sent what they could. */
void post_sent(struct desk *d);

#endif
