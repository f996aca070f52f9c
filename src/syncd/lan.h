/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_LAN_H
#define KV_SYNCD_LAN_H

/* The option `beacon`: nodes of the local network, by multicast to
 * 239.255.75.86 on the port of sync_port, which leaves no network. */

#include "syncd/syncd.h"

struct lan;

KV_CHECKED int lan_open(struct syncd *s, struct lan **out);
void lan_close(struct lan *l); /* NULL is fine */

#endif
