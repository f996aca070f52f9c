/* SPDX-License-Identifier: ISC */
#ifndef SIM_DUO_H
#define SIM_DUO_H

/* Two nodes and one cable, for tests of what befalls a link: whatever is wrong
 * ends the test. */

#include "cable.h"
#include "store.h"

#define DUO_START_MS 10000000u

struct duo {
	struct arena arena;
	struct sim_store store[2];
	struct replica *replica[2];
	struct cable cable;
	struct cable sealed; /* its channels, as they are at the beginning */
	uint64_t now_ms;
	size_t allowed[2], passed[2]; /* bytes on their way to that end */
	size_t flipped[2];	      /* this one is another on its way there */
	unsigned bit;
	size_t value_max, held_max; /* of a link; to be set */
	unsigned turns_max;
};

/* Two stores and their processes; no link. */
void duo_begin(struct duo *d);
/* n bytes of zero, in bucket "b". */
void duo_put(struct duo *d, unsigned x, const char *key, size_t n,
    uint64_t deadline);
/* All is on disk and in the trees. */
void duo_settle(struct duo *d);
/* The first node dials; sealed: with the channels of d->sealed. */
void duo_dial(struct duo *d, bool sealed);
void duo_hang_up(struct duo *d);
/* For so long, in virtual time; false: the link has ended. */
bool duo_talk(struct duo *d, uint64_t ms);
bool duo_is_alike(const struct duo *d);
void duo_end(struct duo *d);

#endif
