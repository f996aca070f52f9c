/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_FRAME_H
#define KV_SYNC_FRAME_H

/* The frames of a link, as plaintext: `u8 type | body`, numbers big-endian
 * (man kv-sync.7).  Names, texts and rows in a decoded frame borrow from what
 * was decoded.
 *
 * A list too long for one frame goes on in the next one of the same type: all
 * but the last have FRAME_MORE.  Types from 0x80 on are extensions: who does
 * not know one ignores it. */

#include <stdbool.h>

#include "base/buf.h"

#define FRAME_MAX 65518 /* type and body; what a channel carries */
#define FRAME_NAME_MAX 63
#define FRAME_LINEAGE_MAX 64
#define FRAME_TEXT_MAX 255
#define FRAME_DATA_MAX (FRAME_MAX - 1)

enum frame_type {
	FRAME_HELLO = 1,      /* first in each direction */
	FRAME_VV = 2,	      /* what I have; coalesced, 20 a second at most */
	FRAME_SUB = 3,	      /* send me your own changes from here on */
	FRAME_RESYNC = 4,     /* you may have missed a purged delete */
	FRAME_PULL = 5,	      /* send me everything from here on */
	FRAME_DATA_OWN = 6,   /* ops that answer SUB */
	FRAME_DATA_FULL = 7,  /* ops that answer PULL */
	FRAME_RANGE = 8,      /* send me a range in key order */
	FRAME_DATA_RANGE = 9, /* ops that answer RANGE */
	FRAME_ACK = 10,
	FRAME_DIGEST = 11,
	FRAME_BARRIER = 12,
	FRAME_BARRIER_OK = 13,
	FRAME_PING = 16,
	FRAME_PONG = 17,
	FRAME_REDIRECT = 18, /* the name you dialled listens there */
	FRAME_CALL = 32,
	FRAME_REPLY = 33,
	FRAME_PRESENCE = 34,
	FRAME_MESSAGE = 35, /* of PUBLISH; not kept, not repeated */
	FRAME_FLOW = 36,    /* the caller takes more of an answer, or none */
	FRAME_BYE = 127,
	/* Of these a version that does not know them gets nothing. */
	FRAME_PART = 128,   /* of a message that is too long for a frame */
	FRAME_LEFT = 129,   /* so many records of mine you have not, about */
	FRAME_LEAVES = 130, /* tell me sums, or records, of these leaves */
	FRAME_SUMS = 131,   /* of leaves */
};

enum frame_flag {
	FRAME_MORE = 1,	   /* the list or the bytes go on in the next frame */
	FRAME_FIRST = 2,   /* VV, PRESENCE: forget what I said before */
	FRAME_DURABLE = 4, /* ACK: fsync is done */
};

enum frame_stream { STREAM_OWN = 1, STREAM_FULL = 2, STREAM_RANGE = 3 };

enum frame_purpose { RANGE_BOOTSTRAP = 1, RANGE_RESYNC = 2, RANGE_REPAIR = 3 };

/* Why a link is closed in order. */
#define FRAME_BYE_CODES(X)                                                     \
	X(BYE_STOP, 1, "stopping")                                             \
	X(BYE_SELF, 2, "dialled itself")                                       \
	X(BYE_NAME, 3, "another node than dialled")                            \
	X(BYE_DUPLICATE, 4, "duplicate")                                       \
	X(BYE_REPLACED, 5, "another link stays")                               \
	X(BYE_CLOCK, 6, "clock too far off")                                   \
	X(BYE_WORN, 7, "keys are old, dial again")                             \
	X(BYE_KICKED, 8, "kicked")                                             \
	X(BYE_LIMIT, 9, "too many peers")                                      \
	X(BYE_PROTOCOL, 10, "protocol error")                                  \
	X(BYE_REDIRECT, 11, "look there")

enum frame_bye_code {
#define X(name, value, text) name = (value),
	FRAME_BYE_CODES(X)
#undef X
};

/* What a node understands that the first of its version does not; what it does
 * not tell it is not sent.  Unknown ones are ignored. */
enum frame_feature {
	FEATURE_PREV = 1,   /* the prev of records (sync/op.h) */
	FEATURE_LEAVES = 2, /* LEAVES and SUMS */
};
#define FEATURES ((uint32_t)FEATURE_PREV | FEATURE_LEAVES)

/* Rows of two numbers (inc, tick), encoded; see items.h. */
#define FRAME_ROW 16
#define FRAME_ROWS_MAX ((FRAME_MAX - 32) / FRAME_ROW)

struct frame_hello {
	uint64_t wall_ms;    /* ms since 1970, for the clock check */
	uint64_t uid;	     /* of the store */
	uint64_t inc;	     /* of this run */
	uint64_t start_tick; /* of this run */
	uint64_t head_tick;  /* newest seq */
	uint16_t port;	     /* where this node listens for peers */
	struct kv_slice name;
	struct kv_slice dialled; /* whom the initiator meant, may be empty */
	struct kv_slice lineage; /* rows (inc, end), newest first */
	uint32_t features;	 /* of enum frame_feature */
	uint32_t timeout_ms; /* silence that means down; the larger counts */
};

struct frame_rows { /* VV, SUB, PULL */
	uint8_t flags;
	uint64_t cursor; /* VV: head */
	struct kv_slice rows;
};

struct frame_range {
	uint64_t id; /* the last MARK of the answer has it as cursor */
	uint8_t purpose;
	uint64_t lo_bid; /* from (lo_bid, lo_key) on */
	struct kv_slice lo_key;
	uint64_t hi_bid; /* up to before this; (0, "") is the end */
	struct kv_slice hi_key;
};

struct frame_ack {
	uint8_t stream;
	uint8_t flags;
	uint64_t cursor;
	uint32_t credit; /* bytes of DATA that may follow */
};

struct frame_digest {
	uint8_t flags;
	uint64_t vv_hash[2];
	struct kv_slice rows; /* of four: bid, sum, sum, live records */
};
#define FRAME_DIGEST_ROW 32

enum frame_leaves_what { LEAVES_FIRST = 1, LEAVES_SECOND, LEAVES_RECORDS };

struct frame_leaves {	       /* and SUMS, which has no what */
	uint64_t id;	       /* SUMS echoes it; as that of a RANGE */
	uint8_t what;	       /* of enum frame_leaves_what */
	struct kv_slice bytes; /* a mask of each level; SUMS: see leaf.h */
};
#define FRAME_LEAF_MASKS 64

struct frame_barrier {
	uint64_t id;
	uint64_t tick; /* of my write that you must have durably */
};

struct frame_barrier_ok {
	uint64_t id;
	uint8_t flags;
	struct kv_slice rows; /* the whole VV at that moment */
};

struct frame_ping { /* and PONG, which echoes token */
	uint64_t token;
	uint64_t wall_ms;
};

struct frame_call {
	uint64_t id; /* the caller's own */
	uint8_t flags;
	uint32_t deadline_ms;  /* from now; 0: none, it is a subscription */
	struct kv_slice bytes; /* of the arguments, see items.h */
};

/* Classes as in Erlang's erpc: what the caller may conclude. */
enum frame_reply_class {
	REPLY_OK = 0,
	REPLY_FAILED = 1,
	REPLY_NOT_FOUND = 2,
	REPLY_DENIED = 3,
	REPLY_TIMEOUT = 4
};

struct frame_reply {
	uint64_t id;
	uint8_t flags;
	uint8_t class;
	struct kv_slice bytes;
};

struct frame_message {
	uint64_t inc;		 /* of the run where it was published */
	uint64_t tick;		 /* its stamp there; of one run they rise */
	struct kv_slice channel; /* <= KV_KEY_MAX */
	struct kv_slice payload;
};
/* Beside the channel and the payload. */
#define FRAME_MESSAGE_HEAD 19

/* A piece of the payload; the parts of one message follow each other, with other
 * frames between them. */
struct frame_part {
	uint64_t inc, tick;	 /* as MESSAGE */
	uint32_t size;		 /* of the whole payload */
	uint32_t at;		 /* of these bytes in it */
	struct kv_slice channel; /* in the first part only */
	struct kv_slice bytes;
};
#define FRAME_PART_HEAD 27

struct frame_flow {
	uint64_t id;	 /* of the CALL */
	uint32_t credit; /* so many bytes of REPLY more; 0: stop it */
};

struct frame_presence {
	uint8_t flags;
	struct kv_slice entries; /* see items.h */
};

struct frame_bye {
	uint8_t code; /* of enum frame_bye_code; others may come */
	struct kv_slice text;
};

struct frame {
	enum frame_type type;
	union {
		struct frame_hello hello;
		struct frame_rows rows; /* VV, SUB, PULL */
		uint8_t stream;		/* RESYNC */
		struct kv_slice data;	/* DATA: a piece of ops, see op.h */
		struct frame_range range;
		struct frame_ack ack;
		struct frame_digest digest;
		struct frame_leaves leaves; /* SUMS too */
		struct frame_barrier barrier;
		struct frame_barrier_ok barrier_ok;
		struct frame_ping ping; /* PONG too */
		uint16_t port;		/* REDIRECT */
		struct frame_call call;
		struct frame_reply reply;
		struct frame_presence presence;
		struct frame_message message;
		struct frame_part part;
		uint64_t left; /* LEFT */
		struct frame_flow flow;
		struct frame_bye bye;
	} u;
};

/* Append type and body.  KV_EINVAL when a field is out of its bounds,
 * KV_ETOOBIG over FRAME_MAX, KV_ENOMEM; then out is as it was. */
KV_CHECKED int frame_encode(const struct frame *f, struct buf *out);

/* KV_EPROTO: close the link.  KV_ENOTFOUND: an extension, ignore it. */
KV_CHECKED int frame_decode(struct kv_slice plain, struct frame *out);

/* "HELLO"; "?" for what is none. */
const char *frame_name(enum frame_type type);
const char *frame_bye_text(unsigned code);

#endif
