/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_NODES_H
#define KV_ENGINE_NODES_H

/* What kv-syncd tells of all nodes, as a text: a note (engine/note.h) while it
 * runs, and the last of it in the store's folder, for when it does not.
 *
 *	kv-nodes 5 WALL_MS MESSAGES_LOST
 *	NAME STATE ADDRESS ... REASON
 *
 * with tabs between the fields and "-" for what there is not; the first node is
 * this one. */

#include "base/buf.h"
#include "engine/engine.h"

#define NODES_VERSION 5
#define NODES_OLD_MS 20000 /* it hangs: it writes every five seconds */

#define NODES_TABLE(X)                                                         \
	X(NODES_NAME, "name")                                                  \
	X(NODES_STATE, "state")                                                \
	X(NODES_ADDRESS, "address")                                            \
	X(NODES_SINCE, "since_ms")                                             \
	X(NODES_BEHIND_MS, "behind_ms")                                        \
	X(NODES_BEHIND, "behind_records")                                      \
	X(NODES_UNACKED, "unacked_bytes")                                      \
	X(NODES_RTT, "rtt_us")                                                 \
	X(NODES_OFFSET, "offset_ms")                                           \
	X(NODES_SENT, "sent_bytes")                                            \
	X(NODES_RECEIVED, "received_bytes")                                    \
	X(NODES_TRIES, "tries")                                                \
	X(NODES_SEEN, "seen_ms")                                               \
	X(NODES_UID, "uid")                                                    \
	X(NODES_INC, "incarnation")                                            \
	X(NODES_REASON, "reason") /* last: it may be long */

enum nodes_field {
#define X(name, text) name,
	NODES_TABLE(X)
#undef X
	    NODES_FIELDS
};

/* Borrows from what it was read from. */
struct nodes_row {
	struct kv_slice field[NODES_FIELDS];
};

struct nodes {
	struct buf text;
	struct kv_slice rest;
	uint64_t written_ms;
	uint64_t lost; /* messages */
	bool is_old;   /* nobody keeps it up to date */
};

const char *nodes_field_text(enum nodes_field field);
/* 0 for what is no number. */
uint64_t nodes_number(const struct nodes_row *row, enum nodes_field field);
/* Of "uid" and "incarnation", which are 16 digits; 0: "-". */
#define NODES_ID_TEXT 17
void nodes_put_id(char to[NODES_ID_TEXT], uint64_t id);
uint64_t nodes_id(const struct nodes_row *row, enum nodes_field field);

/* What kv-syncd says, or said last before it was killed; nodes_fini in any
 * case.  KV_ENOTFOUND: nothing, or what cannot be read. */
KV_CHECKED int nodes_read(struct engine *e, struct nodes *out);

/* What the last kv-syncd of the store said before it ended.  The same. */
KV_CHECKED int nodes_read_kept(struct engine *e, struct nodes *out);

/* The text itself, which must outlive *out; nothing to end. */
KV_CHECKED int nodes_parse(struct kv_slice text, struct nodes *out);

/* The next node; false at the end.  Lines that are none are passed over. */
bool nodes_next(struct nodes *n, struct nodes_row *row);
void nodes_fini(struct nodes *n);

#endif
