/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_TALLY_H
#define KV_ENGINE_TALLY_H

/* About how many changes there were since a seq.  They are counted as they
 * pass, and the counts are kept at marks: at each of the last 512 changes, at
 * each 64th of the 32,768 before, and so on.  Between two marks changes are
 * taken to be even, so a count is off by an eighth at most. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TALLY_MARKS 512
#define TALLY_LEVELS 4
#define TALLY_STEP 64 /* from one level to the next */

/* Changes up to seq: all, and those that this host pushes to others. */
struct tally_mark {
	uint64_t seq;
	uint64_t all, own;
};

struct tally {
	struct {
		struct tally_mark marks[TALLY_MARKS]; /* a ring */
		uint64_t count;			      /* ever made */
	} levels[TALLY_LEVELS];
	struct tally_mark end;
	uint64_t begun; /* nothing is known of what is not past this */
};

void tally_begin(struct tally *t, uint64_t seq);
/* The next change; seqs rise. */
void tally_add(struct tally *t, uint64_t seq, bool is_own);
/* Those past seq.  False: it began later, or that is too long ago. */
bool tally_since(const struct tally *t, uint64_t seq, bool own, uint64_t *n);

#endif
