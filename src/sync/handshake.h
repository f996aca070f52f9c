/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_HANDSHAKE_H
#define KV_SYNC_HANDSHAKE_H

/* Three messages that prove both ends know the cookie and give them keys
 * (man kv-sync.7, suite 1).
 *
 *	M1  I->R  64  "KVS1" suite generation vmin vmax | sid 24 | Ya 32
 *	M2  R->I  96  "KVR1" suite generation vmin vmax | Yb 32 | tagR 32 |
 *		      secretstream header 24
 *	M3  I->R  56  tagI 32 | secretstream header 24
 *
 * All sizes are fixed and nothing of variable length is read before both tags
 * verify.  A failure is told to the caller, never to the peer: close without
 * a byte.
 *
 *	dial	handshake_dial() makes M1; feed M2, send M3, the session is there
 *	accept	feed M1: the step says `asked`; if the limits allow,
 *		handshake_answer() makes M2; feed M3, the session is there
 *
 * No clock and no memory of its own.  Random bytes are libsodium's. */

#include <assert.h>
#include <sodium.h>

#include "sync/psk.h"

#define HANDSHAKE_M1 64
#define HANDSHAKE_M2 96
#define HANDSHAKE_M3 56
#define HANDSHAKE_REPLY_MAX HANDSHAKE_M2
#define HANDSHAKE_HEADER 8
#define HANDSHAKE_SID 24
#define HANDSHAKE_CLUSTER_MAX 255

/* Why it failed, for the local log. */
#define HANDSHAKE_REASONS(X)                                                   \
	X(HANDSHAKE_FINE, "nothing wrong")                                     \
	X(HANDSHAKE_MAGIC, "not a kv node")                                    \
	X(HANDSHAKE_SUITE, "another cipher suite")                             \
	X(HANDSHAKE_GENERATION, "cookie generation unknown here")              \
	X(HANDSHAKE_VERSION, "no protocol version in common")                  \
	X(HANDSHAKE_POINT, "invalid curve point")                              \
	X(HANDSHAKE_TAG, "other cookie or cluster, or altered on the way")     \
	X(HANDSHAKE_OVER, "handshake is over")

enum handshake_reason {
#define X(name, text) name,
	HANDSHAKE_REASONS(X)
#undef X
};

struct handshake_terms {
	struct kv_slice cluster; /* <= HANDSHAKE_CLUSTER_MAX; borrowed until
				  * handshake_fini() */
	uint8_t vmin, vmax;	 /* protocol versions spoken here */
};

/* What both ends have in the end; channel_init() takes it. */
struct handshake_session {
	crypto_secretstream_xchacha20poly1305_state tx, rx;
	uint8_t id[32]; /* the same on both ends, secret */
	uint8_t version;
};

struct handshake_responder {
	uint8_t tag[32]; /* the tagI to come */
	uint8_t key[32]; /* of the stream I->R */
	uint8_t session_id[32];
	crypto_secretstream_xchacha20poly1305_state tx;
};

struct handshake_initiator {
	uint8_t m1[HANDSHAKE_M1];
	uint8_t y[32];
};

enum handshake_state {
	HANDSHAKE_WAIT_M1 = 1,
	HANDSHAKE_ASKED, /* M1 is whole; handshake_answer() is next */
	HANDSHAKE_WAIT_M2,
	HANDSHAKE_WAIT_M3,
	HANDSHAKE_DONE,
	HANDSHAKE_FAILED
};

/* Small, so that a static array of them is what strangers can occupy. */
struct handshake {
	struct psk_ring *ring; /* a reference */
	const struct psk *psk; /* in the ring */
	struct handshake_terms terms;
	uint8_t state;		 /* of enum handshake_state */
	uint8_t reason;		 /* of enum handshake_reason */
	uint8_t have;		 /* bytes of the message being read */
	uint8_t peer_generation; /* as it stood in the header */
	uint8_t peer_vmin, peer_vmax;
	uint8_t in[HANDSHAKE_M2];
	union {
		struct handshake_initiator i;
		struct handshake_responder r;
	} u;
};

static_assert(sizeof(struct handshake) <= 312, "state of a stranger");

struct handshake_step {
	size_t used;	  /* bytes of the input; the rest is for later */
	bool asked;	  /* M1 is here: ask the limits, then answer */
	size_t reply_len; /* send these, 0: nothing */
	uint8_t reply[HANDSHAKE_REPLY_MAX];
	bool done; /* session is set; the caller's to take or to wipe */
	struct handshake_session session;
};

/* Begin; both hold the ring until handshake_fini(). */
void handshake_dial(struct handshake *h, struct psk_ring *ring,
    const struct handshake_terms *terms, uint8_t m1[HANDSHAKE_M1]);
void handshake_accept(struct handshake *h, struct psk_ring *ring,
    const struct handshake_terms *terms);

/* Wipe it; all zeros is fine. */
void handshake_fini(struct handshake *h);

/* Take in bytes of the peer, cut anywhere.
 *
 * KV_OK      something happened, see the step; there may be input left.
 * KV_EMORE   all input is used up and more is needed.
 * else       close: KV_EPROTO not this protocol or a bad point, KV_EVERSION
 *            no version in common, KV_EACCESS wrong cookie, cluster or
 *            generation, KV_ECLOSED fed after its end.  Secrets are wiped. */
KV_CHECKED int handshake_feed(struct handshake *h, struct kv_slice in,
    struct handshake_step *step);

/* The curve work for an M1 that was asked about (100 us); the reply is M2.
 * From here on a peer that goes away has had one guess. */
KV_CHECKED int handshake_answer(struct handshake *h,
    struct handshake_step *step);

const char *handshake_reason_text(enum handshake_reason reason);

/* One line for the log why it failed, with the numbers of both ends. */
#define HANDSHAKE_EXPLAIN_TEXT 160
void handshake_explain(const struct handshake *h,
    char to[HANDSHAKE_EXPLAIN_TEXT]);

#endif
