/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_HOST_H
#define KV_ENGINE_HOST_H

/* What all workers of the host agree on about their clients; words of the
 * control block. */

#include "engine/engine.h"

/* A number for a client that no other on this host has or had. */
uint64_t host_client_id(struct engine *e);

/* Until when, in wall clock ms, clients are to wait (0: they are not), and
 * whether that is all commands or those that write. */
uint64_t host_pause(const struct engine *e, bool *all);
void host_set_pause(struct engine *e, uint64_t until_ms, bool all);

/* Does a living process hold the role? */
bool host_has_role(const struct engine *e, enum control_role role);

/* This process has clients that monitor, or has none; does any process? */
void host_set_monitors(struct engine *e, bool any);
bool host_has_monitors(const struct engine *e);

/* Now and then: processes that were killed have none. */
void host_look_for_dead(struct engine *e);

#endif
