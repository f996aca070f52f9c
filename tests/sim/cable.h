/* SPDX-License-Identifier: ISC */
#ifndef SIM_CABLE_H
#define SIM_CABLE_H

/* A connection between two replicas: two queues of frames, as plaintext, or
 * through the product's own handshake and channel, cut anywhere. */

#include "base/buf.h"
#include "sync/channel.h"
#include "sync/replica.h"

struct pipe {
	struct buf bytes;
	size_t from;	 /* read up to here */
	unsigned frames; /* not read yet; sealed: 0 or 1 */
	bool is_damaged; /* a bit of it was turned over */
};

struct cable_end {
	unsigned node;
	struct replica_link *link;
	bool is_open;	   /* the replica has the link */
	bool is_ending;	   /* close it when its last frames are out */
	bool is_lost;	   /* gone without a word: the other end waits */
	unsigned cookie;   /* below CABLE_COOKIES */
	bool has_said;	   /* HELLO */
	uint32_t features; /* more than it has, in its HELLO */
	uint32_t pause_ms; /* between two frames that it reads */
	uint64_t reads_ms; /* when it reads on */
};

struct cable {
	bool is_used;
	bool is_sealed;
	struct cable_end end[2];   /* the initiator's first */
	struct pipe pipe[2];	   /* written by that end */
	struct channel channel[2]; /* of that end, sealed only */
};

/* Reset, keeping the memory; fini gives it back. */
void cable_reset(struct cable *c);
void cable_fini(struct cable *c);

/* Stages of changing the secret there and back; of two neighbours (the last one
 * is the first one's) each lets the other in. */
#define CABLE_COOKIES 6

/* Run a handshake with the cookies of the ends, and seal what follows. */
KV_CHECKED int cable_seal(struct cable *c, uint64_t now_ms);

/* One frame of the replica into the pipe: what replica_send() says. */
KV_CHECKED int cable_send(struct cable *c, unsigned end, struct replica *r,
    uint64_t now_ms);

/* A frame of somebody else's making. */
KV_CHECKED int cable_put(struct cable *c, unsigned end, struct kv_slice plain,
    uint64_t now_ms);

/* The next frame for this end, of up to limit bytes that have arrived (sealed
 * only); borrowed until cable_drop(), which takes it away.  KV_EMORE: none;
 * else the channel found it damaged. */
KV_CHECKED int cable_peek(struct cable *c, unsigned end, size_t limit,
    struct channel_frame *out);
void cable_drop(struct cable *c, unsigned end, const struct channel_frame *f);

/* Bytes on the way to this end. */
static inline size_t
cable_waiting(const struct cable *c, unsigned end)
{
	return c->pipe[!end].bytes.len - c->pipe[!end].from;
}

/* Turn a bit over on its way to this end. */
void cable_damage(struct cable *c, unsigned end, uint64_t random);

#endif
