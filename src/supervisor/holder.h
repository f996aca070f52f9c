/* SPDX-License-Identifier: ISC */
#ifndef KV_SUPERVISOR_HOLDER_H
#define KV_SUPERVISOR_HOLDER_H

#include <stddef.h>
#include <stdint.h>

/* Who listens on a TCP port of this host, as " (held by PID NAME)"; empty when
 * /proc does not tell.  Gives up after a few dozen milliseconds. */
void holder_of_port(uint16_t port, char *to, size_t size);

#endif
