/* SPDX-License-Identifier: ISC */
#ifndef KV_SUPERVISOR_ANNOUNCE_H
#define KV_SUPERVISOR_ANNOUNCE_H

/* What who starts kvd by hand is told.  Nothing here can fail. */

#include "supervisor/supervisor.h"

/* Log that a port is served. */
void announce_port(const struct supervisor *s, const struct port *port);

/* What to try next, on stdout, unless a service manager started us. */
void announce_first_steps(const struct supervisor *s);

#endif
