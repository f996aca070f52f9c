/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_REPLICA_H
#define KV_SYNC_REPLICA_H

/* One node's part in replication (man kv-sync.7): what it tells each peer and
 * does with what they tell.  No sockets, no clock, no randomness of its own:
 * time is an argument, frames go in and out as plaintext (sync/frame.h), the
 * store is an interface (sync/store.h).  The simulator and kv-syncd run this
 * same code.
 *
 * A turn of the program:
 *
 *	replica_begin		a snapshot of the store, the time
 *	replica_receive		for each frame that came, in order per link, as
 *				long as replica_wants_input
 *	replica_end		commit what is due; timers
 *	replica_send		as often as the link's socket has room
 *	replica_release		the snapshot goes
 */

#include <stdbool.h>

#include "base/buf.h"
#include "sync/frame.h"
#include "sync/store.h"

struct replica;
struct replica_link; /* one authenticated connection */

struct replica_time {
	uint64_t mono_ms; /* never goes back */
	uint64_t wall_ms; /* since 1970 */
};

/* How much at a time.  0: as the design says; tests take smaller ones. */
struct replica_tuning {
	uint32_t mark_ops;    /* between two MARKs: 1000 */
	uint32_t mark_bytes;  /* 256 KiB */
	uint32_t frame_bytes; /* of ops in one frame: what fits */
	uint32_t credit;      /* of each stream: 1 MiB */
	uint32_t batch_bytes; /* of one commit, about: 4 MiB; one value and
			       * mark_bytes may come on top */
	uint32_t range_keys;  /* own keys that one RANGE spans: 8192 */
	uint32_t rows_max;    /* runs of which rows are kept: 65536 */
	uint32_t digest_ms;   /* between two looks at the digests: 5 s */
	bool has_no_digests;  /* none are sent, nothing is repaired */
	uint32_t no_features; /* of enum frame_feature: as a node that does not
			       * know of them */
};

/* What nodes do for each other beside replication hangs on the links by these
 * (sync/services.h).  All are called within a turn. */
struct replica_services {
	void *user;
	/* The link stays: both HELLOs are read, none is to go. */
	void (*up)(void *user, struct replica_link *l);
	/* Only after up; the last call with l. */
	void (*down)(void *user, struct replica_link *l);
	/* CALL, REPLY, FLOW, PRESENCE, MESSAGE, BARRIER, BARRIER_OK; after up.
	 * A negative code: close the link. */
	KV_CHECKED int (*receive)(void *user, struct replica_link *l,
	    const struct frame *f);
	/* Append one frame's plaintext, as replica_send() does; KV_EAGAIN:
	 * nothing to send now.  Takes turns with DATA; what keeps the link
	 * alive goes first. */
	KV_CHECKED int (
	    *send)(void *user, struct replica_link *l, struct buf *out);
};

struct replica_config {
	uint64_t uid;	     /* of the store */
	uint64_t inc;	     /* of this run */
	uint64_t start;	     /* the clock's tick when this run began */
	const char *name;    /* foo@host */
	uint16_t port;	     /* where this node listens for peers */
	uint32_t timeout_ms; /* T: silence that means down */
	size_t value_max;
	uint64_t retention_ms;	 /* of tombstones; 0: no announcement is ever
				* taken for void */
	struct kv_slice lineage; /* rows (inc, end), newest first; copied */
	uint64_t seed; /* of all that must not be the same everywhere */
	struct replica_tuning tuning;

	/* The port where another node of this host listens that has the name
	 * which a peer dialled; 0 when there is none.  NULL: never. */
	uint16_t (*sibling)(void *user, struct kv_slice dialled);
	void *sibling_user;

	const struct replica_services *services; /* NULL: none; borrowed */
};

/* Why things are as they are, for log lines and `kv nodes`. */
#define REPLICA_EVENTS(X)                                                      \
	X(REPLICA_UP, "up") /* HELLO done, link stays */                       \
	X(REPLICA_DOWN, "down")                                                \
	X(REPLICA_REPLACED, "replaced")	  /* same name, other store */         \
	X(REPLICA_DUPLICATE, "duplicate") /* name or store is taken */         \
	X(REPLICA_CLOCK, "clock")	  /* too far off */                    \
	X(REPLICA_RESYNC, "resync")	  /* reading all ranges */             \
	X(REPLICA_IN_STEP, "in-step")	  /* and done with it */               \
	X(REPLICA_DIVERGED, "diverged")	  /* digests differ: repair */         \
	X(REPLICA_NO_ROOM, "no-room")	  /* the store refuses: paused */      \
	X(REPLICA_GIVEN_UP, "given-up")	  /* announced, and nowhere */         \
	X(REPLICA_MANY_RUNS, "many-runs") /* rows of vectors, text has it */   \
	X(REPLICA_REDIRECT, "redirect")	  /* dial that port instead */         \
	X(REPLICA_PROTOCOL, "protocol")	  /* a frame that cannot be */

enum replica_event_kind {
#define X(name, text) name,
	REPLICA_EVENTS(X)
#undef X
};

/* The text of DOWN, with no leave taken, when nothing came for T. */
#define REPLICA_SILENCE "silence"

/* name, uid and inc are set whenever the peer's HELLO was read. */
struct replica_event {
	enum replica_event_kind kind;
	uint64_t link; /* replica_link_number() of it, which may be gone by
			* then; 0: of no link */
	char name[FRAME_NAME_MAX + 1];
	uint64_t uid, inc;
	uint8_t bye;		       /* of enum frame_bye_code, 0: none */
	uint16_t port;		       /* REDIRECT */
	int64_t offset_ms;	       /* CLOCK: theirs - ours */
	char text[FRAME_TEXT_MAX + 1]; /* printable */
};

KV_CHECKED int replica_new(const struct replica_config *config,
    struct sync_store store, struct replica **out);
void replica_free(struct replica *r);

/* ---- links ---- */

/* After the handshake.  dialled: the name we meant (initiator; may be ""): a
 * whole name, or what stands in one before the '@'. */
KV_CHECKED int replica_open(struct replica *r, bool initiator,
    struct kv_slice dialled, struct replica_link **out);
/* Never that of another link of this replica, also when it is gone. */
uint64_t replica_link_number(const struct replica_link *l);
/* The connection is gone or will be; the link with it. */
void replica_close(struct replica *r, struct replica_link *l);
/* Take leave on a link: a BYE of this code; and on all, for this node stops. */
void replica_leave(struct replica *r, struct replica_link *l,
    enum frame_bye_code code);
void replica_stop(struct replica *r);

/* ---- a turn ---- */

KV_CHECKED int replica_begin(struct replica *r, struct replica_time now);

/* One frame's plaintext.  A negative code: send what replica_send() still has
 * (a BYE), then close.  KV_ECLOSED is an end in order. */
KV_CHECKED int replica_receive(struct replica *r, struct replica_link *l,
    struct kv_slice plain);

/* May the peer's next frame be handed over?  False while it is not decided
 * whether the link stays, and while the peer does not take our answers.
 * To be asked before each frame.  Data is held back by credit, not by this: a
 * full disk or the want of a large buffer never keeps a PONG waiting. */
bool replica_wants_input(const struct replica *r, const struct replica_link *l);

/* Commit what is due.  *next_ms: mono time of the next timer. */
KV_CHECKED int replica_end(struct replica *r, uint64_t *next_ms);

/* Append one frame's plaintext to out.  KV_EAGAIN: nothing to send now;
 * KV_ECLOSED: that was all, close the link when it is out. */
KV_CHECKED int replica_send(struct replica *r, struct replica_link *l,
    struct buf *out);

void replica_release(struct replica *r);

/* Events since the last call, oldest first; false when there are no more. */
bool replica_take_event(struct replica *r, struct replica_event *out);

/* ---- looking in, for `kv nodes` ---- */

struct replica_status {
	char name[FRAME_NAME_MAX + 1];
	uint64_t uid, inc;
	bool is_up;
	bool is_resyncing;
	bool is_joining;    /* we have not all that it had when we met, or read
			     * what others wrote from it */
	bool has_no_room;   /* the store refuses what it sends: paused */
	uint64_t behind_ms; /* we of them: age of what we miss, 0: in step */
	uint64_t behind_records; /* the same in records, about; as they said */
	uint64_t unacked;    /* they of us: bytes sent and not acknowledged */
	uint64_t acked_seq;  /* they have all up to here (durable) */
	uint32_t timeout_ms; /* T of this link: the larger of the two */
	uint32_t missed;     /* quarters of it without a word, so far */
	uint32_t rtt_us;
	int64_t offset_ms;		     /* their clock - ours */
	uint64_t sent_bytes, received_bytes; /* of DATA */
	uint64_t sent_ops, received_ops, dropped_ops;
};
void replica_status(const struct replica *r, const struct replica_link *l,
    struct replica_status *out);
/* Bytes that it holds for the link, but for the copy of its vector; NULL: those
 * that belong to no link. */
size_t replica_held(const struct replica *r, const struct replica_link *l);
struct replica_link *replica_next_link(const struct replica *r,
    const struct replica_link *after);

#endif
