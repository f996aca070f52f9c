/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_WORKER_H
#define KV_WORKER_WORKER_H

/* One worker process: what all of its sessions share. */

#include "engine/engine.h"
#include "proto/reply.h"
#include "proto/request.h"
#include "proto/resp.h"
#include "serve/serve.h"
#include "worker/deadline.h"
#include "worker/inner.h"
#include "worker/memory.h"
#include "worker/presence.h"
#include "worker/sweep.h"

#define WORKER_DATABASE_NAME 8 /* "db1023" */
#define WORKER_NODE_MAX 128    /* "foo@host" */

struct auth;
struct measure;
struct run;
struct feeds;
struct pubsub;
struct conf;

struct worker {
	struct engine *engine;
	struct loop *loop;
	struct serve serve;
	struct loop_source wake; /* from the engine */
	struct feeds *feeds;
	struct pubsub *pubsub;
	struct auth *auth;
	struct measure *measure;
	char **config; /* what CONFIG SET was told (cmd_config.c) */
	struct sweep sweep;
	struct deadline_witness witness[DEADLINE_WITNESSES];
	struct memory memory;
	struct inner inner;
	struct presence presence;
	struct timer pause;   /* CLIENT PAUSE: looks for its end */
	bool waiting;	      /* it is set */
	struct round *rounds; /* of questions to other workers */
	struct timer round_look;
	bool round_waits;	 /* it is set */
	uint64_t round_hurry_ns; /* until then rounds wait less */
	struct monitors *monitors;
	struct buf told; /* lines for monitors, of the run at hand */
	size_t untold;	 /* lines that were lost */
	uint64_t tell_look_ns;
	struct run *run;    /* what is being carried out, or NULL */
	struct reply reply; /* into the arena of serve */
	struct request request;
	struct request ahead; /* for looking at requests to come */
	struct buf scratch;   /* of one handler */
	struct resp_limits limits;
	size_t line_max;
	size_t value_max;
	size_t subscriber_limit;
	unsigned databases;
	uint16_t port;
	uint64_t save_to;  /* log position that BGSAVE was asked for */
	uint64_t saved_ms; /* see cmd_lastsave */
	char node[WORKER_NODE_MAX];
	bool has_sync;	  /* there is a kv-syncd, as the options say */
	bool made_bucket; /* one is staged: control->buckets misses it */
	bool stopping;	  /* until the last client is gone */
	bool broken;	  /* the store cannot be read */

	/* What KV_ETOOBIG was about. */
	struct {
		const char *what;
		size_t len;
		size_t limit;
	} blame;

	/* Statistics. */
	uint64_t started_ms;
	uint64_t requests;
	uint64_t hits, misses;
	uint64_t errors;
	uint64_t subscribers_lost;

	/* The log is full. */
	size_t paused;	   /* sessions that wait for room */
	bool full;	   /* since then nobody else need try */
	uint64_t full_for; /* id of the session that found it so */
};

/* Take limits from the configuration; also at a reload. */
void worker_configure(struct worker *w, const struct conf *conf);

KV_CHECKED int worker_init(struct worker *w, struct engine *e,
    struct loop *loop, const struct conf *conf);
void worker_fini(struct worker *w);

/* "db3", written to `to`. */
struct kv_slice worker_database_name(unsigned n, char to[WORKER_DATABASE_NAME]);

#endif
