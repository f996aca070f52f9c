/* SPDX-License-Identifier: ISC */
#ifndef KV_SUPERVISOR_STATUS_H
#define KV_SUPERVISOR_STATUS_H

#include "supervisor/supervisor.h"

/* One JSON object and a newline. */
KV_CHECKED int status_write(const struct supervisor *s, struct buf *out);

/* A line `PORT ADDRESSES` for each port, `unix PATH` for the unix socket. */
KV_CHECKED int status_ports(const struct supervisor *s, struct buf *out);

#endif
