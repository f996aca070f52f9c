/* SPDX-License-Identifier: ISC */
#ifndef KV_SUPERVISOR_RELOAD_H
#define KV_SUPERVISOR_RELOAD_H

#include "supervisor/supervisor.h"

/* SIGHUP: read the configuration again.  Ports are added and removed, children
 * whose options changed are told, nobody else is disturbed.  A configuration
 * that is wrong, or a new port that cannot be had, changes nothing: e has the
 * line, which was logged too. */
KV_CHECKED int reload_apply(struct supervisor *s, struct conf_error *e);

#endif
