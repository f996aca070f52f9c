/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_COMMANDS_H
#define KV_WORKER_COMMANDS_H

/* THE table of commands: names, arity, flags, keys, who does it. */

#include "proto/command.h"
#include "worker/call.h"

struct command {
	struct command_info info; /* first */
	call_handler *run;
	unsigned needs; /* of enum call_need */
};

/* Once, before anything else here. */
KV_CHECKED int commands_init(void);

const struct command *commands_find(struct kv_slice name);
bool commands_known(struct kv_slice name);

/* What it needs with these arguments. */
unsigned commands_needs(const struct call *c);

/* The next subcommand of a container, from at 0 on; false: there is none. */
bool commands_next_sub(const struct command *container, struct call_sub *sub);

/* All rows, for COMMAND. */
const struct command *commands_all(size_t *count);

/* Parsed, found, checked, done: a request in RESP. */
struct run;
void commands_run(struct run *r, const struct request *req);

#endif
