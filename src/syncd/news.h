/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_NEWS_H
#define KV_SYNCD_NEWS_H

/* What the replica has to tell: to members, and to the log. */

#include "syncd/peer.h"

/* Take all events there are. */
void news_take(struct syncd *s);

/* A peer is over and its link given back; nothing has been said of it if the
 * replica did not. */
void news_end(struct peer *p);

#endif
