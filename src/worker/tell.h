/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_TELL_H
#define KV_WORKER_TELL_H

/* What this worker's clients do, told to the monitors of all workers.
 *
 * While anybody on the host monitors, each command leaves a line.  The lines of
 * a batch go into the log with its writes, behind them, as a message that is
 * nobody's channel: so monitors see the writes of all ports in the log's order,
 * and not what did not happen.  When the log takes nothing, lines reach only
 * the monitors of this worker. */

#include "worker/call.h"

#define TELL_LINE_MAX 65536   /* about; what is longer is shortened */
#define TELL_BATCH_MAX 262144 /* lines to gather before they are committed */

/* CALL_TOLD if somebody monitors, but not for what administrators do. */
unsigned tell_needs(const struct call *c);

/* A line for a command that was carried out just now. */
void tell_command(const struct call *c);

/* Lines since a place are taken back: it did not happen. */
size_t tell_place(const struct worker *w);
void tell_rewind(struct worker *w, size_t place);

/* engine_commit of what is staged, with the lines there are.  When it fails the
 * lines stay.  With nothing staged it does not fail, and *end is untouched:
 * nobody has to wait for lines. */
KV_CHECKED int tell_commit(struct worker *w, uint64_t *end);

/* The same when nothing is staged. */
void tell_flush(struct worker *w);

void tell_fini(struct worker *w);

#endif
