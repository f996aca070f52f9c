/* SPDX-License-Identifier: ISC */
#ifndef SIM_AGENT_H
#define SIM_AGENT_H

/* What a node's clients want of the other nodes (sync/services.h): GLOBAL
 * compare-and-set, calls, messages, who is there.  And what must be true of it:
 * of two who set a key without knowing of each other one wins at most; a call
 * ends once; messages of a run come in order and once; the lists of clients are
 * the same everywhere in the end. */

#include "ghost.h"
#include "sync/services.h"

#define AGENT_TRIES 8
#define AGENT_ASKS 8
#define AGENT_JOBS 64
#define AGENT_CLIENTS 6
#define AGENT_WINS 512

struct world;

/* A write that passes a barrier. */
struct agent_try {
	uint64_t wait; /* 0: none */
	unsigned key;
	struct stamp mine, base; /* base: the newest it can have seen */
	bool withdraws;		 /* takes it back when it has not won */
};

struct agent_ask {
	uint64_t id; /* 0: none */
	unsigned total, got, untaken;
};

struct agent_job {
	uint64_t id; /* 0: none */
	unsigned total, sent;
};

struct agent {
	struct world *w;
	unsigned node;
	struct services *services; /* NULL: none */
	uint64_t last_client;
	struct agent_try tries[AGENT_TRIES];
	struct agent_ask asks[AGENT_ASKS];
	struct agent_job jobs[AGENT_JOBS];
	uint64_t clients[AGENT_CLIENTS]; /* ids, 0: none */
	uint64_t heard[GHOST_ORIGINS];	 /* last tick of a run's messages */
};

struct agent_win {
	unsigned key;
	struct stamp base, mine;
};

/* The node's process begins, with this replica config; and ends. */
void agent_start(struct world *w, unsigned x, struct replica_config *config);
void agent_stop(struct world *w, unsigned x);
/* Between replica_end and replica_send. */
void agent_turn(struct world *w, unsigned x, uint64_t now_ms,
    uint64_t *next_ms);

/* Something that a client does; false: not now. */
bool agent_try(struct world *w, unsigned x, unsigned p);
bool agent_call(struct world *w, unsigned x, unsigned p);
bool agent_publish(struct world *w, unsigned x, unsigned p);
bool agent_client(struct world *w, unsigned x, unsigned p);

/* What services tell. */
void agent_settled(void *user, uint64_t wait, unsigned count,
    const char *missing);
void agent_answer(void *user, uint64_t id, struct kv_slice bytes);
void agent_answered(void *user, uint64_t id, enum services_end end,
    struct kv_slice why);
void agent_run(void *user, uint64_t job, const char *from,
    const struct kv_slice *argv, size_t argc, uint32_t deadline_ms);
void agent_job_stop(void *user, uint64_t job);
void agent_room(void *user, uint64_t job);
/* Answer and take answers, as far as may be. */
void agent_work(struct agent *a);

/* All has settled. */
void agent_check_end(struct world *w);

#endif
