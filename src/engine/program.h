/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_PROGRAM_H
#define KV_ENGINE_PROGRAM_H

/* The life of a program that holds a role: configuration from kvd, the store,
 * "ready", the role (or the wait for it), then its work until told to stop. */

#include "engine/engine.h"

/* work: called once with the role held; returns when stop_asked().  Returns
 * what main shall return. */
int program_main(const char *name, enum control_role role,
    int (*work)(struct engine *e));

#endif
