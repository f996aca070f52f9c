/* SPDX-License-Identifier: ISC */
#ifndef KV_SUPERVISOR_STATUS_H
#define KV_SUPERVISOR_STATUS_H

/* Answers of kvd's control socket (supervisor/control.h), appended to out;
 * KV_ENOMEM. */

#include "supervisor/supervisor.h"

/* What runs, since when, and what was started again: one JSON object and a
 * newline. */
KV_CHECKED int status_write(const struct supervisor *s, struct buf *out);

/* A line `PORT ADDRESSES` for each port, `unix PATH` for the unix socket. */
KV_CHECKED int status_ports(const struct supervisor *s, struct buf *out);

#endif
