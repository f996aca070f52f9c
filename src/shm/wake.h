/* SPDX-License-Identifier: ISC */
#ifndef KV_SHM_WAKE_H
#define KV_SHM_WAKE_H

/* Waking a process that sleeps in its event loop.  Each process slot has a
 * FIFO in the shared-memory folder: an eventfd would do, but cannot be shared
 * with a process that was not given it (fifo(7); opened read and write, so
 * that it neither blocks nor breaks).  The want words of the control block
 * see to it that at most a byte or two ever lie in it. */

#include "kv_types.h"

struct wake; /* the FIFOs this process has opened, by slot */

KV_CHECKED int wake_new(const char *folder, unsigned slots, struct wake **out);
void wake_free(struct wake *w);

/* The descriptor of the slot's FIFO, made and opened when needed; owned by w.
 * Readable after somebody called wake_send() for the slot. */
KV_CHECKED int wake_descriptor(struct wake *w, unsigned slot, int *out);

void wake_send(struct wake *w, unsigned slot);

/* Empty the FIFO of one's own slot. */
void wake_drain(struct wake *w, unsigned slot);

#endif
