/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_MEMBER_H
#define KV_SYNC_MEMBER_H

/* Who the other nodes are, when to dial them, and why it does not work
 * (man kv-sync.7).  Pure: time is an argument.
 *
 * A candidate is something to dial: an entry of `nodes`, an address out of DNS
 * or of a beacon, or a node that dialled us.  Who it is, only the HELLO tells;
 * of two candidates that turn out to be one store, one has the link and the
 * other is an alias, which is not dialled meanwhile.  Whoever is not linked is
 * dialled for ever: full jitter up to 250 ms times 2^n, at most 30 s, from the
 * beginning again after a link of a minute. */

#include <stdbool.h>

#include "kv_types.h"
#include "sync/reason.h"

#define MEMBERS_MAX 256
#define MEMBER_NAME_TEXT 128
#define MEMBER_HOST_TEXT 64
#define MEMBER_ADDRESS_TEXT 64
#define MEMBER_DETAIL_TEXT 160
#define MEMBER_PAUSE_MIN_MS 250
#define MEMBER_PAUSE_MAX_MS 30000
#define MEMBER_STEADY_MS 60000
#define MEMBER_BRIEF_MS 2000   /* a link that ended sooner was refused */
#define MEMBER_SELF_MS 3600000 /* an address of our own is not dialled */
#define MEMBER_GONE_MS 3600000 /* a node that only dialled us is forgotten */
#define MEMBER_NEVER UINT64_MAX

enum member_source {
	MEMBER_OF_NODES,
	MEMBER_OF_DNS,
	MEMBER_OF_BEACON,
	MEMBER_CAME, /* it dialled us */
};

struct member {
	struct member *prev, *next; /* utlist */
	enum member_source source;
	enum member_state state;
	enum member_reason reason;
	char entry[MEMBER_NAME_TEXT]; /* name@host, as nodes has it, or "" */
	char name[MEMBER_NAME_TEXT];  /* the same, or as its HELLO has it */
	char want[MEMBER_NAME_TEXT];  /* what HELLO must show, "": anything */
	char host[MEMBER_HOST_TEXT];  /* to look up; or an address */
	uint16_t port;		      /* 0: the well-known one */
	uint16_t redirect;	      /* where it was said to listen, 0 */
	bool is_local;		      /* on this host, as nodes says */
	char address[MEMBER_ADDRESS_TEXT]; /* of the link or the last try */
	char detail[MEMBER_DETAIL_TEXT];
	uint64_t uid;		 /* of the store, once its HELLO was seen; 0 */
	uint64_t since_ms;	 /* of the state, or of the reason */
	uint64_t due_ms;	 /* to be dialled */
	uint64_t up_ms;		 /* when the link came up */
	unsigned failures;	 /* since the last steady link */
	const void *link;	 /* the caller's word for its link */
	bool marked;		 /* see members_end */
	enum member_reason told; /* the last one that was news */
	enum member_reason refused; /* so ended the last link, and it was
				     * brief: the next one may, too */
	uint64_t refused_ms;	    /* since when that is so */
};

struct members;

/* self: this node's name. seed: of the jitter, not 0. */
KV_CHECKED int members_new(const char *self, uint64_t seed,
    struct members **out);
void members_free(struct members *m);

/* The list of `nodes`, now and after each reload.  This node's own entry is
 * not one to dial.  Who is no longer in it is not dialled any more; a live
 * link stays.  KV_ETOOBIG: the rest was left out. */
KV_CHECKED int members_set_nodes(struct members *m, struct kv_slice list,
    uint64_t now_ms);

/* The port of our own entry, 0 when it has none. */
uint16_t members_own_port(const struct members *m);

/* All addresses of a source, as they are now: begin, add each, end.  Who was
 * not added again goes, unless he is linked. */
void members_begin(struct members *m, enum member_source source);
KV_CHECKED int members_add(struct members *m, enum member_source source,
    const char *address, uint16_t port, uint64_t now_ms);
void members_end(struct members *m, enum member_source source);

/* The next candidate to dial now, NULL; and when there will be one. */
struct member *members_due(struct members *m, uint64_t now_ms);
uint64_t members_next_ms(const struct members *m);

/* What became of it.  True: it is news, worth a line in the log. */
void member_dials(struct member *c, const char *address);
bool member_failed(struct members *m, struct member *c,
    enum member_reason reason, const char *detail, uint64_t now_ms);
/* It is ourselves. */
bool member_is_self(struct member *c, uint64_t now_ms);
/* It listens elsewhere: dial that next, at once. */
void member_redirected(struct member *c, uint16_t port, uint64_t now_ms);

/* A link and who is at its other end, as its HELLO has it. */
struct member_link {
	const void *link;    /* the caller's word for it, not NULL */
	const char *address; /* copied, as name is */
	const char *name;
	uint64_t uid; /* of the store */
};

/* A link is up: of a candidate that was dialled, or NULL: it dialled us.
 * Returns whose link it is from now on; NULL without memory, or when there are
 * MEMBERS_MAX. */
struct member *members_up(struct members *m, struct member *dialled,
    const struct member_link *up, uint64_t now_ms);
/* The link is gone; nothing when another one has taken its place. */
bool members_down(struct members *m, const void *link,
    enum member_reason reason, const char *detail, uint64_t now_ms);

/* Whoever was refused before (c->refused) is not said to be up when the link
 * comes up, but when this returns it: the link has lasted.  NULL: none. */
struct member *members_proved(struct members *m, uint64_t now_ms);

/* All that are worth showing, in order; NULL to begin. */
const struct member *members_next(const struct members *m,
    const struct member *after);
size_t members_count(const struct members *m);

#endif
