/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_SYNCD_H
#define KV_SYNCD_SYNCD_H

/* One node's process for other nodes: sockets around src/sync.
 *
 *	gate	listens; handshakes of strangers
 *	dial	look-up, connect, handshake
 *	peer	an authenticated connection
 *	find	DNS and beacons: more candidates
 *	report	what `kv nodes` shows
 *
 * A turn of the loop reads sockets into buffers; at its end, in one snapshot of
 * the store, frames go into the replica and out of it; then sockets are
 * written. */

#include "conf/conf.h"
#include "engine/feed.h"
#include "io/loop.h"
#include "sync/limits.h"
#include "sync/member.h"
#include "sync/psk.h"
#include "sync/replica.h"
#include "syncd/gather.h"

#define SYNCD_VERSION 1	      /* of the protocol */
#define SYNCD_PEERS_MAX 64    /* authenticated */
#define SYNCD_BYTES_MAX 65536 /* unsent ones of a peer before more is made */
#define SYNCD_BATCH_MAX (4u << 20) /* of one commit, about */

struct clocks;
struct desk;
struct dial;
struct gate;
struct lan;
struct peer;
struct report;
struct rundir;
struct syncd_store;
struct watch;

/* What was said of a node that is not linked; news.c. */
#define NEWS_TOLD_MAX 64
struct news_told {
	char name[FRAME_NAME_MAX + 1]; /* or where one without came from */
	uint32_t kinds;		       /* bits of enum replica_event_kind */
	uint64_t why;		       /* the last protocol error */
	uint64_t ms;
};

struct syncd {
	struct loop *loop;
	struct engine *engine;
	struct conf *conf;
	struct replica *replica;
	struct syncd_store *adapter;
	struct members *members;
	struct limits *limits;
	struct psk_ring *ring;
	struct rundir *rundir; /* NULL: none */
	struct gate *gate;
	struct watch *watch; /* NULL: no dns */
	struct lan *lan;     /* NULL: no beacons */
	struct report *report;
	struct clocks *clocks;
	struct desk *desk;
	struct dial *dials; /* utlist */
	struct peer *peers; /* utlist */
	size_t peer_count;
	struct feed tail;	 /* where the log ended in the last turn */
	struct gather gather;	 /* are records coming thick and fast? */
	struct loop_source wake; /* from the engine */
	struct timer timer;	 /* of the replica */
	struct timer due;	 /* the next candidate to dial */
	struct timer stop_limit;
	uint64_t seed;
	struct news_told told[NEWS_TOLD_MAX];
	bool turn_wanted; /* something came for the replica */
	bool stopping;
	int rc; /* why the loop was left */
};

/* Milliseconds of the loop's clock, and since 1970. */
uint64_t syncd_now(const struct syncd *s);
struct kv_slice syncd_cluster(const struct syncd *s);

/* Takes conf in any case.  On failure why is one line, or empty when it was
 * logged. */
KV_CHECKED int syncd_open(struct syncd *s, struct loop *loop, struct engine *e,
    struct conf *conf, char *why, size_t size);
void syncd_close(struct syncd *s);

/* Another configuration; takes it. */
void syncd_reload(struct syncd *s, struct conf *conf);

/* Say BYE to all, then leave the loop. */
void syncd_stop(struct syncd *s);

/* Look for candidates to dial, now and when the next one is due. */
void syncd_look(struct syncd *s);

/* What is shown has changed. */
void syncd_changed(struct syncd *s);

#endif
