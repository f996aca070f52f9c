/* SPDX-License-Identifier: ISC */
#ifndef SERVICES_RIG_H
#define SERVICES_RIG_H

/* Four nodes that have only services: links without sockets, stores that are
 * a few rows.  What their programs are told is written down as text. */

#include "sync/services.h"

#define RIG_NODES 4
#define RIG_VALUE_MAX (SERVICES_MESSAGE_BYTES / 2 - KV_KEY_MAX)

struct rig_node {
	struct services *services;
	const char *name;
	uint64_t inc;
	uint64_t acked[RIG_NODES]; /* by the node of that number */
	struct sync_row rows[4];
	size_t row_count;
	uint64_t head;
	struct buf told;       /* "answer 1 hello\n" ... */
	uint64_t ask, job;     /* the last ones */
	size_t answer_bytes;   /* of all answers */
	size_t message_bytes;  /* of all messages */
	uint64_t message_hash; /* of the last one */
	bool takes;	       /* gives answers back at once */
	bool echoes;	       /* answers each job with its arguments */
	int failed;	       /* what receive() returned last, if < 0 */
	unsigned frames[256];  /* received, by type */
};

struct rig {
	struct rig_node nodes[RIG_NODES];
	bool linked[RIG_NODES][RIG_NODES];
	uint64_t now_ms;
	uint64_t next_ms; /* the soonest that a turn asked for */
	bool is_lax;	  /* a refused frame ends the link, not the test */
};

void rig_init(struct rig *r);
void rig_fini(struct rig *r);

/* For cmocka: a rig for each test, in *state; of the pair 0 and 1 are linked. */
int rig_alone(void **state);
int rig_pair(void **state);
int rig_done(void **state);

void rig_link(struct rig *r, unsigned a, unsigned b);
void rig_unlink(struct rig *r, unsigned a, unsigned b);

/* Turns of all nodes and frames in both directions until nothing moves. */
void rig_run(struct rig *r);

/* One frame from a to b, whatever a's services say. */
int rig_push(struct rig *r, unsigned a, unsigned b, const struct frame *f);

/* So many frames of this type from a to b, which begin what is not ended. */
void rig_send(struct rig *r, unsigned a, unsigned b, enum frame_type type,
    unsigned count);

/* Was this told, and forget it.  Asserts that it is all there is. */
void rig_told(struct rig *r, unsigned n, const char *expected);

#endif
