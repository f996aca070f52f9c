/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_PEER_H
#define KV_SYNCD_PEER_H

/* An authenticated connection: socket, channel, buffers, and the replica's
 * link.  Bytes wait in two bounded buffers; when one is full, the socket is
 * not read, or the replica not asked. */

#include "sync/channel.h"
#include "syncd/syncd.h"

enum peer_state {
	PEER_OPEN,
	PEER_CLOSING,	/* a BYE is on its way out */
	PEER_LINGERING, /* it is out; wait for the other end */
	PEER_DEAD,	/* to be freed after the turn */
};

struct peer {
	struct peer *prev, *next; /* utlist */
	struct syncd *s;
	struct loop_source source;
	struct timer linger;
	struct channel channel;
	struct replica_link *link; /* NULL once it was given back */
	uint64_t number;	   /* what link was: events tell it */
	struct buf in, out;
	size_t in_at, out_at;	/* of the bytes dealt with */
	struct member *dialled; /* whom we dialled, until that is decided */
	char address[MEMBER_ADDRESS_TEXT];
	enum peer_state state;
	enum member_reason reason;
	char detail[MEMBER_DETAIL_TEXT];
	bool is_up;
	bool has_ended; /* the other end sends no more */
	bool has_more;	/* for another turn */
	bool has_said_all;
	bool is_kicked; /* to be left in the next turn */
};

/* Takes fd and the session in any case.  rest: what came behind the handshake.
 * dialled: NULL when it dialled us. */
KV_CHECKED int peer_open(struct syncd *s, int fd,
    struct handshake_session *session, struct kv_slice rest,
    struct member *dialled, const char *address);

/* For sockets of handshakes too: no delay, no endless resending. */
KV_CHECKED int peer_tune(const struct syncd *s, int fd);
/* The link is up, and its T known: that is how long the kernel tries. */
void peer_agreed(struct peer *p);

/* In a turn: frames to the replica, and from it. */
void peer_take(struct peer *p);
void peer_give(struct peer *p);

/* The link goes back to the replica; its last events can be taken then. */
void peer_unlink(struct peer *p);
void peer_free(struct peer *p);

#endif
