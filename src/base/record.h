/* SPDX-License-Identifier: ISC */
#ifndef KV_BASE_RECORD_H
#define KV_BASE_RECORD_H

/* What a record is, wherever it is kept: in the log (wal/record.h has its
 * bytes there), in the tree (tree/schema.h) or on the wire.  These are values;
 * the slices in them borrow from the place the record was read from. */

#include <stdbool.h>

#include "kv_types.h"

/* The original write: decides which version of a key wins, on every host.
 * tick is a hybrid logical clock (Kulkarni et al. 2014): 48 bits of
 * milliseconds since 1970, 16 bits of counter.  inc is the incarnation: 64
 * random bits, one per run of a node. */
struct stamp {
	uint64_t tick;
	uint64_t inc;
};

static inline int
stamp_compare(struct stamp a, struct stamp b)
{
	if (a.tick != b.tick)
		return a.tick < b.tick ? -1 : 1;
	return (a.inc > b.inc) - (a.inc < b.inc);
}

static inline uint64_t
stamp_ms(struct stamp s)
{
	return s.tick >> 16;
}

/* Sums over the live records of a bucket.  The digest covers those without a
 * deadline: a sum of SipHash-128 over (bucket, key, stamp). */
struct totals {
	uint64_t keys;
	uint64_t bytes; /* of keys and values */
	uint64_t digest[2];
};

enum record_type {
	RECORD_PUT = 1,	     /* key has value */
	RECORD_TOMB = 2,     /* key was deleted, or expired */
	RECORD_BUCKET = 3,   /* key is a bucket's name, value a bucket row */
	RECORD_POSITION = 4, /* sync: key and value are sync's own */
	RECORD_MESSAGE = 5,  /* log only, see enum message_kind */
	RECORD_END = 0xee,   /* log only: last of its segment */
};

/* What a message is; where other records have their bucket's id. */
enum message_kind {
	MESSAGE_CHANNEL = 0, /* PUBLISH; the key is the channel */
	MESSAGE_MONITOR = 1, /* what a client did; for MONITOR */
};

enum record_flag {
	RECORD_MORE = 1,     /* log only: the batch goes on */
	RECORD_FOREIGN = 2,  /* stamp is not (seq, own incarnation) */
	RECORD_DEADLINE = 4, /* has a deadline */
	RECORD_RELAY = 8,    /* sync: hand on although not our own */
	RECORD_EXPIRED = 16, /* a tombstone made by a deadline */
	RECORD_LOCAL = 32,   /* of a bucket that never leaves this host */
	RECORD_DROP = 64,    /* log only: a tombstone whose bucket is dropped
			      * next; a drop of keys that have none */
	RECORD_BUILT = 128,  /* its value was put together here: see APPEND */
	RECORD_SHORT = 128,  /* of a tombstone: in a bucket with a ttl_max; not
			      * needed from its deadline on */
};

/* What a record in the log also tells those who follow it. */
enum record_mark {
	RECORD_NEW = 1,	  /* there was nothing of this key before */
	RECORD_AGAIN = 2, /* as one of the records staged just before it: same
			   * cause, type and bucket */
	RECORD_PREV = 4,  /* has a prev; not of the log only */
};

struct record {
	enum record_type type;
	uint8_t flags; /* of enum record_flag */
	uint8_t cause; /* log only: why it was written, 0: unknown */
	uint8_t marks; /* log only, but for PREV: of enum record_mark */
	uint64_t seq;  /* local order */
	struct stamp stamp;
	uint64_t bid;	   /* bucket id */
	uint64_t deadline; /* ms since 1970, 0: none */
	/* With RECORD_PREV: the last one of another host that its writer had
	 * before it; zero: none. */
	struct stamp prev;
	struct kv_slice key;
	struct kv_slice value; /* empty for a tombstone */
	uint64_t end; /* log position after it; 0: read from the tree */
};

/* May its key be empty?  Not a bucket's name, a channel, sync's positions. */
static inline bool
record_may_be_unnamed(const struct record *r)
{
	return r->type == RECORD_PUT || r->type == RECORD_TOMB;
}

static inline bool
record_is_expired(const struct record *r, uint64_t now_ms)
{
	return r->deadline != 0 && r->deadline <= now_ms;
}

/* A bucket.  Two max-registers: it lives while created > dropped, and hides
 * every record stamped at or before dropped. */
struct bucket {
	uint64_t bid;
	struct stamp created;
	struct stamp dropped;
	uint32_t options; /* of enum bucket_option */
	uint64_t seq;	  /* of the newest row */
};

enum bucket_option {
	BUCKET_STAYS = 1,     /* made by CREATE: lives on when empty */
	BUCKET_LOCAL = 2,     /* this host only */
	BUCKET_DATABASE = 4,  /* db0..db15: one record per key of a database */
	BUCKET_CONFLICTS = 8, /* conflict_log: what loses is kept for a look */
};

/* The rest of the options is a number: ttl_max in seconds, 0 for none.  In such
 * a bucket every record ends by itself, so long after its stamp at the latest,
 * whatever it says itself; hence what is older than that, and as much as clocks
 * may differ, is dead on every host. */
#define BUCKET_FLAGS 0xffu
#define BUCKET_TTL_SHIFT 8
#define BUCKET_TTL_MAX 0xffffffu /* seconds: 194 days */
#define BUCKET_DRIFT_MS (5 * 60 * 1000u)

/* Buckets whose names begin so are the server's own: shown to nobody, and
 * not to be had under their names. */
#define BUCKET_HIDDEN '\x01'

static inline bool
bucket_is_hidden(struct kv_slice name)
{
	return name.len > 0 && name.data[0] == BUCKET_HIDDEN;
}

static inline bool
bucket_is_live(const struct bucket *b)
{
	return stamp_compare(b->created, b->dropped) > 0;
}

static inline uint64_t
bucket_ttl_ms(const struct bucket *b)
{
	return (uint64_t)(b->options >> BUCKET_TTL_SHIFT) * 1000;
}

/* Of a ttl_max in ms, not 0, what it is in options.  False: it cannot be. */
static inline bool
bucket_put_ttl(uint64_t ms, uint32_t *options)
{
	if (ms % 1000 != 0 || ms == 0 || ms / 1000 > BUCKET_TTL_MAX)
		return false;
	*options |= (uint32_t)(ms / 1000) << BUCKET_TTL_SHIFT;
	return true;
}

/* The deadline that a record written at ms has in this bucket, where it asks
 * for one (0: none). */
static inline uint64_t
bucket_deadline(const struct bucket *b, uint64_t ms, uint64_t deadline)
{
	uint64_t ttl = bucket_ttl_ms(b);

	if (ttl == 0 || (deadline != 0 && deadline <= ms + ttl))
		return deadline;
	return ms + ttl;
}

/* The same of a record as a whole; for a tombstone it is the end of whatever
 * it may be keeping out. */
static inline void
bucket_limit(const struct bucket *b, uint64_t ms, struct record *r)
{
	if (bucket_ttl_ms(b) == 0)
		return;
	if (r->type == RECORD_TOMB) {
		r->flags |= RECORD_SHORT;
		r->deadline = 0;
	}
	r->deadline = bucket_deadline(b, ms, r->deadline);
	r->flags |= RECORD_DEADLINE;
}

static inline bool
bucket_shows(const struct bucket *b, struct stamp stamp)
{
	return stamp_compare(stamp, b->dropped) > 0;
}

#endif
