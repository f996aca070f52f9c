/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_MUTATE_H
#define KV_SYNC_MUTATE_H

/* The mechanisms of replication, each with a switch that takes it away: the
 * simulator must notice (kv-sync.7).  Only a build with KV_MUTATE has them.
 *
 * "store" and "run" are those of the store or of the program around it, here
 * for the list to be whole. */

#include <stdbool.h>

#define SYNC_MUTATIONS(X)                                                      \
	X(NO_RELAY, "what replaced an own write is not handed on")             \
	X(MAX_SEEN, "claim the highest tick seen")                             \
	X(SAME_INC, "run: a restart goes on under the old inc")                \
	X(NO_LINEAGE_TEST, "an old run's full cursor counts untested")         \
	X(LINEAGE_MIN, "an old run's full cursor is cut to its end")           \
	X(NO_PURGED_TEST, "no RESYNC for who may have missed a delete")        \
	X(EARLY_CLAIM, "claim at every MARK")                                  \
	X(NO_ABSENT_RULE, "absent and covered is not deleted")                 \
	X(WALL_CLOCK, "store: a wall clock in place of the hybrid one")        \
	X(NOT_ATOMIC, "cursors are committed before the data")                 \
	X(CLAIM_FIRST, "a full stream's vector before its data")               \
	X(CLAIM_PER_RECORD, "a full stream claims record by record")           \
	X(REPAIR_DELETES, "repair deletes what the peer lacks")                \
	X(LEAF_LEFT_OUT, "every other leaf is not compared")                   \
	X(LEAF_OF_OTHERS, "the records of other leaves are asked for")         \
	X(PREV_FORGOTTEN, "store: an own write over another had seen nothing") \
	X(PREV_IS_OLDER, "store: a writer saw what is older than what he had") \
	X(RESYNC_MAX, "the maximum of the sources' vectors")                   \
	X(NO_PURGED_ROWS, "purged rows of the sources are not taken over")     \
	X(NO_CLAIM_TEST, "no second test before a claim")                      \
	X(NO_DROP_RULE, "what the own vector covers is applied")               \
	X(NO_GAP_RULE, "store: tombstones are purged past known gaps")         \
	X(FORGET_EARLY, "a gap that nobody fills now is none")                 \
	X(NO_PAUSE, "other streams go on during a RESYNC")                     \
	X(REPAIR_CLOCK_NOW, "store: repair-clock begins at now")               \
	X(NO_DOUBT, "store: time takes away though the clock is in doubt")     \
	X(NO_RENEWAL, "store: a jump of the clock begins no new run")          \
	X(NO_LAZY_PULL, "no pull of what nobody can claim")                    \
	X(SHORT_AT_ONCE, "store: short tombstones go at once")                 \
	X(NO_BARRIER_ACK, "a barrier does not wait until others have it")      \
	X(NO_BARRIER_VECTOR, "... nor for what they had by then")              \
	X(ALL_LINKS_STAY, "of two links between the same both stay")

enum sync_mutation {
	MUTATE_NONE,
#define X(name, text) MUTATE_##name,
	SYNC_MUTATIONS(X)
#undef X
	    MUTATIONS
};

#ifdef KV_MUTATE
extern enum sync_mutation sync_mutation; /* the simulator's */
#define MUTATED(name) (sync_mutation == MUTATE_##name)
#else
#define MUTATED(name) false
#endif

#endif
