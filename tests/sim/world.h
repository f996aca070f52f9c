/* SPDX-License-Identifier: ISC */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

/* N nodes, their stores, the cables between them and what befalls them, all
 * from one seed.  Time is a number that the world moves on. */

#include "agent.h"
#include "cable.h"
#include "ghost.h"
#include "sync/member.h"

#define WORLD_NODES 5
#define WORLD_CABLES 24
#define WORLD_BACKUPS 2
#define WORLD_ORIGINS 96	   /* runs of nodes in a short run */
#define WORLD_WALL 10000000u	   /* ms since 1970 when a run begins */
#define WORLD_DRIFT_MS 300000u	   /* MAX_DRIFT of kv-sync.7 */
#define WORLD_TTL_S 30u		   /* of FAULT_TTL */
#define WORLD_APART_MS 90000u	   /* more than clocks differ then */
#define WORLD_FEATURES 0xc0000000u /* that nobody has yet */
#define WORLD_LINES (2 * WORLD_CABLES)
#define WORLD_STREAMS 3
#define WORLD_CHECK_EVERY 16 /* steps */

/* What may happen in a run. */
enum world_fault {
	FAULT_DROPS = 1,     /* buckets are dropped and made again */
	FAULT_RESTORES = 2,  /* stores go back to a backup */
	FAULT_RETENTION = 4, /* shorter than partitions last */
	FAULT_CLOCK = 8,     /* one node an hour ahead */
	FAULT_DEADLINES = 16,
	FAULT_REFUSAL = 32, /* log or disk full */
	FAULT_CLONES = 64,  /* two stores of one uid; nodes of one name */
	FAULT_LARGE = 128,  /* values over many frames */
	FAULT_SEALED = 256, /* frames through handshake and channel */
	FAULT_TTL = 512,    /* one bucket has a ttl_max, if it is made anew */
	FAULT_SERVICES = 1024, /* clients want something of other nodes */
	FAULT_SLOW = 2048, /* disks and readers; LMDB is full or has no slot */
	FAULT_ROSTER =
	    8192, /* links are made as member.c says, not by chance */
	FAULT_VERSIONS = 4096,	 /* some nodes are of a version to come */
	FAULT_CLOCKS = 65536,	 /* all sorts of them, several at a time */
	FAULT_CONFLICTS = 32768, /* buckets have a conflict log, or not */
	FAULT_ROT = 16384,	 /* a store lacks what its vector covers */
};
#define FAULT_MORE (FAULT_SERVICES | FAULT_SLOW)

struct world_plan {
	uint64_t seed;
	unsigned steps;
	uint64_t length_ms; /* of a day; 0: a short run of so many steps */
	unsigned faults;    /* of enum world_fault */
	bool has_digests;
	unsigned verbose; /* 1: frames and events too; 2: PING and PONG too */
	int traced;	  /* key, -1: none */
};

struct backup {
	bool is_there;
	uint64_t taken_ms;
	struct sim_store store;
};

/* Whom a store tells. */
struct watcher {
	struct world *w;
	unsigned node;
};

/* A link as a node's list of members knows it. */
struct line {
	uint64_t number;	/* of the replica's link; 0: none */
	struct member *dialled; /* for that one, and not up yet */
	bool is_up;
};

struct node {
	struct sim_store store;
	struct watcher watcher;
	struct members *members; /* of FAULT_ROSTER */
	struct line lines[WORLD_LINES];
	struct agent agent;
	struct backup backup[WORLD_BACKUPS];
	struct replica *replica; /* NULL: down */
	char name[16];
	int64_t skew_ms;
	int drift; /* of a thousand, since drift_from_ms */
	uint64_t drift_from_ms;
	int64_t jumped_ms;   /* its clock, unnoticed yet */
	uint64_t doubted_ms; /* until then */
	bool is_unwarned;    /* nobody has spoken against it since it booted */
	struct clocks *clocks; /* of FAULT_CLOCKS */
	uint64_t timer_ms;     /* of the replica */
	uint64_t checked;      /* store.claims when I1 was looked at */
	uint64_t refused_ms;   /* when its store last took nothing */
	bool is_clone;
	unsigned cookie; /* stage of changing the secret */
	bool is_newer;	 /* of FAULT_VERSIONS */
	bool has_bad_clock;
	bool is_copying;	     /* has said resync, and not in-step yet */
	struct stamp shown;	     /* of the traced key */
	enum record_type shown_type; /* 0: none */
};

/* Summed over runs. */
struct world_counts {
	uint64_t runs, writes, frames, bytes, turns, virtual_ms, settle_ms;
	uint64_t restarts, links, resyncs, repairs, given_up, downs;
	uint64_t heals, faults;
	uint64_t held, held_by_none; /* the most, of a link */
	uint64_t tries, wins, answers, messages;
};

struct world {
	struct world_plan plan;
	uint64_t random;
	uint64_t now_ms;
	struct arena arena, spare;
	struct ghost ghost;
	struct world_counts counts;
	unsigned node_count;
	struct node node[WORLD_NODES];
	struct cable cable[WORLD_CABLES];
	struct cable *dialled; /* the last one that link_dial() made */
	bool is_base[WORLD_NODES][WORLD_NODES];	   /* of the topology */
	bool is_blocked[WORLD_NODES][WORLD_NODES]; /* nothing goes that way */
	struct replica_tuning tuning;
	uint32_t timeout_ms;
	uint32_t retention_ms;
	unsigned next_value;
	unsigned origins_max;
	uint64_t noise; /* frames other than PING and PONG */
	bool had_bad_clock, had_clone, had_rot;
	struct agent_win wins[AGENT_WINS];
	uint64_t win_count;
	struct {
		unsigned frames;
		uint64_t bytes;
	} untold[WORLD_NODES][WORLD_NODES][WORLD_STREAMS]; /* of DATA */
	struct kv_slice pattern; /* what large values are made of */
};

/* One run.  False: the ghosts complain (w->ghost).  The world may be run
 * again; all zeros to begin with. */
bool world_run(struct world *w, const struct world_plan *plan);
void world_fini(struct world *w);

/* ---- for the parts of the world ---------------------------------------- */

uint32_t world_random(struct world *w, uint32_t below);
uint64_t world_random_u64(struct world *w);
void world_trace(struct world *w, const char *fmt, ...) KV_PRINTF(2, 3);
/* Print that a frame came; those of DATA are summed up. */
void world_trace_frame(struct world *w, unsigned from, unsigned to,
    struct kv_slice plain);
/* Print what the traced key has become at the node. */
void world_show(struct world *w, unsigned x);

static inline bool
world_traces(const struct world *w)
{
	return w->plan.verbose > 0 || w->plan.traced >= 0;
}

/* I1 at the node, now. */
void world_check(struct world *w, unsigned x);

uint64_t world_wall(const struct world *w, unsigned x);

/* node.c: processes. */
void node_init(struct world *w, unsigned x);
void node_start(struct world *w, unsigned x);
void node_stop(struct world *w, unsigned x); /* without a word */
void node_crash(struct world *w, unsigned x, bool power);
/* A new run, of a process that stays; or the same, of one that was put back. */
void node_renew(struct world *w, unsigned x);
void node_go_on(struct world *w, unsigned x);
/* Its clock is right again; what it wrote ahead of time is made anew. */
void node_repair_clock(struct world *w, unsigned x);
/* Take up to so many frames of each link, work, send as many; stage: 0 all of
 * it, 1 dies before replica_end(), 2 dies before sending. */
void node_turn(struct world *w, unsigned x, unsigned frames, unsigned stage);
bool node_has_input(const struct world *w, unsigned x);

/* link.c: cables. */
/* a dials b, meaning the name; false when it cannot. */
bool link_dial(struct world *w, unsigned a, unsigned b, const char *meant);
unsigned link_count(const struct world *w, unsigned a, unsigned b);
void link_close_end(struct world *w, struct cable *c, unsigned end);
/* One end goes and the other is not told. */
void link_lose(struct world *w, struct cable *c, unsigned end);
void link_cut(struct world *w, struct cable *c);
void link_forget(struct world *w, struct cable *c); /* if nobody is there */

/* roster.c: who dials whom. */
void roster_start(struct world *w, unsigned x);
void roster_stop(struct world *w, unsigned x);
void roster_dial(struct world *w);
void roster_event(struct world *w, unsigned x, const struct replica_event *e);
void roster_check_end(struct world *w, uint64_t *turns);

/* pass.c: time passes without faults; idle time costs nothing.  Each takes its
 * turns from *turns, and ends when there are none left. */
#define PASS_TICK_MS 500 /* between two looks at links and disks */
#define PASS_TURNS 200000u
/* Dial who should be linked and is not. */
void pass_dial(struct world *w);
/* Disks and checkpointers do what they have to. */
void pass_house(struct world *w);
void pass_until(struct world *w, uint64_t end_ms, uint64_t *turns);
/* All of it, and ticks. */
void pass_ticks(struct world *w, uint64_t ms, uint64_t *turns);

/* fault.c, heal.c: the two phases; day.c: many of both. */
void fault_step(struct world *w);
/* more.c: a step of its own, now and then; and the end of that. */
bool fault_more(struct world *w);
void fault_mend_more(struct world *w);
/* clocks.c: the same of FAULT_CLOCKS; and what a node makes of its clock. */
bool fault_clocks(struct world *w);
void fault_mend_clocks(struct world *w);
bool clocks_doubted(const struct world *w, unsigned x);
void clocks_watch(struct world *w, unsigned x);
void clocks_listen(struct world *w, unsigned x);
void clocks_start(struct world *w, unsigned x);
void clocks_stop(struct world *w, unsigned x);
void clocks_reboot(struct world *w, unsigned x);
/* For sim_watch. */
void clocks_expired(void *user, const struct record *r);
/* rot.c: the same of FAULT_ROT. */
bool fault_rot(struct world *w);
void fault_mend_rot(struct world *w);
void heal_run(struct world *w);
void day_run(struct world *w);
/* world.c: look at I1 where claims have changed. */
void world_check_all(struct world *w);
/* Another set of links that should be, between so many nodes. */
void world_choose_topology(struct world *w, unsigned nodes);
/* Sizes and times of nodes that start from now on. */
void world_choose_tuning(struct world *w);
/* Give back the memory of what no store or backup has any more. */
void world_compact(struct world *w);

#endif
