/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_CORE_H
#define KV_SYNC_CORE_H

/* What the files of the replication core share: the state of the node, of a
 * link, of the streams on it.  Nobody else includes this.
 *
 *	replica.c   the object, its turns, events; the table of frames
 *	control.c   frames that go before data
 *	link.c      HELLO; which link stays
 *	live.c	    PING, silence, clocks
 *	announce.c  our vector, told to peers
 *	stream.c    sending data: credit, MARKs, frames
 *	push.c	    what is in the stream of our own changes
 *	full.c	    what is in the stream of everything; when to ask for one
 *	receive.c   data that comes in, up to its MARK
 *	commit.c    what is behind a MARK goes to the store; ACKs
 *	range.c	    answers in key order
 *	resync.c    reading ranges: RESYNC and repair
 *	absent.c    what a source had and has no more
 *	forget.c    what was announced and nobody has
 *	digest.c    do we have the same?
 *	held.c	    what a link costs
 *	leaves.c    if not, where do we differ?
 *	left.c	    how many records a peer is behind
 *
 * A claim (a cursor, a row of the vector) is made of what stands in front of a
 * MARK, and is committed with it.  r->vector holds committed rows alone: only
 * those are told to others. */

#include "sync/leaves.h"
#include "sync/mutate.h"
#include "sync/op.h"
#include "sync/outbox.h"
#include "sync/pending.h"
#include "sync/place.h"
#include "sync/replica.h"
#include "sync/ticks.h"
#include "sync/vector.h"

#define CORE_DRIFT_MS (5 * 60 * 1000) /* MAX_DRIFT */
#define CORE_COMMIT_MS 5	      /* grouping, while more comes */
#define CORE_VV_MS 50		      /* between two VV frames */
#define CORE_LARGE (1u << 20)	      /* op buffers of which there are few */
#define CORE_LINKS_MAX 64
#define CORE_INCS_MAX 65536
#define CORE_INCS_MANY 4096		 /* worth a warning */
#define CORE_TIMEOUT_MS (10 * 60 * 1000) /* T, whatever a HELLO says */
#define CORE_OWNERS 128			 /* names that are remembered */
#define CORE_NEVER UINT64_MAX

#define CORE_STREAMS (STREAM_RANGE + 1) /* [0] is not used */

/* One stream to a peer. */
struct sender {
	bool is_open;
	bool is_large;	/* has a large buffer */
	unsigned pool;	/* of which pool it is */
	bool has_ended; /* FULL, RANGE: END is written */
	struct op_writer writer;
	struct buf out; /* ops; of these `sent` bytes went in frames */
	size_t sent;
	struct sync_cursor at;
	/* Where older versions were left out: an ACK of `whole` or more says
	 * that the peer has all up to there; of less, that it has all up to
	 * `covered` once it is covered_at. */
	uint64_t whole, covered, covered_at;
	uint64_t credit;
	uint64_t ops, bytes, passed; /* since the last MARK */
	uint64_t marked;  /* highest cursor of a MARK: more cannot be acked */
	uint64_t acked;	  /* highest cursor of an ACK, or where it began */
	uint64_t claimed; /* head of the last END */
};

/* The answer to a RANGE, beside its sender. */
struct answer {
	uint64_t bid, hi_bid;
	struct buf key, hi;   /* where it is, where it ends */
	struct bucket bucket; /* of bid, as it was told */
	bool is_after, is_begun, is_repair, has_mask;
	struct leaf_mask mask; /* what of it is asked for */
	uint64_t head;	       /* the tree's, when this piece of it began */
	struct ticks told, told_purged;
};

/* One stream from a peer. */
struct receiver {
	bool is_open;
	bool is_large;	    /* has one of the few large buffers */
	bool is_large_done; /* and what it was for is in the batch */
	bool is_ended;	    /* END is in the batch */
	bool is_marked;	    /* a MARK is in the batch: ACK after commit */
	struct op_reader reader;
	struct pending stage; /* since the last MARK */
	struct ticks rows;    /* FULL, RANGE: the sender's vector */
	struct buf parked;    /* came during a RESYNC from another source */
	uint64_t granted;     /* bytes that may still come */
	uint64_t extra;	      /* of these, granted for a large op */
	uint64_t ready_extra;
	uint64_t held;	 /* bytes since the last MARK */
	uint64_t ready;	 /* bytes in the batch */
	uint64_t cursor; /* of the last MARK */
	uint64_t acked;
	uint64_t waiting, waiting_at; /* ACK that is not durable: cursor and
				       * position; 0: none */
	uint64_t latest, latest_at;
	uint64_t owed_ms; /* since when the peer could have sent more */
};

enum link_state {
	LINK_NEW,  /* waits for HELLO */
	LINK_HELD, /* waits for what the old link says */
	LINK_UP,
	LINK_CLOSING
};

struct replica_link {
	struct replica_link *next;
	uint64_t number;
	enum link_state state;
	bool is_initiator;
	bool has_hello;
	bool has_said; /* ours */
	bool is_misdialled;
	bool is_redirected; /* it told us where to dial instead */
	bool is_timed;	    /* heard_ms counts: it was there in a turn */
	char dialled[FRAME_NAME_MAX + 1];
	struct outbox outbox;
	uint64_t heard_ms, sent_ms;

	/* from its HELLO */
	char name[FRAME_NAME_MAX + 1];
	uint64_t uid, inc, start, head;
	uint32_t features; /* that both know */
	struct item_row lineage[FRAME_LINEAGE_MAX];
	size_t lineage_count;
	uint32_t timeout_ms;

	/* liveness */
	uint64_t ping_token, ping_ms;  /* the one that is out; 0: none */
	uint64_t held_until_ms, probe; /* HELD: the old link's PING */
	uint32_t missed;	       /* quarters of T without a word */
	uint32_t missed_now;	       /* of these in the present silence */
	uint32_t rtt_us;
	int64_t offset_ms;
	bool has_warned;

	/* what it has, and what we told it that we have */
	struct ticks vv;
	uint64_t rows_due_ms; /* look then for rows of vv above ours */
	uint64_t told_version, told_head, told_ms;

	/* streams */
	struct sender to[CORE_STREAMS];
	struct answer answer;
	struct receiver from[CORE_STREAMS];
	uint64_t data_ms; /* of the last DATA of any of them */
	unsigned turn;	  /* of the streams in sending */
	bool is_services_turn;
	bool needs_resync; /* it said so */
	bool has_filled;   /* its ranges were read into a store of nothing */
	uint64_t resync_next_ms, resync_wait_ms; /* of one more from it */
	bool needs_sub;				 /* it stopped its own stream */
	uint64_t left; /* records that we have not, it said */
	uint64_t told_left, left_told_ms; /* that it has not, we said */
	uint64_t left_since_ms;		  /* it is behind since; 0: not */
	uint64_t range_ops;		  /* records of ranges we sent */
	uint64_t lazy_ms; /* since when its head is past our cursor */
	uint64_t acked_seq;

	/* digests */
	uint64_t vv_hash[2]; /* at the first mismatch */
	uint64_t mismatch_ms;
	bool has_mismatch;
	bool is_digest_long;		      /* more rows than are kept */
	uint64_t digest_head, digest_version; /* our vector, when we sent it */
	uint64_t digest_next_ms;	      /* to send it again; 0: no */
	uint64_t repair_wait_ms; /* grows while repair is in vain */
	struct buf digest;	 /* rows of frames with MORE */
	struct leaf_scan leaves; /* it asked for sums */
	uint64_t leaves_id;

	uint64_t sent_bytes, received_bytes, sent_ops, received_ops;
	uint64_t dropped_ops;
};

/* What is committed next. */
struct batch {
	struct pending stage;
	struct vector rows; /* whole rows */
	size_t new_rows;    /* of these, that r->vector has not yet */
	size_t done;	    /* of stage's changes: in the store already */
	size_t done_rows;
	struct buf note;
	bool has_note;
	bool is_waiting; /* since since_ms */
	bool is_urgent;	 /* a peer's log ends with it */
	bool is_refused; /* the store had no room: try again */
	uint64_t since_ms, retry_ms;
};

enum resync_state {
	RESYNC_NONE,
	RESYNC_WAITING,	 /* for a source */
	RESYNC_SETTLING, /* our tree catches up */
	RESYNC_READING,
};

struct resync {
	enum resync_state state;
	bool is_repair;
	bool is_blank; /* there was nothing here when it began: no need to
			* settle */
	bool is_begun; /* something of a RESYNC is committed, or will be */
	struct replica_link *source;
	uint64_t settle, id;
	struct place lo, hi, last; /* done up to lo; the RANGE's end;
				    * the last record that came */
	bool has_last;
	bool is_past;  /* lo was in the piece before: the next is behind it */
	bool has_mask; /* a repair of some leaves */
	struct leaf_mask mask;
	bool is_done; /* the last piece is in the batch */
	bool is_vain; /* and allows no claims: once more, from the start */
	unsigned vain_count;
	uint64_t source_inc, source_head, last_head; /* inc 0: several */
	bool has_vv;
	struct ticks vv, purged;    /* minimum and maximum over sources */
	struct ticks source_purged; /* the answer's; its vv is in from[] */
	struct pending erased;
};

struct owner {
	char name[FRAME_NAME_MAX + 1];
	uint64_t uid;
};

struct replica {
	struct replica_config config;
	char name[FRAME_NAME_MAX + 1];
	struct buf lineage;
	struct sync_store store;
	struct replica_time now;
	uint64_t head; /* the store's, in this turn */
	uint64_t purges;
	uint64_t random;
	bool is_loaded;
	bool wants_turn; /* at once: something waits for what is free now */
	struct vector vector;
	uint64_t forget_ms; /* when to look for announcements that are void */
	size_t runs_told;   /* of the events about their number */
	struct batch batch;
	struct replica_link *links;
	uint64_t last_number;	   /* of a link */
	struct replica_link *pull; /* the one we pull from */
	struct resync resync;
	struct repair repair;
	struct buf scratch;
	struct owner owners[CORE_OWNERS];
	unsigned next_owner;
	/* Large buffers that are taken: of streams that may be paused, and of
	 * ranges, which must not wait for those. */
	unsigned large_in[2], large_out[2];
	uint64_t digest_head, digest_version; /* our vector, and since when */
	uint64_t digest_ms;
	struct buf digest;

	struct replica_event *events; /* a ring */
	size_t event_first, event_count;
};

/* ---- replica.c ---- */

/* Queue an event about a link; text may be NULL. */
struct replica_event *core_event(struct replica *r,
    enum replica_event_kind kind, const struct replica_link *l);

/* May there be a row for inc?  All rows of the node have one bound: what is
 * said of a run beyond it is passed by, as if it had not been said. */
bool core_has_room(const struct replica *r, uint64_t inc);
/* The most rows that a node may have: there are some to spare for the runs that
 * link with it. */
size_t core_rows_max(const struct replica *r);
/* Say it when they are many. */
void core_count_runs(struct replica *r);

/* What we have of inc: our own run is at head. */
uint64_t core_vv(const struct replica *r, uint64_t inc);

/* Nothing later than this is taken from peers. */
uint64_t core_drift_limit(const struct replica *r);

/* Can a peer know that inc wrote up to this tick?  Not of the far future, and
 * of our own run no more than there is: who has more knows of a life of this
 * host that it was put back from.  Refuses the link if not. */
KV_CHECKED int core_check_claim(struct replica *r, struct replica_link *l,
    uint64_t inc, uint64_t tick);

/* Is there a large buffer? */
bool core_has_large(const unsigned used[2], unsigned pool);

static inline void
core_sooner(uint64_t *next, uint64_t at)
{
	if (at < *next)
		*next = at;
}

/* ---- link.c ---- */

/* Our HELLO, once: the first frame of all. */
KV_CHECKED int link_say(struct replica *r, struct replica_link *l);
KV_CHECKED int link_hello(struct replica *r, struct replica_link *l,
    const struct frame *f);
KV_CHECKED int link_bye(struct replica *r, struct replica_link *l,
    const struct frame *f);
KV_CHECKED int link_redirect(struct replica *r, struct replica_link *l,
    const struct frame *f);
/* Say BYE and be done with it.  Always a negative code: KV_EPROTO for
 * BYE_PROTOCOL, else KV_ECLOSED. */
KV_CHECKED int link_refuse(struct replica *r, struct replica_link *l,
    enum frame_bye_code code, const char *text);
/* The same from elsewhere than the link's own frame. */
void link_end(struct replica *r, struct replica_link *l,
    enum frame_bye_code code, const char *text);
/* A link that waits whether it stays: the old one answered or not. */
KV_CHECKED int link_decide(struct replica *r, struct replica_link *l,
    bool old_lives);
/* A link that is up to a run of this inc. */
struct replica_link *link_find_inc(const struct replica *r, uint64_t inc);

/* ---- live.c ---- */

KV_CHECKED int live_ping(struct replica *r, struct replica_link *l,
    const struct frame *f);
KV_CHECKED int live_pong(struct replica *r, struct replica_link *l,
    const struct frame *f);
/* Send a PING now, if none is out; its token. */
KV_CHECKED int live_probe(struct replica *r, struct replica_link *l,
    uint64_t *token);
void live_clock(struct replica *r, struct replica_link *l, uint64_t wall_ms,
    uint64_t rtt_ms);
/* Timers of a link. */
KV_CHECKED int live_timers(struct replica *r, struct replica_link *l,
    uint64_t *next_ms);

/* ---- announce.c ---- */

/* Queue VV, SUB or PULL with the rows that the peer does not know yet. */
KV_CHECKED int announce_rows(struct replica *r, struct replica_link *l,
    enum frame_type type, uint64_t cursor);
KV_CHECKED int announce_due(struct replica *r, struct replica_link *l,
    uint64_t *next_ms);
KV_CHECKED int announce_received(struct replica *r, struct replica_link *l,
    const struct frame *f);
/* Rows of VV, SUB, PULL: check them, take them in. */
KV_CHECKED int announce_learn(struct replica *r, struct replica_link *l,
    struct kv_slice rows);

/* ---- stream.c ---- */

KV_CHECKED int stream_ack(struct replica *r, struct replica_link *l,
    const struct frame *f);
/* Begin to send from cursor on. */
void stream_begin(struct replica *r, struct replica_link *l,
    enum frame_stream kind, uint64_t cursor);
void stream_end(struct replica *r, struct sender *s);
/* Stop, and ask the peer to read ranges. */
KV_CHECKED int stream_resync(struct replica *r, struct replica_link *l,
    enum frame_stream kind);
KV_CHECKED int stream_put(struct replica *r, struct replica_link *l,
    struct sender *s, const struct op *op);
/* A MARK of these flags, cursor and head. */
KV_CHECKED int stream_mark(struct replica *r, struct replica_link *l,
    struct sender *s, struct op *mark);
bool stream_mark_is_due(const struct replica *r, const struct sender *s);
/* Is there room for this op now? */
bool stream_has_room(const struct replica *r, const struct sender *s,
    const struct op *op);
/* VVROWs above those in `told`; what was told of an answer is noted there. */
KV_CHECKED int stream_rows(struct replica *r, struct replica_link *l,
    struct sender *s, const struct ticks *rows, struct ticks *told);
/* May the peer have missed a tombstone that is gone here? */
bool stream_peer_missed(const struct replica *r, const struct replica_link *l);
/* Append one frame; KV_EAGAIN: none. */
KV_CHECKED int stream_send(struct replica *r, struct replica_link *l,
    struct buf *out);
/* One op for an item of the store. */
struct op stream_op(const struct sync_item *item);

/* ---- push.c, full.c, range.c: what is in the streams ---- */

/* Write ops until there is a frame of them; KV_EAGAIN: no more now. */
/* The next item in the order by seq that `wants` lets through, as an op: into
 * the stream.  KV_ENOTFOUND at the end of the log; KV_OK also for a MARK. */
typedef bool stream_filter(const struct replica *r,
    const struct replica_link *l, const struct sync_item *item);
KV_CHECKED int stream_next(struct replica *r, struct replica_link *l,
    struct sender *s, stream_filter *wants);
KV_CHECKED int push_fill(struct replica *r, struct replica_link *l);
KV_CHECKED int push_sub(struct replica *r, struct replica_link *l,
    const struct frame *f);
KV_CHECKED int full_fill(struct replica *r, struct replica_link *l);
KV_CHECKED int full_pull(struct replica *r, struct replica_link *l,
    const struct frame *f);
/* Pull, if there is a reason. */
KV_CHECKED int full_timers(struct replica *r, uint64_t *next_ms);
KV_CHECKED int range_fill(struct replica *r, struct replica_link *l);
KV_CHECKED int range_request(struct replica *r, struct replica_link *l,
    const struct frame *f);
/* The same of these leaves alone. */
KV_CHECKED int range_leaves(struct replica *r, struct replica_link *l,
    uint64_t id, const struct leaf_mask *mask);
void range_free(struct answer *a);

/* ---- receive.c ---- */

KV_CHECKED int receive_data(struct replica *r, struct replica_link *l,
    const struct frame *f);
/* All up to a MARK of this cursor is in the batch. */
void receive_marked(struct replica *r, struct receiver *from, uint64_t cursor);
KV_CHECKED int receive_resync(struct replica *r, struct replica_link *l,
    const struct frame *f);
/* A new stream is asked for. */
void receive_begin(struct replica *r, struct replica_link *l,
    enum frame_stream kind);
/* So many bytes more may come. */
void receive_grant(const struct replica *r, struct receiver *from,
    uint64_t bytes);
void receive_end(struct replica *r, struct replica_link *l,
    enum frame_stream kind);
/* Read what came while a RESYNC was open; hand large buffers on. */
KV_CHECKED int receive_timers(struct replica *r, struct replica_link *l);
KV_CHECKED int receive_subscribe(struct replica *r, struct replica_link *l);
/* Leave out what is no news by our vector. */
void receive_drop_old(struct replica *r, struct replica_link *l,
    struct pending *s);
/* The batch claims vv and purged of inc, if that is more. */
KV_CHECKED int receive_claim(struct replica *r, uint64_t inc, uint64_t vv,
    uint64_t purged);

/* ---- commit.c ---- */

/* The row as the batch will leave it; its own copy. */
KV_CHECKED int commit_row(struct replica *r, uint64_t inc,
    struct sync_row **out);
/* There is something in the batch. */
void commit_soon(struct replica *r);
/* KV_EAGAIN: the store has no room, the batch stays. */
KV_CHECKED int commit_now(struct replica *r);
KV_CHECKED int commit_timers(struct replica *r, uint64_t *next_ms);

/* ---- left.c ---- */

/* Tell a peer that stays behind by how much. */
KV_CHECKED int left_due(struct replica *r, struct replica_link *l,
    uint64_t *next_ms);
KV_CHECKED int left_received(struct replica *r, struct replica_link *l,
    const struct frame *f);

/* ---- resync.c ---- */

KV_CHECKED int resync_load(struct replica *r);
void resync_free(struct replica *r);
/* Is this stream of this peer not to be read now? */
bool resync_pauses(const struct replica *r, const struct replica_link *l,
    enum frame_stream kind);
KV_CHECKED int resync_timers(struct replica *r, uint64_t *next_ms);
/* A RESYNC of an empty store; no range is being read now. */
void resync_fill(struct replica *r, struct replica_link *l);
/* Read what differs; mask NULL: all there is. */
KV_CHECKED int resync_repair(struct replica *r, struct replica_link *l,
    const struct leaf_mask *mask);
/* Of the RANGE stream: a record came; a row; a MARK. */
KV_CHECKED int resync_record(struct replica *r, const struct sync_item *item);
KV_CHECKED int resync_row(struct replica *r, struct receiver *from,
    const struct op *op);
KV_CHECKED int resync_mark(struct replica *r, struct replica_link *l,
    const struct op *op);
KV_CHECKED int resync_committed(struct replica *r, struct replica_link *l);
void resync_link_gone(struct replica *r, const struct replica_link *l);

/* ---- absent.c ---- */

/* Collect in r->resync.erased what of this piece, whose records stand in
 * `from`, is to be erased here. */
KV_CHECKED int absent_erase(struct replica *r, const struct receiver *from,
    bool is_end);

/* ---- forget.c ---- */

KV_CHECKED int forget_timers(struct replica *r, uint64_t *next_ms);

/* ---- digest.c ---- */

KV_CHECKED int digest_received(struct replica *r, struct replica_link *l,
    const struct frame *f);
KV_CHECKED int digest_timers(struct replica *r, uint64_t *next_ms);

#endif
