/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_PROGRAM_H
#define KV_ENGINE_PROGRAM_H

/* What the programs that kvd starts have in common. */

#include "conf/conf.h"
#include "engine/engine.h"
#include "io/loop.h"

/* The first act: take the configuration from kvd, log as name (borrowed for
 * ever) at its level.  On failure the reason is logged. */
KV_CHECKED int program_begin(const char *name, struct conf **out);

/* What kvd says to a program with an event loop.  Set name, reload and stop,
 * the rest zero; loop_owner finds the program. */
struct program_parent {
	const char *name;
	/* The configuration has changed, and the level of the log with it;
	 * conf is the callee's. */
	void (*reload)(struct program_parent *p, struct conf *conf);
	/* Finish and exit; called once, also when kvd is gone. */
	void (*stop)(struct program_parent *p);
	struct loop_source source;
	struct loop *loop;
};

KV_CHECKED int program_listen(struct program_parent *p, struct loop *loop);

/* The whole life of a program without a loop that holds a role: the store,
 * "ready", the role (or the wait for it), then its work until told to stop.
 * work: called once with the role held; returns when stop_asked().  Returns
 * what main shall return. */
int program_main(const char *name, enum control_role role,
    int (*work)(struct engine *e));

#endif
