/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_SERVICES_H
#define KV_SYNC_SERVICES_H

/* What nodes do for each other beside replication (man kv-sync.7): commands
 * that run elsewhere, who is connected where, messages, waiting until others
 * have a write.  Pure, as sync/replica.h: it hangs on the replica's links by
 * struct replica_services, time is an argument, and the program does the rest.
 *
 * There are no queues of frames: each link asks for the next one when its
 * socket has room, so what a peer costs is bounded by what is kept here anyway.
 * All calls are made within a turn of the replica, but for those that say
 * otherwise. */

#include "sync/items.h"
#include "sync/replica.h"

#define SERVICES_CALLS 64     /* in flight per peer and direction */
#define SERVICES_WINDOW 65536 /* bytes of an answer that are not taken yet */
#define SERVICES_UNREAD_MS (5 * 1000) /* an answer with an end may stand */
#define SERVICES_ARGS (8u << 20) /* of all calls that links cannot take yet */
#define SERVICES_WAITS 2048	 /* WAIT and BARRIER, of this host's clients */
#define SERVICES_BARRIERS 256	 /* of one peer, not answered yet */
#define SERVICES_CLIENTS 65536	 /* per node; more are not told of */
#define SERVICES_CLIENTS_MS 100	 /* changes are told together */
#define SERVICES_MESSAGES 8192	 /* kept for slow links ... */
/* ... but no more bytes, or than two of the largest values; the same for those
 * that come in parts. */
#define SERVICES_MESSAGE_BYTES (4u << 20)
#define SERVICES_PART_MS (30 * 1000)	  /* to the next part of a message */
#define SERVICES_PARTS_MS (5 * 60 * 1000) /* to its last one */
#define SERVICES_DRIFT_MS (5 * 60 * 1000) /* a stamp from beyond is none */

/* How a call ended, for who asked: what he may conclude (kv-sync.7). */
#define SERVICES_ENDS(X)                                                       \
	X(CALL_DONE, "ok")                                                     \
	X(CALL_FAILED, "failed")	/* it could not be run */              \
	X(CALL_NOT_FOUND, "notfound")	/* there is no such command */         \
	X(CALL_DENIED, "denied")	/* that node does not allow it */      \
	X(CALL_TIMEOUT, "timeout")	/* it may still run */                 \
	X(CALL_NO_LINK, "noconnection") /* it may have run */

enum services_end {
#define X(name, text) name,
	SERVICES_ENDS(X)
#undef X
};

/* What the program is told.  Texts are printable. */
struct services_ops {
	/* replica_status() of the replica that the links belong to. */
	void (*look)(void *user, const struct replica_link *l,
	    struct replica_status *out);

	/* Of services_ask: bytes of the answer, to be given back by
	 * services_taken(); then its end, once. */
	void (*answer)(void *user, uint64_t ask, struct kv_slice bytes);
	void (*answered)(void *user, uint64_t ask, enum services_end end,
	    struct kv_slice why);

	/* A peer wants this run; argv borrows.  Negative: it was refused with
	 * services_finish().  stop: nobody waits for it any more; room: there
	 * is some again. */
	void (*run)(void *user, uint64_t job, const char *node,
	    const struct kv_slice *argv, size_t argc, uint32_t deadline_ms);
	void (*stop)(void *user, uint64_t job);
	void (*room)(void *user, uint64_t job);

	/* Published elsewhere; hand it to the subscribers here. */
	void (*message)(void *user, const struct frame_message *m);
	/* Milliseconds since 1970. */
	uint64_t (*wall_ms)(void *user);

	/* Of services_wait and services_barrier: so many peers have it; a
	 * barrier's missing node, NULL when it holds. */
	void (*settled)(void *user, uint64_t wait, unsigned count,
	    const char *missing);
};

struct services_config {
	uint64_t inc; /* of this run */
	size_t value_max;
	struct sync_store store;
	const struct services_ops *ops;
	void *user;
};

struct services;

KV_CHECKED int services_new(const struct services_config *config,
    struct services **out);
void services_free(struct services *s);

/* What a replica is given. */
const struct replica_services *services_hooks(const struct services *s);

/* Once in a turn, before replica_send: what is due.  *next_ms is lowered to
 * when there will be more. */
KV_CHECKED int services_turn(struct services *s, uint64_t now_ms,
    uint64_t *next_ms);

/* Does a name fit a whole one: foo@host, or what stands before the '@'? */
bool services_name_fits(const char *name, const char *whole);

/* ---- calls ---- */

/* Have it run by a node.  argv[0] says how, argv[1] is the command; see
 * man kv-sync.7.  deadline_ms: 0 for what ends when services_drop() is called.
 * KV_ENOTFOUND: no link to such a node; KV_EBUSY: too many; KV_ETOOBIG. */
struct services_request {
	const char *node;
	const struct kv_slice *argv;
	size_t argc;
	uint32_t deadline_ms;
};
KV_CHECKED int services_ask(struct services *s,
    const struct services_request *r, uint64_t now_ms, uint64_t *ask);
/* n bytes of the answer were handed on; out of turn too. */
void services_taken(struct services *s, uint64_t ask, size_t n);
/* Nobody waits for it any more; out of turn too. */
void services_drop(struct services *s, uint64_t ask);

/* How many bytes of its answer a job may add now; out of turn too. */
size_t services_room(const struct services *s, uint64_t job);
KV_CHECKED int services_reply(struct services *s, uint64_t job,
    struct kv_slice bytes);
/* No more will come; why goes with a class that is not REPLY_OK. */
void services_finish(struct services *s, uint64_t job,
    enum frame_reply_class class, const char *why);

/* ---- presence ---- */

/* A client of this node is there, or has another name; or is gone.  Out of
 * turn too. */
KV_CHECKED int services_client(struct services *s, const struct item_client *c);
void services_client_gone(struct services *s, uint64_t id);

struct services_presence {
	const char *node; /* NULL: this one */
	uint64_t inc;	  /* of its run */
	struct item_client client;
};
/* Each client of this node and of those that are linked; a negative code of
 * each() ends it. */
int services_each_client(const struct services *s,
    int (*each)(void *user, const struct services_presence *p), void *user);

/* Whose the name is, of all that have it: the one with the lowest stamp, the
 * same on all nodes that know of the same clients.  out borrows.  KV_ENOTFOUND:
 * nobody's. */
KV_CHECKED int services_holder(const struct services *s, struct kv_slice name,
    struct services_presence *out);

/* ---- messages ---- */

/* Published on this host. */
KV_CHECKED int services_publish(struct services *s,
    const struct frame_message *m);
/* Is there anybody to tell? */
bool services_has_peers(const struct services *s);
/* Would the next one cost no link one that it has not sent yet, or is one link
 * through with them?  The fastest link sets the pace. */
bool services_wants_messages(const struct services *s);
/* To or from links: what could not be kept for them, or had a stamp that cannot
 * be. */
uint64_t services_messages_lost(const struct services *s);

/* ---- waiting ---- */

/* Until `want` peers have all of this host's changes up to seq on their disks,
 * or the time is up.  KV_EBUSY: too many wait. */
KV_CHECKED int services_wait(struct services *s, uint64_t seq, unsigned want,
    uint64_t deadline_ms, uint64_t *wait);

/* Until each of the nodes, and whoever else is linked, has them, and this node
 * has all that they had by then (kv-sync.7). */
KV_CHECKED int services_barrier(struct services *s, uint64_t seq,
    const struct kv_slice *nodes, size_t count, uint64_t deadline_ms,
    uint64_t *wait);

/* Nobody waits any more; out of turn too. */
void services_forget(struct services *s, uint64_t wait);

const char *services_end_text(enum services_end end);

#endif
