/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_SUBSCRIBERS_H
#define KV_WORKER_SUBSCRIBERS_H

/* Who listens to which bucket; subscribe.c feeds them.  What was subscribed to
 * is a name: when a bucket of this host alone comes or goes that is called so,
 * those who listen go on with what the name means then. */

#include <uthash.h>
#include <utlist.h>

#include "engine/feed.h"
#include "worker/subscribe.h"

struct subscriber {
	struct session *session;
	struct subscriber *prev, *next;		/* of the same bucket */
	struct subscriber *prev_all, *next_all; /* of replaying */
	struct subscriber *dirty; /* next one with something to send */
	bool is_dirty;
	bool numbered;
	bool replays; /* has a feed of its own */
	uint64_t bid;
	uint64_t after; /* nothing up to this seq */
	struct feed feed;
};

struct subscribed {
	uint64_t bid;
	struct subscriber *list;
	size_t count;
	UT_hash_handle hh;
};

struct feeds {
	struct feed feed; /* of all who do not replay */
	struct subscribed *buckets;
	struct subscriber *replaying; /* by prev_all, next_all */
	struct subscriber *dirty;
	size_t total;
	struct buf text[2]; /* a notification: plain, numbered */
	size_t sent;	    /* bytes handed out in this turn */
};

/* NULL: nobody listens to it. */
struct subscribed *subscribers_find(const struct feeds *f, uint64_t bid);

/* To s->bid, which the caller has set; out of that list again. */
KV_CHECKED int subscribers_enter(struct feeds *f, struct subscriber *s);
void subscribers_leave(struct feeds *f, struct subscriber *s);

/* Does a name mean another bucket from this record on?  Then those who listen
 * to `from` are to listen to `to`. */
bool subscribers_turn(const struct record *r, uint64_t *from, uint64_t *to);

/* KV_ENOMEM: he is where he was. */
KV_CHECKED int subscribers_move(struct feeds *f, struct subscriber *s,
    uint64_t to);

#endif
