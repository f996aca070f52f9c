/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_NOTIFY_H
#define KV_WORKER_NOTIFY_H

/* Keyspace notifications, made of the log's records by the worker whose
 * clients listen.  The letters are those of Redis' notify-keyspace-events, and
 * F for fields, which is ours (man/kv-protocol.7). */

#include "worker/worker.h"

enum notify_flag {
	NOTIFY_KEYSPACE = 1,  /* K */
	NOTIFY_KEYEVENT = 2,  /* E */
	NOTIFY_GENERIC = 4,   /* g */
	NOTIFY_STRING = 8,    /* $ */
	NOTIFY_LIST = 16,     /* l */
	NOTIFY_SET = 32,      /* s */
	NOTIFY_HASH = 64,     /* h */
	NOTIFY_ZSET = 128,    /* z */
	NOTIFY_EXPIRED = 256, /* x */
	NOTIFY_EVICTED = 512, /* e */
	NOTIFY_STREAM = 1024, /* t */
	NOTIFY_MISS = 2048,   /* m */
	NOTIFY_MODULE = 4096, /* d */
	NOTIFY_NEW = 8192,    /* n */
	NOTIFY_FIELD = 16384, /* F */
	NOTIFY_ALL = NOTIFY_GENERIC | NOTIFY_STRING | NOTIFY_LIST | NOTIFY_SET |
	    NOTIFY_HASH | NOTIFY_ZSET | NOTIFY_EXPIRED | NOTIFY_EVICTED |
	    NOTIFY_STREAM | NOTIFY_MODULE, /* A */
};

#define NOTIFY_TEXT_MAX 24

/* Why a change was made, as the log keeps it in a record's cause: the numbers
 * stay what they are. */
enum notify_cause {
	CAUSE_UNKNOWN = 0, /* the line protocol, other hosts, SET and so on */
	CAUSE_INCR = 1,
	CAUSE_INCR_FLOAT = 2,
	CAUSE_APPEND = 3,
	CAUSE_SETRANGE = 4,
	CAUSE_DEADLINE = 5, /* given, taken away; of a key or of fields */
	CAUSE_RENAME = 6,
	CAUSE_MOVE = 7,
	CAUSE_COPY = 8,
	CAUSE_HASH = 9, /* HSET, HDEL and so on */
	CAUSE_HASH_INCR = 10,
	CAUSE_HASH_INCR_FLOAT = 11,
	CAUSE_HASH_DEADLINE = 12, /* fields put with a deadline */
	CAUSE_SET_KEEP = 13,	  /* a new value, the deadline it had */
	CAUSE_REPLACE = 14,	  /* a hash, by the string that comes next */
};

/* Of what a command of this name changes. */
enum notify_cause notify_cause_of(const char *command);

/* False: an unknown letter. */
bool notify_parse(struct kv_slice text, uint32_t *flags);
struct kv_slice notify_format(uint32_t flags, char to[NOTIFY_TEXT_MAX]);

enum notify_kind {
	NOTIFY_OURS,	/* shown to nobody */
	NOTIFY_STRINGS, /* of a database */
	NOTIFY_FIELDS,	/* a hash */
	NOTIFY_BY_NAME, /* deadlines of hashes */
	NOTIFY_BY_TIME,
};

/* Between records: what bucket the last one was of, and a hash whose drop may
 * turn out to be its end by a deadline. */
struct notify {
	uint64_t bid; /* 0: none */
	enum scope scope;
	enum notify_kind kind;
	uint32_t database;
	size_t len;
	char name[KV_BUCKET_MAX]; /* of the hash in its database */
	unsigned dropped;	  /* records since; 0: none */
	uint32_t dropped_database;
	bool replaced; /* a hash, by a string to come */
	struct buf text;
	size_t dropped_at, dropped_len; /* its name in dropped_name */
	char dropped_name[KV_BUCKET_MAX];
};

/* Tell those who listen here what this record means. */
void notify_record(struct worker *w, struct notify *n, const struct record *r);

#endif
