/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_SESSION_H
#define KV_WORKER_SESSION_H

/* What a connection means: its protocol, its database, its name. */

#include "proto/line.h"
#include "proto/resp.h"
#include "proto/sniff.h"
#include "serve/conn.h"
#include "worker/worker.h"

enum session_mode {
	MODE_SNIFF,
	MODE_RESP,
	MODE_LINE,
	MODE_DEAF,  /* subscribed: what it sends is dropped */
	MODE_INNER, /* of kv-syncd: its first byte says what follows */
};

enum session_flag {
	SESSION_MUTE = 1,	 /* CLIENT REPLY OFF */
	SESSION_SKIP = 2,	 /* CLIENT REPLY SKIP: this request */
	SESSION_SKIP_NEXT = 4,	 /* ... the one after this */
	SESSION_BLANK = 8,	 /* a blank first line: waiting for more */
	SESSION_BLANK_OVER = 16, /* waited long enough */
	SESSION_GUEST = 128,	 /* has to say the password first */
	SESSION_MONITOR = 256,
	SESSION_PAUSED = 512,	/* its request waits for CLIENT UNPAUSE */
	SESSION_TOLD = 1024,	/* others know that it is here */
	SESSION_NEWS = 2048,	/* ... and are to be told of it anew */
	SESSION_WATCHES = 4096, /* is told who is here */
};

#define SESSION_TEXT_MAX 128 /* a name, a library */

/* What few sessions have. */
struct auth_wait;
struct inner_call;
struct peers;
struct round_uses;

struct session_extra {
	struct session *session;
	struct auth_wait *auth;	   /* its password is being checked */
	struct round_uses *rounds; /* questions to other workers */
	struct peers *peers;	   /* a question to kv-syncd */
	struct inner_call *call;   /* it is one of another host */
	struct session_extra *prev_monitor, *next_monitor;
	uint64_t monitor_after; /* told of nothing up to this seq */
	struct timer look;	/* at what SAVE waits for */
	uint64_t save_to;	/* log position that SAVE waits for, or 0 */
	uint64_t save_limit_ns;
	struct timer blank;
	char inner_mark[INNER_MARK];
	uint64_t named_us; /* since when it has the name; 0: none */
	char name[SESSION_TEXT_MAX];
	char library[SESSION_TEXT_MAX];
	char library_version[SESSION_TEXT_MAX];
	char bucket[KV_BUCKET_MAX + 1]; /* SELECT name: strings live there */
	size_t bucket_len;
};

struct command;
struct multi;
struct subscriber;
struct pubsub_client;

struct session {
	struct conn conn; /* first: serve allocates it */
	union {
		struct sniffer sniff;
		struct resp_parser resp;
		struct line_parser line;
	} parser;
	uint64_t id;
	uint64_t created_ms;
	uint64_t written; /* seq of its last change that other hosts are told */
	const struct command *last;
	const char *sub; /* of it, or NULL */
	struct session_extra *extra;
	struct subscriber *subscriber;
	struct pubsub_client *pubsub; /* while subscribed to channels */
	struct multi *multi; /* transaction and watched keys, or NULL */
	uint32_t database;
	uint8_t mode;
	uint8_t proto; /* 2 or 3 */
	uint16_t flags;
};

extern const struct serve_handlers session_handlers;

static inline struct session *
session_of(struct conn *c)
{
	return (struct session *)c;
}

static inline struct worker *
session_worker(const struct session *s)
{
	return s->conn.serve->owner;
}

/* Made on first use; NULL when out of memory. */
struct session_extra *session_extra(struct session *s);

/* As after connecting (RESET). */
void session_reset(struct session *s);

/* Parse with another protocol from the next request on. */
void session_mode(struct session *s, enum session_mode mode);

#endif
