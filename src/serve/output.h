/* SPDX-License-Identifier: ISC */
#ifndef KV_SERVE_OUTPUT_H
#define KV_SERVE_OUTPUT_H

/* Replies on their way out.  While a connection is worked on, its replies
 * gather in the process's one arena; small values are copied there, large ones
 * only noted where they lie.  output_emit sends it all with one system call
 * and copies to the connection what the socket did not take, or what must wait
 * for the disk. */

#include <stdbool.h>

#include "base/buf.h"

struct conn;

#define OUTPUT_REFS 64
#define OUTPUT_REF_MIN 4096 /* from here on a copy costs more than an iovec */

struct output_ref {
	size_t at; /* stands before this byte of the arena */
	struct kv_slice data;
};

struct output {
	struct buf bytes;
	size_t ref_count;
	size_t ref_bytes;
	struct output_ref refs[OUTPUT_REFS];
};

/* A place to go back to. */
struct output_place {
	size_t len;
	size_t ref_count;
};

static inline size_t
output_size(const struct output *o)
{
	return o->bytes.len + o->ref_bytes;
}

static inline struct output_place
output_here(const struct output *o)
{
	return (struct output_place){ o->bytes.len, o->ref_count };
}

/* Forget what was written since. */
void output_rewind(struct output *o, struct output_place place);

/* Let data, which must stay as it is until emit or settle, stand here in the
 * output.  False when it is too small for that or the table is full: copy. */
bool output_refer(struct output *o, struct kv_slice data);

/* Copy what is referred to: it is about to go away. */
KV_CHECKED int output_settle(struct output *o);

/* Hand the arena to a connection; empties it.  lsn: the log position it waits
 * for, 0 for none; it never overtakes what waits already.  May close c. */
void output_emit(struct conn *c, uint64_t lsn);

/* Add bytes of something other than a reply, behind all replies; they are not
 * sent before output_flush.  False: no memory, c is closed. */
bool output_append(struct conn *c, const void *data, size_t len);

/* Send what may leave.  May close c. */
void output_flush(struct conn *c);

/* Bytes not sent yet. */
size_t output_pending(const struct conn *c);

#endif
