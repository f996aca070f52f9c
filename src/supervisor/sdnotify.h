/* SPDX-License-Identifier: ISC */
#ifndef KV_SUPERVISOR_SDNOTIFY_H
#define KV_SUPERVISOR_SDNOTIFY_H

/* What a service manager is told and gives: sd_notify(3), sd_listen_fds(3),
 * sd_watchdog_enabled(3).  The protocols are stable and documented there;
 * libsystemd would pull five libraries in. */

#include <stdbool.h>
#include <stdint.h>

#include "kv_types.h"

#define SDNOTIFY_LISTEN_FD 3

/* Read what the manager put into the environment, and take it out so that
 * children do not see it.  Call once, first. */
struct sdnotify {
	char socket[108];     /* "" for none; "@..." is an abstract name */
	uint64_t watchdog_us; /* 0: none */
	int listen_fds;	      /* from SDNOTIFY_LISTEN_FD up */
};

void sdnotify_init(struct sdnotify *n);

/* "READY=1\nSTATUS=..."; does nothing without a manager. */
void sdnotify_send(const struct sdnotify *n, const char *fmt, ...)
    KV_PRINTF(2, 3);

#endif
