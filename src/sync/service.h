/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_SERVICE_H
#define KV_SYNC_SERVICE_H

/* The services' own: what their files share. */

#include <uthash.h>

#include "sync/services.h"
#include "sync/ticks.h"

/* ---- calls ---- */

/* Of ours: a command that a peer is to run. */
struct ask {
	uint64_t id;
	struct service_peer *peer; /* NULL: the link is gone */
	struct buf args;	   /* not sent yet from `sent` on */
	size_t sent;
	bool is_sent;
	bool is_dropped; /* a FLOW is to say so, then it goes */
	uint32_t deadline_ms;
	uint64_t due_ms; /* UINT64_MAX: never */
	size_t out;	 /* bytes of the answer that are with the program */
	uint32_t grant;	 /* to be told */
	struct ask *prev, *next;
	UT_hash_handle hh;
};

/* Of a peer: a command that runs here. */
struct job {
	uint64_t id;	/* ours */
	uint64_t their; /* the peer's */
	struct service_peer *peer;
	struct buf answer;
	size_t credit; /* bytes that may be added */
	size_t flying; /* sent, and not taken as far as a FLOW told */
	uint64_t due_ms;
	uint64_t full_ms; /* since when credit is 0 */
	bool is_finished;
	uint8_t class;
	struct job *prev, *next;
	UT_hash_handle hh;
};

/* ---- presence ---- */

struct client {
	uint64_t id;
	uint64_t tick;
	uint64_t version; /* when it changed last; own ones only */
	bool is_gone;
	uint8_t len;
	char name[ITEM_CLIENT_MAX];
	struct client *prev, *next; /* own ones, by version */
	UT_hash_handle hh;
};

/* ---- messages ---- */

struct message {
	struct buf bytes; /* of the channel, then of the payload */
	size_t channel;
	unsigned from; /* number of the peer it came from, 0: of this host */
	uint64_t inc;  /* of the run that published it, and its stamp there */
	uint64_t tick;
};

/* One that comes in parts; size 0: none. */
struct parts {
	uint64_t inc, tick;
	size_t size, channel;
	struct buf bytes; /* as in struct message; filled as they come */
	uint64_t part_ms; /* it is over if none came until then */
	uint64_t last_ms; /* or if it is not whole by then */
};

/* ---- waiting ---- */

struct wait_member {
	char name[FRAME_NAME_MAX + 1];
	unsigned peer; /* number of the one that is asked; 0: nobody */
	bool is_due;   /* it has the write: ask for its vector */
	bool is_asked;
	bool is_answered;
	bool is_done;
	struct ticks missing; /* what it had and we have not */
};

struct wait {
	uint64_t id;
	uint64_t seq;
	uint64_t deadline_ms;
	unsigned want;
	struct wait_member *members; /* NULL: only counts */
	size_t member_count;
	struct wait *prev, *next;
};

/* A peer's BARRIER that is not answered yet. */
struct barrier_ask {
	uint64_t id;
	uint64_t tick;
};

/* ---- all of them ---- */

struct service_peer {
	struct replica_link *link;
	struct services *services;
	char name[FRAME_NAME_MAX + 1];
	uint64_t inc;
	unsigned number; /* never given twice */
	uint64_t acked;	 /* by its disk, as of this turn */
	unsigned turn;	 /* which service has its say next */

	struct ask *asks; /* utlist, in the order of asking */
	size_t ask_count;
	struct job *jobs; /* utlist, taking turns */
	size_t job_count;
	struct buf args; /* of the CALL whose frames are coming */
	uint64_t args_of;
	bool has_args;

	struct client *clients; /* uthash */
	uint64_t told;		/* version of our clients it has */
	bool is_told;		/* has had the whole list */
	uint64_t tell_ms;

	uint64_t next_message;
	size_t sent; /* bytes of that one's payload */
	struct parts parts;
	bool is_slow; /* it left one unended: nothing waits for another */

	struct barrier_ask barriers[SERVICES_BARRIERS];
	size_t barrier_count;
	struct buf vector; /* the answer that is being sent, from `at` on */
	size_t vector_at;
	uint64_t vector_id;
	bool has_vector;

	struct service_peer *prev, *next;
};

struct services {
	struct services_config config;
	struct replica_services hooks;
	struct service_peer *peers;
	unsigned peer_count;
	unsigned last_number;
	uint64_t last_id;
	uint64_t now_ms;

	struct ask *asks; /* uthash by id */
	size_t ask_bytes; /* their arguments */
	struct job *jobs;

	struct client *clients;	   /* uthash */
	struct client *by_version; /* utlist: oldest change first */
	uint64_t version;	   /* of the last change */
	uint64_t forgot; /* up to which those who are gone were let go */
	size_t gone;

	struct message *messages; /* ring */
	uint64_t message_first, message_end;
	size_t message_bytes;
	uint64_t messages_lost;
	size_t parts_bytes; /* of all that are being put together */
	struct ticks seen;  /* inc -> last tick of a message */

	struct wait *waits;
	unsigned wait_count;
};

/* A new id; never 0. */
static inline uint64_t
service_id(struct services *s)
{
	return ++s->last_id;
}

static inline void
service_sooner(uint64_t *next_ms, uint64_t at_ms)
{
	if (at_ms < *next_ms)
		*next_ms = at_ms;
}

struct service_peer *service_peer_named(const struct services *s,
    const char *name);

/* Each service: a frame of its own, the next frame to send (KV_EAGAIN: none),
 * what is due, a link that came or went. */
int asks_receive(struct service_peer *p, const struct frame *f);
int asks_send(struct service_peer *p, struct buf *out);
void asks_turn(struct services *s, uint64_t *next_ms);
void asks_down(struct service_peer *p);
void asks_fini(struct services *s);

int jobs_receive(struct service_peer *p, const struct frame *f);
int jobs_flow(struct service_peer *p, const struct frame *f);
int jobs_send(struct service_peer *p, struct buf *out);
void jobs_turn(struct services *s, uint64_t *next_ms);
void jobs_down(struct service_peer *p);

int presence_receive(struct service_peer *p, const struct frame *f);
int presence_send(struct service_peer *p, struct buf *out);
void presence_turn(struct services *s, uint64_t *next_ms);
void presence_down(struct service_peer *p);
void presence_fini(struct services *s);

int messages_receive(struct service_peer *p, const struct frame *f);
int messages_send(struct service_peer *p, struct buf *out);
void messages_up(struct service_peer *p);
int messages_init(struct services *s);
void messages_fini(struct services *s);
/* A whole message of a peer; m borrows. */
int messages_take(struct service_peer *p, const struct frame_message *m);
/* Is it news, as far as we can know? */
bool messages_is_new(const struct services *s, uint64_t inc, uint64_t tick);

int parts_receive(struct service_peer *p, const struct frame *f);
void parts_turn(struct services *s, uint64_t *next_ms);
/* What the peer began will not go on. */
void parts_end(struct service_peer *p);
/* Does any link bring one that this run published before? */
bool parts_are_before(const struct services *s, uint64_t inc, uint64_t tick);
/* That one is here: nobody needs to bring it, or one before it, any more. */
void parts_came(struct services *s, uint64_t inc, uint64_t tick);

int waits_answer(struct service_peer *p, const struct frame *f);
int waits_send(struct service_peer *p, struct buf *out);
int waits_turn(struct services *s, uint64_t *next_ms);
void waits_fini(struct services *s);

int barrier_receive(struct service_peer *p, const struct frame *f);
int barrier_send(struct service_peer *p, struct buf *out);

#endif
