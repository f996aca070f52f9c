/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_GATE_H
#define KV_SYNCD_GATE_H

/* Where other nodes come in: the listening sockets and the handshakes of
 * strangers, in a static array and within limits (sync/limits.h).
 *
 * Every node has a port of its own: that of its entry in `nodes`, or the
 * well-known one if that is free, or any.  One node of the host holds the
 * well-known one as well, and shows the others' peers the way; the others try
 * to get it when one of them ends, and every few seconds. */

#include <sys/socket.h>

#include "syncd/syncd.h"

struct gate;

/* why: one line, or empty when it was logged. */
KV_CHECKED int gate_open(struct syncd *s, struct gate **out, char *why,
    size_t size);
void gate_close(struct gate *g); /* NULL is fine */

/* Listen on other addresses; the port stays, if it can. */
KV_CHECKED int gate_rebind(struct gate *g, char *why, size_t size);

/* Accept no more; who is in stays. */
void gate_shut(struct gate *g);

uint16_t gate_port(const struct gate *g);
bool gate_holds_known_port(const struct gate *g);

/* The source of a connection, as limits know it. */
struct limits_address gate_address(const struct sockaddr *from);

#endif
